"""The bias audit of a run: its data, the composites that it was trained on, and its model; kept for the model card."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clipc.audit.bias.audit import BiasOptions, Lists, attribute_mentions, audit_bias, concept_mentions
from clipc.audit.bias.groups import metric_frame
from clipc.audit.bias.model_audit import audit_model
from clipc.audit.bias.summary import card_sentences, summary_of
from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.evaluate.embed import Encoder
from clipc.models.model import ClipModel
from clipc.progress import Progress, silent
from clipc.recipe.recipe import recipe_of_run
from clipc.recipe.run import Run


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
    run = Run(folder)
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
        tables["model"] = _model_table(models, catalog, split, tables, options, lang, progress)
        tables["summary"] = summary_of(tables)
    except UserError as error:
        run.write_json("audit/bias.json", {"kind": "bias", "failed": str(error), "summary": []})
        raise
    run.write_json("audit/bias.json", {**tables, "findings": tables["summary"], "summary": card_sentences(tables)})
    return tables


def _model_table(
    models: Mapping[str, Encoder],
    catalog: Catalog,
    split: str,
    tables: Mapping[str, Any],
    options: BiasOptions,
    lang: str,
    progress: Progress,
) -> dict[str, Any]:
    """The models' table, with the attributes and concepts that were audited in the pairs."""
    measured = catalog.split(split)
    lists = Lists(measured, options.words)
    names = [a["name"] if a["kind"] == "words" else f"column:{a['name']}" for a in tables["attributes"]]
    attributes, missing = attribute_mentions(measured, lists, replace(options, attributes=tuple(names)), strict=False)
    concepts = concept_mentions(catalog.split("train"), Lists(catalog.split("train"), options.words), options)
    names = [name.replace("_", " ") for name in concepts.names]
    rate = tables["settings"]["false_discovery_rate"]
    made = audit_model(models, catalog, split, attributes, names, rate=rate, lang=lang, progress=progress)
    return {**made, "missing": missing, "against": "against" in models}
