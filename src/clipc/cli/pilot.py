"""``clipc pilot``."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFolder,
    Overrides,
    SourceParameters,
    data_section,
    open_source,
    print_result,
    source_slug,
    warn_of_small_split,
    write_pages,
)
from clipc.cli.study_screen import live_board, pilot_lines
from clipc.files import write_json


def pilot(
    source: str = "demo",
    /,
    *overrides: str,
    budget: Literal["quick", "standard", "long"] | None = None,
    minutes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    seeds: Annotated[int, Parameter(validator=Number(gte=3))] = 3,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    study: str = "pilot",
    recipe: str | None = None,
    templates: str = "auto",
    pictures: bool = True,
    options: SourceParameters = DEFAULT_OPTIONS,
    set_overrides: Overrides = (),
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Trains CLIP, CLIP-C and CLIP-C's controls on the same pairs and seeds within a time budget, then writes a report.

    Args:
        source: A tar, a folder or glob of tars, a table (CSV, TSV, JSONL, Parquet), a folder of images, a
            Hugging Face dataset (hf:owner/name), or the built-in demo set.
        overrides: Changes to the recipe as key=value, such as policy.rho=0.15 samples=50000.
        budget: quick (under 5 minutes, without the controls; the demo's default), standard (20 minutes) or
            long (90).
        minutes: Total minutes; overrides the budget's.
        seeds: The number of seeds, at least 3.
        jobs: Parallel trials; by default one per core on a CPU, one at a time on a GPU.
        study: The study to run: a YAML file of your own with more arms, evaluators or sections, or the name of a
            built-in study.
        recipe: The recipe that all arms share: a YAML file, or the name of a built-in recipe (default: nano for quick,
            otherwise small).
        templates: Prompts for zero-shot classification, the same for all arms: general (also auto), satellite, x-ray or
            factory.
        pictures: Show pictures in the report; --no-pictures for private ones.
        options: How the source is read.
        set_overrides: More overrides.
        out: The folder of all results; by default runs/pilot-NAME, with -ja appended for --lang ja.
        as_json: Print the report's tables as one JSON object.
    """
    from clipc.report.page import load_section
    from clipc.report.pilot import render_pilot
    from clipc.study.pilot import PilotOptions, pilot_study, run_pilot
    from clipc.study.recipes import check_recipes

    folder = out or Path("runs") / f"pilot-{source_slug(source)}{'' if options.lang == 'en' else f'-{options.lang}'}"
    budget = budget or ("quick" if source == "demo" and minutes is None else "standard")
    pilot_options = PilotOptions(
        data=data_section(source, options),
        budget=budget,
        minutes=minutes,
        seeds=seeds,
        jobs=jobs,
        study=study,
        overrides=(*overrides, *set_overrides),
        recipe=recipe or ("nano" if budget == "quick" else "small"),
        templates=templates,
        pictures=pictures,
        command=shlex.join(["clipc", *sys.argv[1:]]),
    )
    design = pilot_study(pilot_options)
    check_recipes(design)  # Report mistakes in recipes before reading the data.
    extra_sections = [load_section(name) for name in design.sections]
    render = partial(render_pilot, more=extra_sections)
    with live_board() as (progress, show_trials):
        catalog = open_source(source, options, progress)
        warn_of_small_split(catalog, "test")
        tables = run_pilot(pilot_options, folder, catalog=catalog, progress=progress, watch=show_trials)
    write_json(folder / "report.json", tables)
    pages = write_pages(folder / "report.html", tables, render, options.lang)
    print_result(tables, as_json, [*pilot_lines(tables), f"The report: {pages}"])
