"""``clipc pilot``."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import (
    DEFAULTS,
    Json,
    Options,
    Out,
    Set,
    folder_name,
    make_data,
    open_source,
    print_result,
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
    read: Options = DEFAULTS,
    more: Set = (),
    out: Out = None,
    as_json: Json = False,
) -> None:
    """CLIP, its controls and CLIP-C on the same pairs and seeds, within a time budget; then a report.

    Args:
        source: A tar, a folder or glob of tars, a table (CSV, TSV, JSONL, Parquet), a folder of images, a
            Hugging Face set (hf:owner/name), or the built-in demo set.
        overrides: Changes to the recipe as key=value, such as policy.rho=0.15 samples=50000.
        budget: quick (under 5 minutes, without the controls; the demo's default), standard (20 minutes) or
            long (90).
        minutes: The time for everything, instead of the budget's.
        seeds: How many seeds, 3 at least.
        jobs: Trials at a time; on a CPU one a core by default.
        study: The study that is run: a YAML file of your own with more arms, evaluators or sections, or one that
            ships.
        recipe: The recipe that all arms share: a YAML file, or one that ships; nano for quick, else small.
        templates: Prompts for zero-shot classification: auto, general, satellite, x-ray, factory, or a file.
        pictures: Whether the report shows pictures; --no-pictures for private ones.
        read: How the source is read.
        more: More overrides.
        out: The folder of all results; runs/pilot-NAME by default.
        as_json: Print the report's tables as one JSON object.
    """
    from clipc.report.page import load_section
    from clipc.report.pilot import render_pilot
    from clipc.study.design import check_recipes
    from clipc.study.pilot import PilotOptions, pilot_study, run_pilot

    folder = out or Path("runs") / f"pilot-{folder_name(source)}{'' if read.lang == 'en' else f'-{read.lang}'}"
    budget = budget or ("quick" if source == "demo" and minutes is None else "standard")
    options = PilotOptions(
        data=make_data(source, read),
        budget=budget,
        minutes=minutes,
        seeds=seeds,
        jobs=jobs,
        study=study,
        overrides=(*overrides, *more),
        recipe=recipe or ("nano" if budget == "quick" else "small"),
        templates=templates,
        pictures=pictures,
        command=shlex.join(["clipc", *sys.argv[1:]]),
    )
    design = pilot_study(options)
    check_recipes(design)  # Errors come before the data are read.
    render = partial(render_pilot, more=[load_section(name) for name in design.sections])
    with live_board() as (progress, watch):
        catalog = open_source(source, read, progress)
        tables = run_pilot(options, folder, catalog=catalog, progress=progress, watch=watch)
    write_json(folder / "report.json", tables)
    pages = write_pages(folder / "report.html", tables, render, read.lang)
    print_result(tables, as_json, [*pilot_lines(tables), f"The report: {pages}"])
