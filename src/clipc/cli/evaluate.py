"""``clipc eval``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipc.catalog.options import SourceOptions
from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFile,
    SourceParameters,
    data_section,
    print_catalog,
    print_result,
    warn_of_small_split,
)
from clipc.errors import UserError
from clipc.files import write_json
from clipc.progress import Progress, terminal

if TYPE_CHECKING:
    from clipc.catalog.catalog import Catalog
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
    options: SourceParameters = DEFAULT_OPTIONS,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Evaluates a model: retrieval, swapped attributes, zero-shot classification, linear probe, other benchmarks.

    Args:
        model: A run folder, a model folder for open_clip's local-dir:, hf-hub:OWNER/NAME, or MODEL:WEIGHTS with a tag
            or a file of weights, such as ViT-B-32:laion2b_s34b_b79k.
        source: The pairs, as for pilot; not needed for a benchmark alone.
        against: Another model to compare with, such as the one before fine-tuning. It is evaluated on the same data
            with the same prompts; the output adds the difference of each metric and its interval.
        split: The split to evaluate on.
        templates: Prompts for zero-shot classification: auto, general, satellite, x-ray, factory, or a file.
        class_names: A file with a readable name for each label of the main label column.
        probe: Fit linear probes; --no-probe leaves them out.
        sugarcrepe: SugarCrepe's folder of JSON files; its images (COCO val2017) are in --images.
        winoground: Winoground's folder: examples.jsonl and images/, or its Parquet files.
        options: How the source is read.
        out: A JSON file to which the metrics are written too.
        as_json: Print the metrics as one JSON object.
    """
    from clipc.models.model import ClipModel

    _check_options(source, options, sugarcrepe, winoground)
    clip, other = ClipModel.load(model), None if against is None else ClipModel.load(against)

    from clipc.evaluate.against import differences, template_names
    from clipc.evaluate.evaluation import Evaluation
    from clipc.evaluate.evaluation import evaluate as measure
    from clipc.evaluate.prompts import prompt_language, read_templates
    from clipc.evaluate.sugarcrepe import evaluate_sugarcrepe
    from clipc.evaluate.winoground import evaluate_winoground

    with terminal() as progress:
        catalog = None if source is None else _open(source, options, class_names, progress)
        if catalog is not None:
            warn_of_small_split(catalog, split)

        def measure_all(clip: ClipModel, prompts: Prompts) -> Evaluation:
            parts: list[Evaluation] = []
            if catalog is not None:
                lang = prompt_language(catalog)
                shared: Any = {"split": split, "probe": probe, "lang": lang, "progress": progress}
                parts.append(measure(clip, catalog, templates=prompts, **shared))
            if sugarcrepe is not None and options.images is not None:
                parts.append(evaluate_sugarcrepe(clip, sugarcrepe, options.images, progress=progress))
            if winoground is not None:
                parts.append(evaluate_winoground(clip, winoground, progress=progress))
            return _merge(parts)

        prompts: Prompts = read_templates(Path(templates)) if Path(templates).is_file() else templates
        reference = None if other is None else measure_all(other, prompts)
        if reference is not None and prompts == "auto":
            prompts = template_names(reference)
        evaluation = measure_all(clip, prompts)
    tables = evaluation.as_json()
    lines = _lines(evaluation)
    if reference is not None:
        changes = differences(evaluation, reference)
        tables["against"] = {"model": against, "metrics": reference.metrics, "differences": changes}
        lines += _difference_lines(tables["against"])
    print_result(tables, as_json, lines)  # First, so that nothing is lost where the file cannot be written.
    if out is not None:
        write_json(out, tables)


