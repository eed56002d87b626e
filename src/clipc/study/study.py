"""A study from beginning to end: ranges are searched, missing trials run, and what is finished becomes tables."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.study.board import Board
from clipc.study.cautions import diverged_lines
from clipc.study.checks import check_arms
from clipc.study.design import Study, checked
from clipc.study.found import Found, with_settings
from clipc.study.run import Planned, check_weights, diverged_of, finished_of, missing_of, plan_study, run_missing
from clipc.study.seeds_told import guessed_lines, noise_seen, power_lines, told_once
from clipc.study.study_tables import study_tables, write_parquet
from clipc.study.tuning import search


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
        journal = records / "search.journal"
        found = search(study, catalog, folder, journal, jobs=jobs, train=train, progress=progress, tell=tell)
        study = with_settings(study, found)
    planned = plan_study(study, catalog, folder, records)
    if train:
        missing = missing_of(study, planned)
        check_weights(study, missing)
        check_arms(study, catalog, {p.trial.arm for p in missing})
    known = finished_of(study, planned)
    seen = noise_seen(study, known)
    for sentence in _described(study, planned, len(known), len(diverged_of(study, planned)), seen):
        tell(sentence)
    if train:
        later = told_once(study, planned, tell, already=bool(seen))

        def watched(board: Board) -> None:
            watch(board)
            later(board)

        run_missing(study, planned, jobs=jobs, shard=shard, progress=progress, watch=watched)
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
    study: Study, planned: Sequence[Planned], finished: int, diverged: int, seen: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What is about to be done, and how many seeds a difference needs, given the noise seen."""
    arms, sizes = len(study.expanded), len({p.size for p in planned})
    lines = [
        f"{study.name}: {arms} arms x {sizes} {'size' if sizes == 1 else 'sizes'} x {len(study.seeds)} seeds = "
        f"{len(planned)} trials; {finished} finished already{f', {diverged} diverged' if diverged else ''}."
    ]
    if seen:
        return [*lines, *power_lines(seen, len(study.seeds))]
    data = planned[0].catalog
    # Both ways of retrieval; where there are labels, zero-shot classification and the probe.
    metrics = len(study.main) or 2 + 2 * len(data.about.label_columns)
    return [*lines, *guessed_lines(data.splits["test"], metrics, len(study.seeds))]
