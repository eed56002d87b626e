"""A study from beginning to end: it searches ranges, runs the missing trials and makes tables of the finished ones."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.study.board import StatusBoard
from clipc.study.checks import check_arms
from clipc.study.design import Study
from clipc.study.noise import log_power_once, power_lines, prior_power_lines, study_power
from clipc.study.recipes import check_recipes
from clipc.study.run import (
    PlannedTrial,
    check_weights,
    diverged_trials,
    finished_trials,
    fold_catalogs,
    pending_trials,
    plan_study,
    run_pending,
)
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
    watch: Callable[[StatusBoard], None] = lambda _: None,
) -> dict[str, Any]:
    """Runs every arm at every size with every seed on the same pairs, and compares the arms.

    Finished trials are not run again. The function writes ``study.parquet`` (one row for each trial and metric) into
    the folder. It logs how many trials there are, and how many seeds are needed to find a difference.

    Args:
        study: The study; :func:`~clipc.study.design.read_study` reads one.
        folder: The study's folder; all files are written there.
        catalog: The opened data; otherwise the study's source is opened.
        records: Where the metrics of each trial are stored, as small JSON files; ``folder/records`` by default.
        jobs: Parallel trials; by default one per core on a CPU, one at a time on a GPU.
        shard: Part i of n, from 1: this process runs every nth trial, for several machines on one folder.
        train: Whether missing trials are run; otherwise only finished trials are reported.
        command: The command line, for the page.
        progress: Receives the progress of long steps before the trials begin.
        watch: Called with the state of all trials while they run.

    Returns:
        The tables that :func:`clipc.report.render_study` draws, ready for JSON.

    Raises:
        UserError: The study has an error, a trial failed, or no trial is finished yet.
        Interrupted: On Ctrl-C or SIGTERM; running trials have saved a checkpoint.
    """
    check_study(study, folder, records)
    records = records or folder / "records"
    catalog = catalog or study.data.open(progress)
    search_results = list[SearchResult]()
    if study.has_ranges:
        journal = records / "search.journal"
        search_results = search(study, catalog, folder, journal, jobs=jobs, train=train, progress=progress)
        study = study.with_settings({result.arm: result.settings for result in search_results})
    planned = plan_study(study, catalog, folder, records)
    if train:
        pending = pending_trials(study, planned)
        check_weights(study, pending)
        check_arms(study, fold_catalogs(study, catalog)[0], {p.trial.arm for p in pending})
    finished = finished_trials(study, planned)
    power = study_power(study, finished)
    for line in _summary_lines(study, planned, len(finished), len(diverged_trials(study, planned)), power):
        logger.info(line)
    if train:
        log_power = log_power_once(study, planned, logged=bool(power))

        def on_update(board: StatusBoard) -> None:
            watch(board)
            log_power(board)

        run_pending(study, planned, jobs=jobs, shard=shard, progress=progress, on_update=on_update)
    finished, diverged = finished_trials(study, planned), diverged_trials(study, planned)
    for line in _diverged_lines(diverged, len(study.seeds)):
        logger.warning(line)
    if not finished:
        reason = "no trial has metrics" if diverged else f"no trial of {study.name} is finished yet"
        raise UserError(f"{reason}, so there is nothing to report{'' if diverged else '; run it first'}.")
    write_parquet(finished, folder / "study.parquet")
    return study_tables(study, catalog, finished, len(planned), command, diverged, search_results)


def check_study(study: Study, folder: Path, records: Path | None = None) -> None:
    """Checks a study before its data are read.

    Args:
        study: The study.
        folder: As for :func:`run_study`.
        records: As for :func:`run_study`.

    Raises:
        UserError: The study has an error, or one of the folders is a file.
    """
    for path in (folder, records or folder / "records"):
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; name a folder for the study's records.")
    check_recipes(study)


def _summary_lines(
    study: Study, planned: Sequence[PlannedTrial], finished: int, diverged: int, power: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Says how many trials there are, and how many seeds are needed to find a difference."""
    arms, sizes = len(study.expanded_arms), len({p.size for p in planned})
    folds = f" x {study.folds} folds" if study.folds else ""
    lines = [
        f"{study.name}: {arms} arms x {sizes} {'size' if sizes == 1 else 'sizes'} x {len(study.seeds)} seeds{folds} = "
        f"{len(planned)} trials; {finished} finished already{f', {diverged} diverged' if diverged else ''}."
    ]
    if power:
        return [*lines, *power_lines(power, len(study.seeds))]
    data = planned[0].catalog
    metrics = len(study.main) or (2 if data.about.label_columns else 1)  # Retrieval, and zero-shot classification.
    tested = sum({p.fold: p.catalog.splits[study.split] for p in planned}.values())
    return [*lines, *prior_power_lines(tested, metrics, len(study.seeds))]


def _diverged_lines(diverged: Sequence[tuple[PlannedTrial, int]], seeds: int) -> list[str]:
    """One sentence for each arm and size with diverged seeds: the seeds, the steps, and the records to remove."""
    groups: dict[tuple[str, int], list[tuple[PlannedTrial, int]]] = {}
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
