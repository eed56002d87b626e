"""``clipc eval``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipc.catalog import Catalog, SourceOptions
from clipc.cli.common import DEFAULTS, Json, Options, Out, open_source, print_result
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
    read: Options = DEFAULTS,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Evaluates a model: retrieval, swapped attributes, zero-shot classification, linear probe, other benchmarks.

    Args:
        model: A run folder, a model folder as open_clip's local-dir: takes it, hf-hub:OWNER/NAME, or a model with a
            tag or file of weights, as ViT-B-32:laion2b_s34b_b79k.
        source: The pairs, as for pilot; may be left out where a benchmark is given.
        against: Another model, named like the first, such as the one before fine-tuning: evaluated on the same data
            with the same prompts, for the differences of all metrics with their intervals.
        split: The split to evaluate on.
        templates: Prompts for zero-shot classification: auto, general, satellite, x-ray, factory, or a file.
        class_names: A file with a readable name for each label of the main label column.
        probe: Whether to fit linear probes; --no-probe to leave them out.
        sugarcrepe: SugarCrepe's folder of JSON files; its images (COCO val2017) are in --images.
        winoground: Winoground's folder: examples.jsonl and images/, or its Parquet files.
        read: How the source is read.
        out: Write the metrics into this JSON file too.
        as_json: Print the metrics as one JSON object.
    """
    from clipc.models.model import ClipModel

    _check_options(source, read, sugarcrepe, winoground)
    clip, start = ClipModel.load(model), None if against is None else ClipModel.load(against)

    from clipc.evaluate.against import differences, templates_of
    from clipc.evaluate.evaluation import Evaluation
    from clipc.evaluate.evaluation import evaluate as measure
    from clipc.evaluate.prompts import read_templates
    from clipc.evaluate.sugarcrepe import evaluate_sugarcrepe
    from clipc.evaluate.winoground import evaluate_winoground

    with terminal() as progress:
        catalog = None if source is None else open_source(source, read, progress)
        names = None if catalog is None else _class_names(class_names, catalog)

        def measure_all(clip: ClipModel, prompts: Prompts) -> Evaluation:
            shared: Any = {"split": split, "class_names": names, "probe": probe, "lang": read.lang}
            parts = [] if catalog is None else [measure(clip, catalog, templates=prompts, progress=progress, **shared)]
            if sugarcrepe is not None and read.images is not None:
                parts.append(evaluate_sugarcrepe(clip, sugarcrepe, read.images, progress=progress))
            if winoground is not None:
                parts.append(evaluate_winoground(clip, winoground, progress=progress))
            return _merge(parts)

        prompts: Prompts = read_templates(Path(templates)) if Path(templates).is_file() else templates
        before = None if start is None else measure_all(start, prompts)
        if before is not None and prompts == "auto":
            prompts = templates_of(before)
        evaluation = measure_all(clip, prompts)
    tables = evaluation.as_json()
    lines = _lines(evaluation)
    if before is not None:
        changes = differences(evaluation, before)
        tables["against"] = {"model": against, "metrics": before.metrics, "differences": changes}
        lines += _difference_lines(tables["against"])
    if out is not None:
        write_json(out, tables)
    print_result(tables, as_json, lines)


def _check_options(source: str | None, read: SourceOptions, sugarcrepe: Path | None, winoground: Path | None) -> None:
    if source is None and sugarcrepe is None and winoground is None:
        raise UserError("nothing to measure on: name a SOURCE of pairs, --sugarcrepe FOLDER or --winoground FOLDER.")
    if sugarcrepe is not None and read.images is None:
        raise UserError("--sugarcrepe needs the folder of COCO's val2017 images: --images FOLDER.")
    if sugarcrepe is not None and source is not None:
        raise UserError("--images cannot be both SOURCE's and --sugarcrepe's folder: measure them by two commands.")


def _merge(evaluations: "Sequence[Evaluation]") -> "Evaluation":
    """The metrics of a source and of benchmarks as one evaluation."""
    first, *others = evaluations
    for other in others:
        first.measurements.update(other.measurements)
        missing = first.context["not_measured"] | other.context["not_measured"]
        first.context.update(other.context | {"not_measured": missing})
    return first


def _lines(evaluation: "Evaluation") -> list[str]:
    """The lines for the terminal: every metric with its chance level, interval and number of items."""
    context = evaluation.context
    width = max(48, *map(len, evaluation.measurements))
    lines: list[str] = []
    for name, metric in evaluation.measurements.items():
        chance = "" if metric.chance is None else f"   (chance {metric.chance:.4f})"
        low, high = metric.interval or (None, None)
        interval = "" if low is None else f"   95% {low:.4f} to {high:.4f}, n = {metric.n:,}"
        lines.append(f"{name:{width}s} {metric.value:8.4f}{chance}{interval}")
    if "swaps" in context:
        lines += _swap_lines(context["swaps"])
    for benchmark in ("sugarcrepe", "winoground"):
        if benchmark in context and (images := context[benchmark]["pictures"])["left_out"]:
            counts = f"{images['missing']:,} images are missing, {images['unreadable']:,} cannot be read"
            lines.append(f"{benchmark}: {counts} ({', '.join(images['left_out'])}, ...); {images['read']:,} were read")
    return [*lines, *(f"not measured: {name}: {reason}" for name, reason in context["not_measured"].items())]


def _difference_lines(against: dict[str, Any]) -> list[str]:
    """The difference to another model in each metric, with its interval."""
    width = max(48, *map(len, against["differences"]))
    lines = [f"{'against ' + against['model']:{width}s}    there    change   95% interval"]
    for name, change in against["differences"].items():
        low, high = change["low"], change["high"]
        span = "" if low is None or high is None else f"   {low:+.4f} to {high:+.4f}, n = {change['n']:,}"
        lines.append(f"{name:{width}s} {against['metrics'][name]:8.4f} {change['mean']:+9.4f}{span}")
    return lines


def _swap_lines(table: dict[str, Any]) -> list[str]:
    usable = f"swaps: {table['items']:,} usable captions of {table['images']:,} images"
    if "blind" in table:
        usable += f"; the words of training captions alone, without any image, reach {table['blind']:.4f}"
    examples = [f"    {caption}  ->  {swapped}" for caption, swapped in table["examples"][:3]]
    return [usable + (", such as" if examples else ""), *examples]


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
