"""A study from beginning to end: ranges are searched, missing trials run, and what is finished becomes tables."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.study.board import Board
from clipc.study.checks import check_arms
from clipc.study.design import Study, check_recipes
from clipc.study.noise import log_power_once, noise_of, power_lines, prior_power_lines
from clipc.study.run import Planned, check_weights, diverged_of, finished_of, missing_of, plan_study, run_missing
from clipc.study.search_results import SearchResult
from clipc.study.study_tables import study_tables, write_parquet
from clipc.study.tuning import search

logger = logging.getLogger(__name__)


def run_study(
    study: Study,
    folder: Path,
    *,
    catalog: Catalog | None = None,
    records: Path | None = None,
    jobs: int | None = None,
    shard: tuple[int, int] = (1, 1),
    train: bool = True,
    command: str = "clipc study",
    progress: Progress = silent,
    watch: Callable[[Board], None] = lambda _: None,
) -> dict[str, Any]:
    """Arms x sizes x seeds on the same pairs, with paired differences; finished trials are not run again.

    Writes ``study.parquet`` (one row for each trial and metric) into the folder. What is about to be done, and how many
    seeds a difference needs, is logged.

    Args:
        study: The study; :func:`~clipc.study.design.read_study` reads one.
        folder: Where everything goes.
        catalog: The opened data; otherwise the study's source is opened.
        records: Where the metrics of each trial are stored, as small JSON files; ``folder/records`` by default.
        jobs: Trials at a time; on a CPU one a core by default, on a GPU one.
        shard: Part i of n, from 1: this process runs every nth trial, for several machines on one folder.
        train: Whether missing trials are run; otherwise only finished trials are reported.
        command: The command line, for the page.
        progress: Shows what takes long before the trials begin.
        watch: Shown the state of all trials while they run.

    Returns:
        The tables that :func:`clipc.report.render_study` draws, ready for JSON.

    Raises:
        UserError: Something in the study is wrong, a trial failed, or nothing is finished yet.
        Interrupted: Ctrl-C or SIGTERM; running trials have saved themselves.
    """
    records = records or folder / "records"
    for path in (folder, records):
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; name a folder for the study's records.")
    check_recipes(study)  # Errors of the file are reported before the data are read.
    catalog = catalog or study.data.open(progress)
    search_results = list[SearchResult]()
    if study.ranges:
        journal = records / "search.journal"
        search_results = search(study, catalog, folder, journal, jobs=jobs, train=train, progress=progress)
        study = study.settled({result.arm: result.settings for result in search_results})
    planned = plan_study(study, catalog, folder, records)
    if train:
        missing = missing_of(study, planned)
        check_weights(study, missing)
        check_arms(study, catalog, {p.trial.arm for p in missing})
    finished = finished_of(study, planned)
    power = noise_of(study, finished)
    for line in _summary_lines(study, planned, len(finished), len(diverged_of(study, planned)), power):
        logger.info(line)
    if train:
        log_power = log_power_once(study, planned, logged=bool(power))

        def on_update(board: Board) -> None:
            watch(board)
            log_power(board)

        run_missing(study, planned, jobs=jobs, shard=shard, progress=progress, watch=on_update)
    finished, diverged = finished_of(study, planned), diverged_of(study, planned)
    for line in _diverged_lines(diverged, len(study.seeds)):
        logger.warning(line)
    if not finished:
        reason = "no trial has metrics" if diverged else f"no trial of {study.name} is finished yet"
        raise UserError(f"{reason}, so there is nothing to report{'' if diverged else '; run it first'}.")
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(finished, folder / "study.parquet")
    return study_tables(study, catalog, finished, len(planned), command, diverged, search_results)


def _summary_lines(
    study: Study, planned: Sequence[Planned], finished: int, diverged: int, power: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What is about to be done, and how many seeds a difference needs, given the measured noise."""
    arms, sizes = len(study.expanded), len({p.size for p in planned})
    lines = [
        f"{study.name}: {arms} arms x {sizes} {'size' if sizes == 1 else 'sizes'} x {len(study.seeds)} seeds = "
        f"{len(planned)} trials; {finished} finished already{f', {diverged} diverged' if diverged else ''}."
    ]
    if power:
        return [*lines, *power_lines(power, len(study.seeds))]
    data = planned[0].catalog
    # Both ways of retrieval; where there are labels, zero-shot classification and the probe.
    metrics = len(study.main) or 2 + 2 * len(data.about.label_columns)
    return [*lines, *prior_power_lines(data.splits["test"], metrics, len(study.seeds))]


def _diverged_lines(diverged: Sequence[tuple[Planned, int]], seeds: int) -> list[str]:
    """For each arm and size a sentence: which seeds diverged, at which steps, and where that is noted."""
    groups: dict[tuple[str, int], list[tuple[Planned, int]]] = {}
    for p, step in diverged:
        groups.setdefault((p.trial.arm, p.size), []).append((p, step))
    lines: list[str] = []
    for (arm, size), trials in groups.items():
        where = ", ".join(f"seed {p.trial.recipe.seed} at step {step}" for p, step in trials)
        lines.append(
            f"arm {arm!r}, {size:,} pairs: the loss was not a number with {len(trials)} of {seeds} seeds ({where}); "
            "they are left out of all comparisons. A lower learning_rate or precision=fp32 may help; to run them "
            f"as they are again, remove {', '.join(str(p.record) for p, _ in trials)}."
        )
    return lines
