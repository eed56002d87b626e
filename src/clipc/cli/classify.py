"""``clipc classify``."""

import csv
import io
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFolder,
    SourceParameters,
    open_images,
    print_result,
    write_pages,
)
from clipc.errors import UserError
from clipc.files import write_text
from clipc.progress import terminal
from clipc.translation import terminal_language

_IMAGES = 48


def classify(
    model: str,
    source: str,
    /,
    *,
    classes: str | None = None,
    templates: str = "auto",
    accuracy: Annotated[float, Parameter(validator=Number(gt=0, lt=1))] = 0.95,
    false_alarms: str | None = None,
    alarm: tuple[str, ...] = (),
    split: Literal["all", "train", "val", "test"] = "all",
    options: SourceParameters = DEFAULT_OPTIONS,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Classifies the images of a source, tells how often it will be right, and abstains where it is not sure.

    Confidence is calibrated on labelled validation images: those of the source, or of the data that the run was trained
    on.

    Args:
        model: A run, a pilot (its best arm), a model folder, hf-hub:OWNER/NAME, or MODEL:WEIGHTS of open_clip.
        source: The images, as for pilot.
        classes: The classes, separated by commas, or a text file with one a line; by default those of the label column.
        templates: Prompts: auto, general, satellite, x-ray, factory, or a file.
        accuracy: The share of answers that shall be right; images that are too uncertain for it are left to a person.
        false_alarms: The largest share of other images that may raise an alarm for a class, such as 1%.
        alarm: A class with an alarm; may be repeated. By default the rare classes.
        split: The split to classify.
        options: How the source is read.
        out: A folder for classes.csv (all answers) and classes.html (the least certain images, in English and
            Japanese).
        as_json: Print the result as one JSON object.
    """
    from clipc.evaluate.prompts import read_templates
    from clipc.inference.classify import ClassifierOptions, make_classifier, training_validation
    from clipc.inference.image_index import ImageIndex
    from clipc.inference.tables import classify_tables, with_images
    from clipc.inference.used_model import UsedModel
    from clipc.report.sections.use import answer_text, classify_sentences
    from clipc.report.use import render_use
    from clipc.report.words import words

    wanted = ClassifierOptions(
        classes=read_classes(classes),
        templates=read_templates(Path(templates)) if Path(templates).is_file() else templates,
        accuracy=accuracy,
        false_alarms=None if false_alarms is None else read_share(false_alarms, "--false-alarms"),
        alarms=alarm,
    )
    if alarm and false_alarms is None:
        raise UserError("--alarm needs the share of false alarms that it may raise: add --false-alarms 1%.")
    used = UsedModel.open(model)
    with terminal() as progress:
        catalog = open_images(source, options, used, progress)
        index = ImageIndex.of(used, catalog, cache=options.cache, progress=progress)
        classifier = make_classifier(index, wanted, training_validation(index, options.cache, progress), progress)
        rows = None if split == "all" else (catalog.split_names == split).nonzero()[0]
        tables = classify_tables(classifier, index, rows)
        say = words(terminal_language())
        lines = classify_sentences({**tables, "samples": []}, say)
        least_certain = sorted(tables["rows"], key=lambda row: row["probability"])[:_IMAGES]
        if out is None:
            lines += [f"  {row['key']}  {answer_text(row, say)}" for row in tables["rows"][:10]]
            if len(tables["rows"]) > 10:
                lines.append("All answers: add --out FOLDER, or --json.")
        else:
            write_text(out / "classes.csv", _csv(tables["rows"]))
            shown = {**tables, "samples": with_images(least_certain, catalog, progress)}
            page = write_pages(out / "classes.html", shown, render_use, options.lang)
            lines.append(f"All answers: {out / 'classes.csv'}; the page: {page}")
    print_result(tables, as_json, lines)


def read_classes(text: str | None) -> tuple[str, ...]:
    """The class names of ``--classes``: separated by commas, or the lines of a text file.

    Raises:
        UserError: The file cannot be read, or a name occurs twice.
    """
    if text is None:
        return ()
    try:
        parts = Path(text).read_text("utf-8-sig").splitlines() if Path(text).is_file() else text.split(",")
    except (OSError, ValueError) as error:
        raise UserError(f"the classes in {text} cannot be read ({error}); save them as UTF-8, one a line.") from error
    names = tuple(part.strip() for part in parts if part.strip())
    if len({name.casefold() for name in names}) < len(names):
        raise UserError(f"a class is named twice in {text!r}; name each once.")
    return names


def read_share(text: str, option: str) -> float:
    """A share in (0, 1), written ``1%`` or ``0.01``.

    Raises:
        UserError: It is none.
    """
    try:
        value = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise UserError(f"{option} {text!r} is no share; write it as 1% or 0.01.")
    return value


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["key", "class", "probability", "answered", "alarms"])
    for row in rows:
        writer.writerow([row["key"], row["class"], row["probability"], int(row["answered"]), ";".join(row["alarms"])])
    return "\ufeff" + text.getvalue()
