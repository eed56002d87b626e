"""``clipc eval``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipc.catalog import Catalog, SourceOptions
from clipc.cli.source import AS_FOUND, Json, Options, Out, opened, show
from clipc.errors import UserError
from clipc.files import write_json
from clipc.progress import terminal

if TYPE_CHECKING:
    from clipc.evaluate.evaluation import Evaluation

Prompts = str | Sequence[str] | Mapping[str, str]


def evaluate(
    model: str,
    source: str | None = None,
    /,
    *,
    against: str | None = None,
    split: str = "test",
    templates: str = "auto",
    class_names: Path | None = None,
    probe: bool = True,
    sugarcrepe: Path | None = None,
    winoground: Path | None = None,
    read: Options = AS_FOUND,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Retrieval, swapped attributes, zero-shot classification and linear probe of a trained model; other benchmarks.

    Args:
        model: A run folder, a model folder as open_clip's local-dir: takes it, hf-hub:OWNER/NAME, or a model with a
            tag or file of weights, as ViT-B-32:laion2b_s34b_b79k.
        source: The pairs, as for pilot; may be left out where a benchmark is given.
        against: Another model, named like the first, such as the one it was tuned from: measured on the same data with
            the same prompts, and what was gained or lost is told with its interval.
        split: The split to measure on.
        templates: Prompts for zero-shot classification: auto, general, satellite, x-ray, factory, or a file.
        class_names: A file with a readable name for each label of the main label column.
        probe: Whether to fit linear probes; --no-probe to leave them out.
        sugarcrepe: SugarCrepe's folder of JSON files; its pictures (COCO val2017) are in --images.
        winoground: Winoground's folder: examples.jsonl and images/, or its Parquet files.
        read: How the source is read.
        out: Write the figures into this JSON file too.
        as_json: Print the figures as one JSON object.
    """
    from clipc.models.model import ClipModel

    _check_asked(source, read, sugarcrepe, winoground)
    loaded, start = ClipModel.load(model), None if against is None else ClipModel.load(against)

    from clipc.evaluate.against import differences, templates_of
    from clipc.evaluate.evaluation import Evaluation
    from clipc.evaluate.evaluation import evaluate as measure
    from clipc.evaluate.prompts import read_templates
    from clipc.evaluate.sugarcrepe import evaluate_sugarcrepe
    from clipc.evaluate.winoground import evaluate_winoground

    with terminal() as progress:
        catalog = None if source is None else opened(source, read, progress)
        names = None if catalog is None else _class_names(class_names, catalog)

        def measured(clip: ClipModel, prompts: Prompts) -> Evaluation:
            shared: Any = {"split": split, "class_names": names, "probe": probe, "lang": read.lang}
            found = [] if catalog is None else [measure(clip, catalog, templates=prompts, progress=progress, **shared)]
            if sugarcrepe is not None and read.images is not None:
                found.append(evaluate_sugarcrepe(clip, sugarcrepe, read.images, progress=progress))
            if winoground is not None:
                found.append(evaluate_winoground(clip, winoground, progress=progress))
            return _joined(found)

        prompts: Prompts = read_templates(Path(templates)) if Path(templates).is_file() else templates
        before = None if start is None else measured(start, prompts)
        if before is not None and prompts == "auto":
            prompts = templates_of(before)
        found = measured(loaded, prompts)
    tables = found.as_json()
    lines = _lines(found)
    if before is not None:
        tables["against"] = {"model": against, "metrics": before.metrics, "differences": differences(found, before)}
        lines += _changes(tables["against"])
    if out is not None:
        write_json(out, tables)
    show(tables, as_json, lines)


def _check_asked(source: str | None, read: SourceOptions, sugarcrepe: Path | None, winoground: Path | None) -> None:
    if source is None and sugarcrepe is None and winoground is None:
        raise UserError("nothing to measure on: name a SOURCE of pairs, --sugarcrepe FOLDER or --winoground FOLDER.")
    if sugarcrepe is not None and read.images is None:
        raise UserError("--sugarcrepe needs the folder of COCO's val2017 pictures: --images FOLDER.")
    if sugarcrepe is not None and source is not None:
        raise UserError("--images cannot be both SOURCE's and --sugarcrepe's folder: measure them by two commands.")


def _joined(found: "Sequence[Evaluation]") -> "Evaluation":
    """The metrics of one source and of benchmarks as one."""
    first, *others = found
    for one in others:
        first.measurements.update(one.measurements)
        missing = first.context["not_measured"] | one.context["not_measured"]
        first.context.update(one.context | {"not_measured": missing})
    return first


def _lines(found: "Evaluation") -> list[str]:
    """What is told on screen: every metric with its chance level, and how much it rests on."""
    context = found.context
    width = max(48, *map(len, found.measurements))
    lines: list[str] = []
    for name, one in found.measurements.items():
        chance = "" if one.chance is None else f"   (chance {one.chance:.4f})"
        low, high = one.interval or (None, None)
        basis = "" if low is None else f"   95% {low:.4f} to {high:.4f}, n = {one.n:,}"
        lines.append(f"{name:{width}s} {one.value:8.4f}{chance}{basis}")
    if "swaps" in context:
        lines += _swaps(context["swaps"])
    for benchmark in ("sugarcrepe", "winoground"):
        if benchmark in context:
            lines += _left_out(benchmark, context[benchmark]["pictures"])
    return [*lines, *(f"not measured: {name}: {why}" for name, why in context["not_measured"].items())]


def _changes(against: dict[str, Any]) -> list[str]:
    """What was gained or lost against another model, each metric with the interval of its difference."""
    width = max(48, *map(len, against["differences"]))
    lines = [f"{'against ' + against['model']:{width}s}    there    change   95% interval"]
    for name, change in against["differences"].items():
        low, high = change["low"], change["high"]
        span = "" if low is None or high is None else f"   {low:+.4f} to {high:+.4f}, n = {change['n']:,}"
        lines.append(f"{name:{width}s} {against['metrics'][name]:8.4f} {change['mean']:+9.4f}{span}")
    return lines


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
