"""``clipc eval``."""

import json
from collections.abc import Sequence
from pathlib import Path

from clipc.catalog.catalog import Catalog
from clipc.cli.source import Columns, Json, Out, opened, show, write
from clipc.errors import UserError
from clipc.progress import terminal


def evaluate(
    model: Path,
    source: str,
    /,
    *,
    split: str = "test",
    templates: str = "auto",
    class_names: Path | None = None,
    probe: bool = True,
    columns: Columns | None = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Retrieval, zero-shot classification and linear probe of a trained model.

    Args:
        model: A run folder, or a model folder as open_clip's local-dir: takes it.
        source: The pairs, as for pilot.
        split: The split to measure on.
        templates: Prompts for zero-shot classification: auto, general, satellite, x-ray, factory, or a file.
        class_names: A file with a readable name for each label of the main label column.
        probe: Whether to fit linear probes; --no-probe to leave them out.
        columns: How the source is read.
        out: Write the figures into this JSON file too.
        as_json: Print the figures as one JSON object.
    """
    from clipc.evaluate import evaluate as measure
    from clipc.train.model import ClipModel

    columns = columns or Columns()
    loaded = ClipModel.load(model)
    with terminal() as progress:
        catalog = opened(source, columns, progress)
        found = measure(
            loaded,
            catalog,
            split=split,
            templates=_templates(templates),
            class_names=_class_names(class_names, catalog),
            probe=probe,
            lang=columns.lang,
            progress=progress,
        )
    tables = {"metrics": found.metrics, "context": found.context}
    if out is not None:
        write(out, json.dumps(tables, indent=1, ensure_ascii=False))
    chance = found.context["chance"]
    lines = [
        f"{name:48s} {value:8.4f}" + (f"   (chance {chance[name]:.4f})" if name in chance else "")
        for name, value in found.metrics.items()
    ]
    show(tables, as_json, [*lines, *(f"not measured: {k}: {v}" for k, v in found.context["not_measured"].items())])


def _templates(given: str) -> str | Sequence[str]:
    from clipc.evaluate.prompts import read_templates

    return read_templates(Path(given)) if Path(given).is_file() else given


def _class_names(file: Path | None, catalog: Catalog) -> dict[str, dict[str, str]] | None:
    from clipc.evaluate.prompts import read_class_names

    if file is None:
        return None
    columns = catalog.about.label_columns
    if not columns:
        raise UserError(
            f"{catalog.about.name} has no labels that {file} could name; give the column with --label-columns."
        )
    labels = sorted({str(label) for label in catalog.column(columns[0]) if label is not None})
    return {columns[0]: read_class_names(file, labels)}
