"""``clipc compare``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFolder,
    SourceParameters,
    open_source,
    print_result,
    warn_of_small_split,
    write_pages,
)
from clipc.files import write_json
from clipc.progress import terminal
from clipc.translation import terminal_language


def compare(
    old: str,
    new: str,
    source: str,
    /,
    *,
    split: str = "test",
    templates: str = "auto",
    accuracy: Annotated[float, Parameter(validator=Number(gt=0, lt=1))] = 0.95,
    options: SourceParameters = DEFAULT_OPTIONS,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Compares a new model with the old one on the same pairs: is it better, where is it worse, what changes in use?

    Args:
        old: The model in use: a run, a pilot (its best arm), a model folder, hf-hub:OWNER/NAME, or MODEL:WEIGHTS.
        new: The model that may replace it.
        source: The pairs, as for pilot. Neither model may have been trained on the split that is compared.
        split: The split to compare on.
        templates: Prompts: auto, general, satellite, x-ray, factory, or a file.
        accuracy: The share of answers that shall be right, for the thresholds below which a classifier abstains.
        options: How the source is read.
        out: A folder for compare.html (in English and Japanese) and compare.json.
        as_json: Print the tables as one JSON object.
    """
    from clipc.evaluate.prompts import read_templates
    from clipc.inference.compare import CompareOptions, compare_models
    from clipc.inference.used_model import UsedModel
    from clipc.report.sections.use import compare_sentences, threshold_sentences
    from clipc.report.use import render_use
    from clipc.report.words import words

    prompts = read_templates(Path(templates)) if Path(templates).is_file() else templates
    wanted = CompareOptions(split, prompts, accuracy, cache=options.cache)
    models = UsedModel.open(old), UsedModel.open(new)
    with terminal() as progress:
        catalog = open_source(source, options, progress)
        warn_of_small_split(catalog, split)
        tables = compare_models(*models, catalog, wanted, progress=progress)
    say = words(terminal_language())
    lines = [*compare_sentences(tables, say), *threshold_sentences(tables, say)]
    written = {**tables, "examples": [{k: v for k, v in row.items() if k != "image"} for row in tables["examples"]]}
    if out is not None:
        write_json(out / "compare.json", written)
        lines.append(f"The page: {write_pages(out / 'compare.html', tables, render_use, options.lang)}")
    print_result(written, as_json, lines)
