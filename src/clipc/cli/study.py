"""``clipc study``."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import Json, Out, Set, print_result, write_pages
from clipc.cli.study_screen import live_board, study_lines
from clipc.errors import UserError
from clipc.files import write_json


def study(
    name: str,
    /,
    *changes: str,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    shard: str = "1/1",
    records: Path | None = None,
    report: bool = False,
    more: Set = (),
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Arms x sizes x seeds on the same pairs, with paired differences, intervals and a page.

    Finished trials are not run again: a stopped study goes on with the same command.

    Args:
        name: A study's YAML file, or one that ships: captions, labels, loss, low-data, meaning, partners,
            pictures, pilot, rates, rules, tuned.
        changes: key=value changes to it, such as data.source=pairs.csv, set.samples=50000 or seeds=5.
        jobs: Trials at a time; on a CPU one a core by default.
        shard: i/n: run every nth trial from the ith on, for several machines on one folder.
        records: The folder with the metrics of each trial, as small JSON files; OUT/records by default.
        report: Train nothing; report the finished trials.
        more: More changes.
        out: The folder of all results; runs/study-NAME by default.
        as_json: Print the tables as one JSON object.
    """
    from clipc.report.page import load_section
    from clipc.report.study import render_study
    from clipc.report.study_figures import save_figures
    from clipc.study.design import read_study
    from clipc.study.study import run_study

    design = read_study(name, (*changes, *more))
    render = partial(render_study, more=[load_section(named) for named in design.sections])
    folder = out or Path("runs") / f"study-{design.name}"
    with live_board() as (progress, watch):
        tables = run_study(
            design,
            folder,
            records=records,
            jobs=jobs,
            shard=_shard(shard),
            train=not report,
            command=shlex.join(["clipc", *sys.argv[1:]]),
            progress=progress,
            watch=watch,
        )
    write_json(folder / "study.json", tables)
    pages = write_pages(folder / "study.html", tables, render, design.lang)
    save_figures(tables, folder, lang=design.lang)
    print_result(tables, as_json, [*study_lines(tables), f"The page: {pages}"])


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UserError(f"--shard {text} is no part: write i/n, such as 1/4 on the first of four machines.")
    return int(number), int(count)
