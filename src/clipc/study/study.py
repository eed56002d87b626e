"""A study from beginning to end: ranges are searched, missing trials run, and what is finished becomes tables."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.study.board import Board
from clipc.study.cautions import diverged_lines
from clipc.study.checks import check_arms
from clipc.study.design import Study, checked
from clipc.study.found import Found, with_settings
from clipc.study.noise import noise
from clipc.study.results import Outcome, metrics_table
from clipc.study.run import Planned, check_weights, diverged_of, finished_of, missing_of, plan_study, run_missing
from clipc.study.study_tables import study_tables, write_parquet
from clipc.study.tuning import search

_DISAGREEMENT: Final = 0.2
"""The share of test images that two models are taken to disagree on before any have been compared."""


def run_study(
    study: Study,
    folder: Path,
    *,
    records: Path | None = None,
    jobs: int | None = None,
    shard: tuple[int, int] = (1, 1),
    train: bool = True,
    command: str = "clipc study",
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
    watch: Callable[[Board], None] = lambda _: None,
) -> dict[str, Any]:
    """Arms x sizes x seeds on the same pairs, with paired differences; finished trials are not run again.

    Writes ``study.parquet`` (one row for each trial and metric) into the folder.

    Args:
        study: What is asked; :func:`~clipc.study.design.read_study` reads one.
        folder: Where everything goes.
        records: Where the figures of each trial are kept, as small JSON files; ``folder/records`` by default.
        jobs: Trials at a time; on a CPU one a core by default, on a GPU one.
        shard: Part i of n, from 1: this process runs every nth trial, for several machines on one folder.
        train: Whether missing trials are run; otherwise only what is finished is told.
        command: The command line, for the page.
        progress: Told what takes long before the trials begin.
        tell: Told what is about to be done, in sentences.
        watch: Shown the state of all trials while they run.

    Returns:
        The tables that :func:`clipc.report.study.render_study` draws, ready for JSON.

    Raises:
        UserError: Something in the study is wrong, a trial failed, or nothing is finished yet.
        Interrupted: Ctrl-C or SIGTERM; running trials have saved themselves.
    """
    records = records or folder / "records"
    for place in (folder, records):
        if place.exists() and not place.is_dir():
            raise UserError(f"{place} is a file; name a folder for the study's figures.")
    checked(study)  # Mistakes of the file are told before the data are read.
    catalog = study.data.open(progress)
    found = list[Found]()
    if study.ranges:
        found = search(study, catalog, folder, jobs=jobs, train=train, progress=progress, tell=tell)
        study = with_settings(study, found)
    planned = plan_study(study, catalog, folder, records)
    if train:
        missing = missing_of(study, planned)
        check_weights(study, missing)
        check_arms(study, catalog, {p.trial.arm for p in missing})
    for sentence in _described(study, planned, finished_of(study, planned), len(diverged_of(study, planned))):
        tell(sentence)
    if train:
        run_missing(study, planned, jobs=jobs, shard=shard, progress=progress, watch=watch)
    finished, diverged = finished_of(study, planned), diverged_of(study, planned)
    for sentence in diverged_lines(diverged, len(study.seeds)):
        tell(sentence)
    if not finished:
        said = "no trial has figures" if diverged else f"no trial of {study.name} is finished yet"
        raise UserError(f"{said}, so there is nothing to tell{'' if diverged else '; run it first'}.")
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(finished, folder / "study.parquet")
    return study_tables(study, catalog, finished, len(planned), command, diverged, found)


def _described(
    study: Study, planned: Sequence[Planned], known: Sequence[tuple[Planned, Outcome]], diverged: int
) -> list[str]:
    """What is about to be done, and how many seeds a difference needs, given the noise seen."""
    arms, sizes = len(study.expanded), len({p.size for p in planned})
    lines = [
        f"{study.name}: {arms} arms x {sizes} {'size' if sizes == 1 else 'sizes'} x {len(study.seeds)} seeds = "
        f"{len(planned)} trials; {len(known)} finished already{f', {diverged} diverged' if diverged else ''}."
    ]
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for plan, outcome in known:
        groups.setdefault((plan.trial.arm, plan.size), []).append(outcome)
    rows = noise(groups, metrics_table([o for _, o in known]), study.compared_with) if known else []
    if not rows:
        images = planned[0].catalog.splits["test"]
        chance = 100 * 1.96 * math.sqrt(_DISAGREEMENT / images)
        return [
            *lines,
            "How many seeds a difference needs is known once two arms differ in two seeds; until then: two models that "
            f"disagree on one of five test images ({images:,}) differ by up to {chance:.1f} points by chance alone.",
        ]
    for row in rows:
        within = [r for r in row["rows"] if r["seeds"] is not None]
        needed = [f"{100 * r['difference']:g} points take {r['seeds']} seeds" for r in within]
        if row["floor"] is not None:
            needed.append(f"below {100 * row['floor']:.1f} points no number of seeds would do on this test set")
        lines.append(f"{row['metric']}: differences vary by {100 * row['sd']:.1f} points (s.d.); {', '.join(needed)}.")
    return [*lines, f"So many seeds find such a difference four times in five; there are {len(study.seeds)}."]
