"""``clipc study``."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import (
    Json,
    OutFolder,
    Overrides,
    check_folder,
    print_catalog,
    print_result,
    warn_of_small_split,
    write_pages,
)
from clipc.cli.study_screen import live_board, study_lines
from clipc.errors import UserError
from clipc.files import write_json


def study(
    name: str,
    /,
    *changes: str,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    shard: str = "1/1",
    records: Annotated[Path | None, Parameter(validator=check_folder)] = None,
    report: bool = False,
    set_overrides: Overrides = (),
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Runs arms x sizes x seeds on the same pairs, then writes a page of paired differences and their intervals.

    Finished trials are not run again: a stopped study goes on with the same command.

    Args:
        name: A YAML file, or the name of a built-in study: captions, labels, loss, low-data, meaning, partners,
            pictures, pilot, rates, rules, tuned.
        changes: Changes to the study as key=value, such as data.source=pairs.csv, set.samples=50000 or seeds=5.
        jobs: Parallel trials; by default one per core on a CPU, one at a time on a GPU.
        shard: I/N: run every Nth trial from the Ith on, to divide a study among N machines that share the folder.
        records: The folder with the metrics of each trial, as small JSON files; OUT/records by default.
        report: Report the finished trials without training.
        set_overrides: More changes.
        out: The folder of all results; runs/study-NAME by default.
        as_json: Print the tables as one JSON object.
    """
    from clipc.report.page import load_section
    from clipc.report.study import render_study
    from clipc.report.study_figures import save_figures
    from clipc.study.design import read_study
    from clipc.study.study import check_study, run_study

    design = read_study(name, (*changes, *set_overrides))
    extra_sections = [load_section(section) for section in design.sections]
    render = partial(render_study, more=extra_sections)
    folder, part = out or Path("runs") / f"study-{design.name}", _shard(shard)
    check_study(design, folder, records)  # Report mistakes before reading the data.
    with live_board() as (progress, show_trials):
        catalog = design.data.open(progress)
        print_catalog(catalog)
        warn_of_small_split(catalog, design.split)
        tables = run_study(
            design,
            folder,
            catalog=catalog,
            records=records,
            jobs=jobs,
            shard=part,
            train=not report,
            command=shlex.join(["clipc", *sys.argv[1:]]),
            progress=progress,
            watch=show_trials,
        )
    write_json(folder / "study.json", tables)
    pages = write_pages(folder / "study.html", tables, render, design.lang)
    save_figures(tables, folder, lang=design.lang)
    print_result(tables, as_json, [*study_lines(tables), f"The page: {pages}"])


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UserError(f"--shard {text} is not a shard: write I/N, such as 1/4 on the first of four machines.")
    return int(number), int(count)
