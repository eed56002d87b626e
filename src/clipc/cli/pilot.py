"""``clipc pilot``."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.source import Columns, Json, Out, data_of, opened, short_name, show, write
from clipc.cli.study_screen import LiveBoard, pilot_lines


def pilot(
    source: str = "demo",
    /,
    *,
    budget: Literal["quick", "standard", "long"] | None = None,
    minutes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    seeds: Annotated[int, Parameter(validator=Number(gte=3))] = 3,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    recipe: str | None = None,
    override: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    templates: str = "auto",
    pictures: bool = True,
    columns: Columns | None = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """CLIP, its controls and CLIP-C on the same pairs and seeds, in the time you give; then a report.

    Args:
        source: A tar, a folder or glob of tars, a table (CSV, TSV, JSONL, Parquet), a folder of images, a
            Hugging Face set (hf:owner/name), or the built-in demo set.
        budget: quick (under 5 minutes, without the controls; the demo's default), standard (20 minutes) or
            long (90).
        minutes: The time for everything, instead of the budget's.
        seeds: How many seeds, 3 at least.
        jobs: Trials at a time; on a CPU one a core by default.
        recipe: The recipe that all arms share: a YAML file, or one that ships; nano for quick, else small.
        override: A change to the recipe, such as policy.rho=0.15; may be repeated.
        templates: Prompts for zero-shot classification: auto, general, satellite, x-ray, factory, or a file.
        pictures: Whether the report shows pictures; --no-pictures for private ones.
        columns: How the source is read.
        out: Where everything goes; runs/pilot-NAME by default.
        as_json: Print the report's tables as one JSON object.
    """
    from clipc.report.pilot import render_pilot
    from clipc.study.pilot import PilotOptions, run_pilot

    columns = columns or Columns()
    folder = out or Path("runs") / f"pilot-{short_name(source)}{'' if columns.lang == 'en' else f'-{columns.lang}'}"
    named = budget or ("quick" if source == "demo" and minutes is None else "standard")
    options = PilotOptions(
        data=data_of(source, columns),
        budget=named,
        minutes=minutes,
        seeds=seeds,
        jobs=jobs,
        overrides=override,
        recipe=recipe or ("nano" if named == "quick" else "small"),
        templates=templates,
        pictures=pictures,
        command=shlex.join(["clipc", *sys.argv[1:]]),
    )
    with LiveBoard() as board:
        catalog = opened(source, columns, board.progress)
        tables = run_pilot(options, folder, catalog=catalog, progress=board.progress, watch=board.show)
    write(folder / "report.json", json.dumps(tables, indent=1, ensure_ascii=False))
    other = "ja" if columns.lang == "en" else "en"
    write(folder / "report.html", render_pilot(tables, lang=columns.lang))
    write(folder / f"report.{other}.html", render_pilot(tables, lang=other))
    show(tables, as_json, [*pilot_lines(tables), f"The report: {folder / 'report.html'} (and report.{other}.html)"])
