"""The bias audit of data, planned composites and their correction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipc.audit.bias.association import associate
from clipc.audit.bias.correction import correct, read_shares, write_weights
from clipc.audit.bias.lists import read_lists
from clipc.audit.bias.mentions import CaptionWords, Mentions, column_mentions, values_again
from clipc.audit.bias.plan_variants import Composites, composites, composites_of, image_numbers, variants
from clipc.audit.bias.summary import summary_of
from clipc.audit.bias.tables import FALSE_DISCOVERY_RATE, LEVEL, attribute_table
from clipc.catalog.catalog import Catalog
from clipc.catalog.summary import summary
from clipc.compose.plan import Plans
from clipc.compose.policy import COLUMN, Policy
from clipc.errors import UserError, first_line, unknown_name
from clipc.files import read_text
from clipc.limits import TEXT_BYTES
from clipc.progress import Progress, silent

MIN_IMAGES: Final = 5
"""A list of words counts as present where at least two of its groups are named by this many pairs."""


@dataclass(frozen=True)
class BiasOptions:
    """What a bias audit looks for.

    Attributes:
        attributes: Names of word lists (``gender``, ``age``, ``skin tone``, or the user's own) or ``column:NAME``;
            empty for all lists that the captions name.
        concepts: ``label`` (the main label column), ``words`` (the commonest content words), the name of a list
            (``occupations``, ``activities``), ``column:NAME``, a text file with one concept a line, or words
            separated by commas. ``auto`` is the label column if there is one, else ``words``.
        words: A YAML file with further lists, as :func:`~clipc.audit.bias.lists.read_lists` takes it.
        most: The largest number of concepts.
        correct: Whether partner weights are computed, and their composites audited.
        shares: A table of stated shares for the correction (see :func:`~clipc.audit.bias.correction.read_shares`); None
            for independence.
    """

    attributes: tuple[str, ...] = ()
    concepts: str = "auto"
    words: Path | None = None
    most: int = 30
    correct: bool = False
    shares: Path | None = None


def audit_bias(
    catalog: Catalog,
    policy: Policy,
    options: BiasOptions,
    *,
    seed: int = 0,
    weights_file: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Audits the training pairs and the composites that a policy would make of them.

    Args:
        catalog: The data; only the training split is audited, since only it is composed.
        policy: The policy, whose rules, groups and partners are compared with random partners.
        options: What to look for.
        seed: The seed of the plans.
        weights_file: Where the partner weights of the correction are written, for ``policy.weights``.
        progress: Called while tables, such as neighbours, are made.

    Returns:
        Tables ready for JSON: ``source``, ``created``, ``clipc``; ``settings`` (``level``, ``false_discovery_rate``,
        ``concepts`` with its name and ``names``, ``skipped`` attributes); ``attributes`` (see
        :func:`~clipc.audit.bias.tables.attribute_table`); ``plans`` (for each plan its composites, epochs, share and
        effective number of partners); ``correction`` (see :func:`~clipc.audit.bias.correction.correct`, with the
        ``plan`` that it starts from), None without one; ``model``, None here; and ``summary``, sentences as codes with
        parameters.

    Raises:
        UserError: An attribute, list, column or concept does not exist, or partners cannot be weighted.
    """
    if options.shares is not None and not options.correct:
        raise UserError("--shares states the target of a correction; add --correct.")
    pairs = catalog.split("train")
    lists = Lists(pairs, options.words)
    attributes, skipped = attribute_mentions(pairs, lists, options)
    concepts = concept_mentions(pairs, lists, options)
    image = image_numbers(pairs)
    made = composites_of(variants(policy, pairs), pairs, seed, progress)
    shown = {name: one for name, (_, one) in made.items()}
    correction = None
    if options.correct and attributes:
        base = list(made)[-1]
        plans, corrected, correction = _corrected(made[base], attributes, concepts, options, seed)
        shown["corrected"] = corrected
        correction |= {"plan": base, "composites": len(corrected.left), "file": None}
        if weights_file is not None:
            groups = plans.inputs.group_weights
            assert groups is not None
            about = {"audited": [a.name for a in attributes], "concepts": concepts.name, "plan": base}
            write_weights(weights_file, pairs, groups, about)
            correction["file"] = str(weights_file)
    tables = {
        "kind": "bias",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "clipc": version("clipc"),
        "source": summary(catalog),
        "settings": {
            "level": LEVEL,
            "false_discovery_rate": FALSE_DISCOVERY_RATE,
            "pairs": len(pairs),
            "concepts": {"name": concepts.name, "kind": concepts.kind, "names": list(concepts.names)},
            "skipped": skipped,
        },
        "attributes": [attribute_table(attribute, concepts, image, shown) for attribute in attributes],
        "plans": {name: _plan_facts(one) for name, one in shown.items()},
        "correction": correction,
        "model": None,
    }
    return {**tables, "summary": summary_of(tables)}


class Lists:
    """The word lists, and the words of some pairs' captions, read when first needed: columns need no SudachiPy.

    Args:
        pairs: The pairs.
        file: A user's file with further lists, or None.

    Raises:
        UserError: The file cannot be read.
    """

    def __init__(self, pairs: Catalog, file: Path | None) -> None:
        self.lists = read_lists(file)
        self._pairs = pairs

    @cached_property
    def words(self) -> CaptionWords:
        """The words of the captions."""
        return CaptionWords(self._pairs)


def attribute_mentions(
    pairs: Catalog, lists: Lists, options: BiasOptions, *, strict: bool = True
) -> tuple[list[Mentions], list[str]]:
    """The attributes to audit, without groups that no pair shows, and the names of those that too few pairs show.

    Args:
        pairs: The pairs.
        lists: The word lists and the pairs' words.
        options: What to look for.
        strict: Whether an attribute that the options name must have two groups.

    Raises:
        UserError: There is no such list or column, or a named one has fewer than two groups in the data.
    """
    kept: list[Mentions] = []
    skipped: list[str] = []
    for name in options.attributes or tuple(lists.lists.attributes):
        if name.startswith(COLUMN):
            mentions = column_mentions(pairs, name.removeprefix(COLUMN))
        elif name in lists.lists.attributes:
            mentions = lists.words.mentions(name, lists.lists.attributes[name])
        else:
            columns = [f"{COLUMN}{column}" for column in pairs.table.column_names]
            raise unknown_name("attribute", name, [*lists.lists.attributes, *columns])
        counts = mentions.present.sum(axis=0)
        if (counts >= MIN_IMAGES).sum() >= 2:
            kept.append(mentions.take(np.flatnonzero(counts).tolist()))
        elif options.attributes and strict:
            raise UserError(
                f"the attribute {name!r} has fewer than two groups that {MIN_IMAGES} of the {len(pairs):,} training "
                "pairs show, so nothing can be compared; choose another, or add words with --words FILE."
            )
        else:
            skipped.append(name)
    return kept, skipped


def concept_mentions(pairs: Catalog, lists: Lists, options: BiasOptions) -> Mentions:
    """The concepts to audit: those that most pairs show.

    Raises:
        UserError: There is no such list, column or file, or no caption names any of the concepts.
    """
    name, labels = options.concepts, pairs.about.label_columns
    if name == "auto":
        name = "label" if labels else "words"
    if name == "label":
        if not labels:
            raise UserError("the source has no label column; choose other concepts, such as --concepts words.")
        mentions = column_mentions(pairs, labels[0], options.most)
    elif name.startswith(COLUMN):
        mentions = column_mentions(pairs, name.removeprefix(COLUMN), options.most)
    elif name == "words":
        terms = [term for groups in lists.lists.attributes.values() for group in groups.values() for term in group]
        mentions = lists.words.frequent(options.most, lists.lists, {word for term in terms for word in term.split()})
    elif name in lists.lists.concepts:
        mentions = lists.words.mentions(name, lists.lists.concepts[name])
    elif Path(name).is_file():
        try:
            lines = [line.strip() for line in read_text(Path(name), TEXT_BYTES).splitlines()]
        except (OSError, ValueError) as error:
            raise UserError(f"{name} cannot be read as a list of words: {first_line(error)}.") from error
        mentions = lists.words.mentions(Path(name).stem, {line: (line,) for line in lines if line})
    elif "," in name:
        given = [part.strip() for part in name.split(",") if part.strip()]
        mentions = lists.words.mentions("given", {part: (part,) for part in given})
    else:
        raise unknown_name("list of concepts", name, ["label", "words", *lists.lists.concepts])
    counts = mentions.present.sum(axis=0)
    kept = [int(k) for k in np.argsort(-counts, kind="stable")[: options.most] if counts[k]]
    if not kept:
        raise UserError(f"no training pair shows any of the concepts of {name!r}; choose others with --concepts.")
    return replace(mentions.take(kept), left_out=mentions.left_out + len(mentions.names) - len(kept))


def concepts_again(pairs: Catalog, lists: Lists, concepts: Mapping[str, Any]) -> Mentions:
    """Concepts that were audited in other pairs, in the same order.

    Args:
        pairs: The pairs.
        lists: The word lists and these pairs' words.
        concepts: The ``concepts`` of an audit's settings.
    """
    names = tuple(concepts["names"])
    if concepts["kind"] != "column":
        known = lists.lists.concepts.get(concepts["name"], {})
        return lists.words.mentions(concepts["name"], {name: known.get(name, (name,)) for name in names})
    return values_again(pairs, concepts["name"], names)


def _corrected(
    base: tuple[Plans, Composites],
    attributes: list[Mentions],
    concepts: Mentions,
    options: BiasOptions,
    seed: int,
) -> tuple[Plans, Composites, dict[str, Any]]:
    """The plans with partner weights, their composites, and the table of the correction."""
    plans, shown = base
    tested = [~associate(shown.across(attribute, concepts)).absent for attribute in attributes]
    shares = None if options.shares is None else read_shares(options.shares)
    balance, table = correct(plans, attributes, concepts, tested, shares)
    given = {"partner_groups": balance.weights.groups, "group_weights": balance.weights.weights}
    inputs = replace(plans.inputs, tables={**plans.inputs.tables, **given})
    weighted = Plans(plans.catalog, plans.policy, seed, inputs, plans.batches)
    made = composites(weighted)
    return weighted, made, table


def _plan_facts(made: Composites) -> Mapping[str, Any]:
    composed = len(made.left)
    return {
        "composites": composed,
        "epochs": made.epochs,
        "stayed_plain": made.treated - composed,
        "partners": len(np.unique(made.right)),
        "effective_partners": made.effective_partners,
    }
