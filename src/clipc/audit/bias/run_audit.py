"""The bias audit of a run: its data, the composites that it was trained on, and its model; kept for the model card."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipc.audit.bias.audit import BiasOptions, Lists, attribute_mentions, audit_bias, concepts_again
from clipc.audit.bias.groups import metric_frame
from clipc.audit.bias.mentions import Mentions, query_words, values_again
from clipc.audit.bias.model_audit import AskedAttribute, audit_model
from clipc.audit.bias.summary import card_sentences, summary_of
from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools
from clipc.compose.policy import COLUMN
from clipc.errors import UserError
from clipc.evaluate.embed import Encoder
from clipc.evaluate.prompts import fill
from clipc.models.model import ClipModel
from clipc.progress import Progress, silent
from clipc.recipe.recipe import recipe_of_run
from clipc.recipe.run import Run

QUERIES: Final = {"en": "a photo of {}", "ja": "{}の写真"}
"""The text query for a concept, by language."""

GROUP_QUERIES: Final = {"en": "a photo of a {}", "ja": "{}の写真"}
"""The text query for a group, by language."""


def audit_run(
    folder: Path,
    options: BiasOptions,
    *,
    against: Path | None = None,
    split: str = "test",
    lang: str = "en",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Audits a run, and writes ``audit/bias.json`` into its folder, of which the model card takes the summary.

    If the audit fails, the file says so, and so does the card.

    Args:
        folder: The run's folder.
        options: What to look for.
        against: Another run, trained on the same data, such as plain CLIP; its model is audited beside.
        split: The split on which the models are measured.
        lang: The language of text queries.
        progress: Called during long steps.

    Returns:
        The tables of :func:`~clipc.audit.bias.audit.audit_bias`, with ``model`` from
        :func:`~clipc.audit.bias.model_audit.audit_model`.

    Raises:
        UserError: As for these functions; or the run's recipe, data or model cannot be read.
    """
    try:
        metric_frame()  # A missing package is reported before the long work.
        recipe = recipe_of_run(folder)
        catalog = recipe.data.open(progress)
        models: dict[str, Encoder] = {"model": ClipModel.load(folder)}
        if against is not None:
            models["against"] = ClipModel.load(against)
        weights_file = folder / "partner-weights.json"
        tables = audit_bias(
            catalog, recipe.policy, options, seed=recipe.seed, weights_file=weights_file, progress=progress
        )
        tables = with_models(tables, models, catalog, split, options, lang=lang, progress=progress)
    except UserError as error:
        keep_audit(folder, {"failed": str(error)})
        raise
    keep_audit(folder, tables)
    return tables


def with_models(
    tables: Mapping[str, Any],
    models: Mapping[str, Encoder],
    catalog: Catalog,
    split: str,
    options: BiasOptions,
    *,
    lang: str = "en",
    progress: Progress = silent,
) -> dict[str, Any]:
    """An audit's tables, with trained models: the attributes and concepts that were audited in the pairs.

    Args:
        tables: The tables of :func:`~clipc.audit.bias.audit.audit_bias`.
        models: The trained model as ``model`` and, optionally, the one compared with as ``against``.
        catalog: The catalog with all splits.
        split: The split on which the models are measured.
        options: The options of the audit.
        lang: The language of text queries.
        progress: Called with the number of images and texts encoded.

    Returns:
        The tables with ``model``, see :func:`~clipc.audit.bias.model_audit.audit_model`, and a new ``summary``.

    Raises:
        UserError: fairlearn is not installed, or the split does not exist or cannot be measured.
    """
    metric_frame()
    measured = catalog.split(split)
    lists = Lists(measured, options.words)
    names = tuple(a["name"] if a["kind"] == "words" else f"{COLUMN}{a['name']}" for a in tables["attributes"])
    kept: list[Mentions] = []
    missing: list[str] = []
    if names:  # Without names all lists would be looked for.
        kept, missing = attribute_mentions(measured, lists, replace(options, attributes=names), strict=False)
    concepts = concepts_again(measured, lists, tables["settings"]["concepts"])
    train = catalog.split("train")
    train_lists = Lists(train, options.words)
    train_concepts = concepts_again(train, train_lists, tables["settings"]["concepts"])
    asked = [
        AskedAttribute(groups, _group_texts(groups, lists, lang), _biased(train, train_lists, groups, train_concepts))
        for groups in kept
    ]
    queries = [QUERIES[lang].format(name) for name in query_words(concepts, lists.lists.concepts, lang)]
    rate = tables["settings"]["false_discovery_rate"]
    made = audit_model(models, catalog, split, asked, concepts, queries, rate=rate, lang=lang, progress=progress)
    found = {**tables, "model": {**made, "missing": missing, "against": "against" in models}}
    return {**found, "summary": summary_of(found)}


def keep_audit(folder: Path, tables: Mapping[str, Any]) -> None:
    """Writes an audit into a run's folder as ``audit/bias.json``, of which the model card takes the summary.

    Args:
        folder: The run's folder.
        tables: The audit's tables, or ``{"failed": sentence}``: a failed audit is named as such on the card.
    """
    kept = {"kind": "bias", **tables}
    if "failed" in tables:
        kept |= {"summary": []}
    else:
        kept |= {"findings": tables["summary"], "summary": card_sentences(tables)}
    Run(folder).write_json("audit/bias.json", kept)


def _group_texts(groups: Mentions, lists: Lists, lang: str) -> list[str]:
    """The texts that ask for the groups; empty for columns, whose values are no words that a model learns."""
    if groups.kind != "words":
        return []
    return [fill(GROUP_QUERIES[lang], name) for name in query_words(groups, lists.lists.attributes, lang)]


def _biased(pairs: Catalog, lists: Lists, groups: Mentions, concepts: Mentions) -> Bools:
    """Which groups and concepts go together in the training pairs more often than by chance, shape (G, K).

    As where models are measured, of pairs of one group and at least one concept: otherwise every group of people would
    seem tied to what people do, rather than one of them more than another.

    Args:
        pairs: The training pairs.
        lists: The word lists and these pairs' words.
        groups: The groups, of other pairs.
        concepts: The concepts of the training pairs.
    """
    if groups.kind == "words":
        every = lists.words.mentions(groups.name, lists.lists.attributes[groups.name])
    else:
        every = values_again(pairs, groups.name, groups.names)
    own = every.take([every.names.index(name) for name in groups.names])
    rows = np.flatnonzero((every.present.sum(axis=1) == 1) & own.present.any(axis=1) & concepts.present.any(axis=1))
    shown, named = own.of(rows).astype(np.float64), concepts.of(rows).astype(np.float64)
    return shown.T @ named > np.outer(shown.sum(axis=0), named.sum(axis=0)) / max(1, len(rows))
