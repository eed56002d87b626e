"""Makes plans from a policy: computes the tables that the policy needs, or reads them from the cache."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.compose.batches import Batches
from clipc.compose.captions.strategies import find_strategy
from clipc.compose.entries import Candidates, Entries
from clipc.compose.inputs import Inputs, keyed_values, partner_weights
from clipc.compose.layouts import find_layout
from clipc.compose.layouts.boxes import read_boxes
from clipc.compose.partners.group_weights import is_group_weights, read_group_weights
from clipc.compose.partners.pools import only_value
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy, names_file
from clipc.compose.rules.columns import CatalogColumns, boxes_of
from clipc.compose.rules.compile import compile_rules
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.rules.conditions import value_codes
from clipc.compose.rules.schema import PairRule, Rules
from clipc.compose.similarity.lookalike import lookalikes
from clipc.compose.similarity.neighbours import Excluded, neighbours
from clipc.errors import UserError, unknown_name
from clipc.extension import is_object_reference, load_function
from clipc.progress import Progress, silent

if TYPE_CHECKING:
    from clipc.prepare.scores.table import Scorer

MIN_CLASS_SIZE: Final = 10
"""The smallest average number of pairs per class with which ``policy.group=auto`` keeps composites inside classes."""


def make_plans(
    policy: Policy,
    pairs: Catalog,
    seed: int,
    *,
    cache: Path | None = None,
    progress: Progress = silent,
    batches: Batches | None = None,
    samples: int | None = None,
    scorer: "Scorer | None" = None,
) -> Plans:
    """The plans of a policy for a catalog.

    Args:
        policy: What is composed, and how.
        pairs: The training split only: no partner, neighbour or statistic may come from another split.
        seed: The run's seed.
        cache: The folder in which neighbours and vectors are cached; the user's cache folder by default.
        progress: Called with the number of pairs whose vectors and neighbours are done.
        batches: How the pairs of an epoch are divided into batches; a plain shuffle by default.
        samples: Samples of the whole run, of which ``policy.until`` is a share; without them it has no effect, as in
            previews.
        scorer: The scorer that ``policy.score`` names; made here by default, which is not possible for ``baseline``.

    Raises:
        UserError: A rule is invalid or names a missing column; a column holds no boxes or vectors; a model or the
            user's own code cannot be loaded.
    """
    load_own_code(policy)
    compiled_rules, batches = _compiled_rules(policy, pairs), batches or Batches()
    treated_rows = None if samples is None or policy.until == 1 else round(policy.until * samples)
    if policy.rho == 0 or policy.treatment == "augment":
        inputs = Inputs(alike=lookalikes(pairs), compiled_rules=compiled_rules)
        return Plans(pairs, policy, seed, inputs, batches, treated_rows)
    tables = given_tables(policy, pairs)
    if not policy.composes:
        pass  # No partners are drawn.
    elif is_object_reference(policy.partner):
        tables["neighbours"] = _own_partners(policy.partner, pairs)
    elif policy.by_similarity:
        from clipc.prepare.vectors import partner_vectors

        vectors = partner_vectors(pairs, policy.embedding, policy.embedding_of, cache, progress)
        if policy.partner == "nearest":
            exclusion = (None, "") if compiled_rules is None else _exclusion(policy, pairs, compiled_rules)
            tables["neighbours"] = neighbours(pairs, vectors, policy.neighbours, cache, progress, *exclusion)
        else:
            tables["vectors"] = vectors
    if policy.region == "auto":
        from clipc.prepare.vectors import relevant_bands

        assert policy.reference is not None
        tables["regions"] = relevant_bands(policy.reference, pairs, cache, progress)
    plans = Plans(pairs, policy, seed, Inputs.of(pairs, tables, compiled_rules), batches, treated_rows)
    return _scored(plans, scorer, cache, progress) if policy.scores else plans


def _scored(plans: Plans, scorer: "Scorer | None", cache: Path | None, progress: Progress) -> Plans:
    """The plans that draw partners from candidates with scores."""
    from clipc.prepare.scores.reference import make_scorer
    from clipc.prepare.scores.table import score_table

    policy, inputs = plans.policy, plans.inputs
    assert policy.score.by is not None
    scorer = scorer or make_scorer(policy.score.by, plans.seed, cache=cache, progress=progress)
    scored = score_table(plans, scorer, cache)
    tables = {**inputs.tables, **scored.inputs(policy.score)}
    made = Inputs.of(plans.catalog, tables, inputs.compiled_rules)
    return replace(plans, inputs=replace(made, core_seconds={"scores": scored.core_seconds}))


def load_own_code(policy: Policy) -> None:
    """Imports the user's own code that a policy names, so that its errors are reported before long work begins.

    Raises:
        UserError: The code cannot be loaded, has the wrong type, or is named in an untrusted file.
    """
    find_layout(policy.layout)
    find_strategy(policy.caption)
    if is_object_reference(policy.partner):
        _partner_table(policy.partner)


def _own_partners(name: str, pairs: Catalog) -> npt.NDArray[np.int32]:
    """The possible partners of each pair, from the user's own function ``module:function``.

    The function takes the n training pairs and returns the rows of the possible partners of each: integers, shape
    (n, k), filled up with -1 for pairs with fewer than k. It must return the same table at each call.
    """
    table = np.asarray(_partner_table(name)(pairs))
    n = len(pairs)
    if table.ndim != 2 or len(table) != n or not np.issubdtype(table.dtype, np.integer):
        raise UserError(
            f"{name} gave {table.dtype} of shape {table.shape}; expected are whole numbers, shape ({n}, k)."
        )
    if table.size and (table.min() < -1 or table.max() >= n):
        raise UserError(
            f"{name} gave rows from {table.min()} to {table.max()}; there are rows 0 to {n - 1}, -1 for none."
        )
    return table.astype(np.int32)


def _partner_table(name: str) -> Callable[[Catalog], npt.ArrayLike]:
    return load_function(name, "pairs", result="the rows of each pair's possible partners")


def _exclusion(policy: Policy, pairs: Catalog, compiled_rules: CompiledRules) -> tuple[Excluded, str]:
    """A function that excludes the neighbours that the rules forbid, and the text that identifies it for the cache.

    The function applies the rules to the first caption of each pair. The plan applies them again to the drawn captions.
    """
    first_entries, layout = Entries.of(pairs).first, find_layout(policy.layout)

    def excluded(rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        a, b = first_entries[rows], first_entries[others]
        codes, fits = np.full(len(a), layout.codes[0], dtype=np.uint8), np.ones(len(a), dtype=np.bool_)
        if layout.has_axes:
            codes, fits = compiled_rules.choose_layout(a, b, codes)
        return ~(fits & compiled_rules.allowed(Candidates(a, b, codes, np.zeros(len(a), dtype=np.bool_))))

    rules = "" if policy.rules is None else policy.rules.model_dump_json()
    own_code = policy.own_code or ""
    return excluded, f"{pairs.fingerprint} {group_of(policy, pairs)} {policy.layout} {policy.wording} {rules}{own_code}"


def group_of(policy: Policy, pairs: Catalog) -> str | None:
    """The column whose value the two pairs of a composite share; None for no such column.

    ``auto`` is the main label column, if there is one, its classes hold at least :data:`MIN_CLASS_SIZE` pairs each on
    average, and no class of several pairs has a single caption, which both pairs of a composite would share.
    """
    return policy.group if policy.group != "auto" else auto_group(pairs)["column"]


def auto_group(pairs: Catalog) -> dict[str, Any]:
    """What ``policy.group=auto`` comes to on these pairs.

    Returns:
        ``column``, the column of :func:`group_of` or None, and why, as ``code``: ``same-class``; ``no-labels``,
        ``small-classes`` or ``single-captions`` where there is none.
    """
    column = next(iter(pairs.about.label_columns), None)
    if column is None:
        return {"column": None, "code": "no-labels"}
    if MIN_CLASS_SIZE * len(pairs.table[column].drop_null().unique()) > len(pairs):
        return {"column": None, "code": "small-classes"}
    if _single_captions(pairs, column):
        return {"column": None, "code": "single-captions"}
    return {"column": column, "code": "same-class"}


def _single_captions(pairs: Catalog, column: str) -> bool:
    """Whether any class of two pairs or more has captions that are all equal."""
    classes = value_codes(pairs.table[column])
    labelled = np.flatnonzero(classes >= 0)
    by_class = labelled[np.argsort(classes[labelled], kind="stable")]
    _, start, sizes = np.unique(classes[by_class], return_index=True, return_counts=True)
    own = only_value(pairs.caption_ids, Entries.of(pairs).first)
    return bool(((only_value(own[by_class], start) >= 0) & (sizes > 1)).any())


def _compiled_rules(policy: Policy, pairs: Catalog) -> CompiledRules | None:
    rules, group = policy.rules, group_of(policy, pairs)
    if group is not None:
        names = CatalogColumns(pairs).names
        if group not in names:
            raise unknown_name("column", group, names)
        quoted = group.replace('"', '""')
        same = PairRule(require=f'a."{quoted}" = b."{quoted}"', why=f"policy.group={group}")
        rules = rules.model_copy(update={"pairs": (*rules.pairs, same)}) if rules else Rules(pairs=(same,))
    return compile_rules(rules, CatalogColumns(pairs), policy.wording) if rules is not None else None


def given_tables(policy: Policy, pairs: Catalog) -> dict[str, npt.NDArray[Any]]:
    """The tables that a user names in a policy, by name, in the form of :class:`Inputs`.

    They are ``weights``, or ``partner_groups`` and ``group_weights``, and ``regions``.

    Args:
        policy: What is composed, and how.
        pairs: The training pairs.

    Raises:
        UserError: There is no such column or file, or its values have the wrong type.
    """
    tables: dict[str, npt.NDArray[Any]] = {}
    if policy.weights is not None and is_group_weights(policy.weights):
        given = read_group_weights(policy.weights, pairs.keys)
        tables |= {"partner_groups": given.groups, "group_weights": given.weights}
    elif policy.weights is not None:
        tables["weights"] = partner_weights(policy.weights, pairs)
    if policy.region is not None and names_file(policy.region):
        boxes = keyed_values(policy.region, pairs, "region")
        tables["regions"] = read_boxes(boxes, pairs.sizes, column=policy.region, keys=pairs.keys)
    elif policy.region not in (None, "auto"):
        tables["regions"] = boxes_of(pairs, policy.region)
    return tables