def _check_options(
    source: str | None, options: SourceOptions, sugarcrepe: Path | None, winoground: Path | None
) -> None:
    if source is None and sugarcrepe is None and winoground is None:
        raise UserError("nothing to measure on: name a SOURCE of pairs, --sugarcrepe FOLDER or --winoground FOLDER.")
    if sugarcrepe is not None and options.images is None:
        raise UserError("--sugarcrepe needs the folder of COCO's val2017 images: --images FOLDER.")
    if sugarcrepe is not None and source is not None:
        raise UserError("--images cannot serve both SOURCE and --sugarcrepe: evaluate them with two commands.")


def _merge(evaluations: "Sequence[Evaluation]") -> "Evaluation":
    """The metrics of a source and of benchmarks as one evaluation, which is the first of them."""
    first, *others = evaluations
    for other in others:
        first.measurements.update(other.measurements)
        missing = first.context["not_measured"] | other.context["not_measured"]
        first.context.update(other.context | {"not_measured": missing})
    return first


def _lines(evaluation: "Evaluation") -> list[str]:
    """The lines for the terminal: every metric with its chance level, ceiling, interval and number of items."""
    context = evaluation.context
    width = max(48, *map(len, evaluation.measurements))
    lines: list[str] = []
    for name, metric in evaluation.measurements.items():
        levels = [] if metric.chance is None else [f"chance {metric.chance:.4f}"]
        levels += [] if metric.ceiling in (None, 1) else [f"ceiling {metric.ceiling:.4f}"]
        bounds = f"   ({', '.join(levels)})" if levels else ""
        low, high = metric.interval or (None, None)
        interval = "" if low is None else f"   95% {low:.4f} to {high:.4f}, n = {metric.n:,}"
        lines.append(f"{name:{width}s} {metric.value:8.4f}{bounds}{interval}")
    if "swaps" in context:
        lines += _swap_lines(context["swaps"])
    for benchmark in ("sugarcrepe", "winoground"):
        if benchmark in context and (images := context[benchmark]["pictures"])["left_out"]:
            counts = f"{images['missing']:,} images are missing, {images['unreadable']:,} cannot be read"
            lines.append(f"{benchmark}: {counts} ({', '.join(images['left_out'])}, ...); {images['read']:,} were read")
    return [*lines, *(f"not measured: {name}: {reason}" for name, reason in context["not_measured"].items())]


def _difference_lines(against: dict[str, Any]) -> list[str]:
    """For each metric the value of the other model, the change from it, and the interval of the change."""
    width = max(48, *map(len, against["differences"]))
    lines = [f"{'against ' + against['model']:{width}s}    value    change   95% interval"]
    for name, change in against["differences"].items():
        low, high = change["low"], change["high"]
        interval = "" if low is None or high is None else f"   {low:+.4f} to {high:+.4f}, n = {change['n']:,}"
        lines.append(f"{name:{width}s} {against['metrics'][name]:8.4f} {change['mean']:+9.4f}{interval}")
    return lines


def _swap_lines(table: dict[str, Any]) -> list[str]:
    usable = f"swaps: {table['items']:,} usable captions of {table['images']:,} images"
    if "blind" in table:
        usable += f"; the words of training captions alone, without any image, reach {table['blind']:.4f}"
    examples = [f"    {caption}  ->  {swapped}" for caption, swapped in table["examples"][:3]]
    return [usable + (", such as" if examples else ""), *examples]


def _open(source: str, options: SourceOptions, class_names: Path | None, progress: Progress) -> "Catalog":
    """The catalog of a source with the user's class names, with a summary on standard error."""
    from clipc.catalog.classes import with_class_names
    from clipc.evaluate.prompts import read_class_names

    catalog = data_section(source, options).open(progress)
    if class_names is not None:
        columns = catalog.about.label_columns
        if not columns:
            name = catalog.about.name
            raise UserError(f"{name} has no labels for {class_names}; name their column with --label-columns.")
        labels = [str(label) for label in catalog.column(columns[0]) if label is not None]
        catalog = with_class_names(catalog, columns[0], read_class_names(class_names, labels))
    print_catalog(catalog)
    return catalog
