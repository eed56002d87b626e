"""``clipc eval``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipc.catalog.catalog import Catalog
from clipc.cli.source import Columns, Json, Out, opened, show, write
from clipc.errors import UserError
from clipc.progress import terminal

if TYPE_CHECKING:
    from clipc.evaluate.evaluation import Evaluation


def evaluate(
    model: Path,
    source: str | None = None,
    /,
    *,
    split: str = "test",
    templates: str = "auto",
    class_names: Path | None = None,
    probe: bool = True,
    sugarcrepe: Path | None = None,
    winoground: Path | None = None,
    columns: Columns | None = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Retrieval, swapped attributes, zero-shot classification and linear probe of a trained model; other benchmarks.

    Args:
        model: A run folder, or a model folder as open_clip's local-dir: takes it.
        source: The pairs, as for pilot; may be left out where a benchmark is given.
        split: The split to measure on.
        templates: Prompts for zero-shot classification: auto, general, satellite, x-ray, factory, or a file.
        class_names: A file with a readable name for each label of the main label column.
        probe: Whether to fit linear probes; --no-probe to leave them out.
        sugarcrepe: SugarCrepe's folder of JSON files; its pictures (COCO val2017) are in --images.
        winoground: Winoground's folder: examples.jsonl and images/, or its Parquet files.
        columns: How the source is read.
        out: Write the figures into this JSON file too.
        as_json: Print the figures as one JSON object.
    """
    from clipc.models.model import ClipModel

    columns = columns or Columns()
    if source is None and sugarcrepe is None and winoground is None:
        raise UserError("nothing to measure on: name a SOURCE of pairs, --sugarcrepe FOLDER or --winoground FOLDER.")
    if sugarcrepe is not None and columns.images is None:
        raise UserError("--sugarcrepe needs the folder of COCO's val2017 pictures: --images FOLDER.")
    if sugarcrepe is not None and source is not None:
        raise UserError("--images cannot be both SOURCE's and --sugarcrepe's folder: measure them by two commands.")
    loaded = ClipModel.load(model)
    found: list[Evaluation] = []
    with terminal() as progress:
        if source is not None:
            from clipc.evaluate.evaluation import evaluate as measure

            catalog = opened(source, columns, progress)
            found += [
                measure(
                    loaded,
                    catalog,
                    split=split,
                    templates=_templates(templates),
                    class_names=_class_names(class_names, catalog),
                    probe=probe,
                    lang=columns.lang,
                    progress=progress,
                )
            ]
        if sugarcrepe is not None and columns.images is not None:
            from clipc.evaluate.sugarcrepe import evaluate_sugarcrepe

            found += [evaluate_sugarcrepe(loaded, sugarcrepe, columns.images, progress=progress)]
        if winoground is not None:
            from clipc.evaluate.winoground import evaluate_winoground

            found += [evaluate_winoground(loaded, winoground, progress=progress)]
    tables = _joined(found)
    if out is not None:
        write(out, json.dumps(tables, indent=1, ensure_ascii=False))
    show(tables, as_json, [line for one in found for line in _lines(one)])


def _joined(found: "Sequence[Evaluation]") -> dict[str, Any]:
    """The figures of one source and of benchmarks as one table."""
    metrics: dict[str, float] = {}
    context: dict[str, Any] = {}
    for one in found:
        metrics |= one.metrics
        merged = {key: context.get(key, {}) | one.context[key] for key in ("chance", "not_measured")}
        context |= one.context | merged
    return {"metrics": metrics, "context": context}


def _lines(found: "Evaluation") -> list[str]:
    """What is told on screen: every figure with its chance level, and how much it rests on."""
    context = found.context
    width = max(48, *map(len, found.metrics))
    lines: list[str] = []
    for name, value in found.metrics.items():
        chance = f"   (chance {context['chance'][name]:.4f})" if name in context["chance"] else ""
        lines.append(f"{name:{width}s} {value:8.4f}{chance}{_basis(name, context)}")
    if "swaps" in context:
        lines += _swaps(context["swaps"])
    for benchmark in ("sugarcrepe", "winoground"):
        if benchmark in context:
            lines += _left_out(benchmark, context[benchmark]["pictures"])
    return [*lines, *(f"not measured: {name}: {why}" for name, why in context["not_measured"].items())]


def _basis(name: str, context: dict[str, Any]) -> str:
    """The interval of a share and what it rests on, where the context holds them."""
    match name.split("/"):
        case ["swaps", "top1"]:
            (low, high), n = context["swaps"]["interval"], context["swaps"]["items"]
        case ["sugarcrepe", split, "top1"]:
            table = context["sugarcrepe"]["splits"][split]
            (low, high), n = table["interval"], table["n"]
        case ["winoground", group, score]:
            table = context["winoground"]["groups"][group]
            (low, high), n = table["intervals"][score], table["n"]
        case _:
            return ""
    return f"   95% {low:.4f} to {high:.4f}, n = {n:,}"


def _swaps(table: dict[str, Any]) -> list[str]:
    usable = f"swaps: {table['items']:,} usable captions of {table['images']:,} images"
    if "blind" in table:
        usable += f"; the words of training captions alone, no picture seen, reach {table['blind']:.4f}"
    examples = [f"    {caption}  ->  {swapped}" for caption, swapped in table["examples"][:3]]
    return [usable + (", such as" if examples else ""), *examples]


def _left_out(benchmark: str, pictures: dict[str, Any]) -> list[str]:
    if not pictures["left_out"]:
        return []
    counts = f"{pictures['missing']:,} pictures are not there, {pictures['unreadable']:,} cannot be read"
    return [f"{benchmark}: {counts} ({', '.join(pictures['left_out'])}, ...); {pictures['read']:,} were read"]


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
