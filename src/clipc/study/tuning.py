"""The search over ranges: every arm with ranges gets the same number of tries, judged on the validation split.

Optuna (Akiba et al., KDD 2019) chooses the settings, and prunes tries that fall behind. The tries are stored in one
journal file, which several processes and machines may share.
"""

import logging
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.study.arms import Range
from clipc.study.checks import check_arms
from clipc.study.design import Study
from clipc.study.journal import ArmSearch, Heartbeat, count_tries, is_dead, load_optuna, make_sampler, search_seed
from clipc.study.pool import Pool
from clipc.study.recipes import arm_recipe
from clipc.study.run import jobs_for
from clipc.study.search_results import SearchResult, read_search_results
from clipc.train.diverged import Diverged
from clipc.train.interrupt import Interrupted, stop_signals
from clipc.train.train import train

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

POLL_EVERY: Final = 5.0
"""Seconds between two reads of the journal while other processes try settings."""


class _Pruned(Exception):
    """Optuna has decided to prune the running try."""


def search(
    study: Study,
    catalog: Catalog,
    folder: Path,
    journal: Path,
    *,
    jobs: int | None = None,
    train: bool = True,
    progress: Progress = silent,
) -> list[SearchResult]:
    """Tries the study's number of settings for each arm, and returns the best ones.

    Every try trains on all training pairs, with a seed that is not one of the study's. It is judged by the mean
    recall of its result on the validation split. An arm without ranges is tried once. Models are removed unless the
    study keeps them.

    Args:
        study: A study with ranges.
        catalog: The data, with a split ``val``.
        folder: The study's folder; tries train in ``folder/search``.
        journal: The journal file. It is stored with the records, so that a search is not repeated where these exist.
        jobs: How many tries run at a time; the default for the device if None.
        train: Whether missing settings are tried; otherwise only the journal is read, and arms with unfinished tries
            have no settings.
        progress: Receives the number of finished tries.

    Returns:
        One result for each arm.

    Raises:
        UserError: Optuna is not installed, an arm is wrong, the search is unfinished (in every arm, if not ``train``),
            or every arm diverged with all of its settings.
        Interrupted: On Ctrl-C or SIGTERM; running tries have saved a checkpoint.
    """
    load_optuna()
    searches = [ArmSearch(study, arm, catalog, journal) for arm in study.expanded_arms]
    if train:
        for recipes in check_arms(study, catalog).values():
            if not all(recipe.validations for recipe in recipes):
                raise UserError("a search compares settings on the validation split; set validations to 1 or more.")
        journal.parent.mkdir(parents=True, exist_ok=True)
        _try_all(searches, folder, jobs, progress)
    results = read_search_results(searches, unfinished=not train)
    for result in results:
        logger.info(str(result))
    return results


def _try_all(searches: Sequence[ArmSearch], folder: Path, jobs: int | None, progress: Progress) -> None:
    """Runs the missing tries, waits for those of other processes, and repeats those that other processes abandon."""
    logged: set[str] = set()
    while True:
        incomplete, busy = _remaining(searches)
        if incomplete:
            _try_missing(searches, folder, jobs, progress)
        elif busy:
            for arm, count in busy.items():
                if arm not in logged:
                    tries = f"{count} {'try' if count == 1 else 'tries'} of {arm!r}"
                    logger.info(f"{searches[0].study.name}: waiting for {tries} in other processes.")
            logged |= busy.keys()
            _wait_for_others()
        else:
            return


def _remaining(searches: Sequence[ArmSearch]) -> tuple[bool, dict[str, int]]:
    """Whether any arm lacks tries, and the number of running tries of each arm that has any."""
    states = load_optuna().trial.TrialState
    incomplete, busy = False, dict[str, int]()
    for search in searches:
        counts = Counter(trial.state for trial in search.tries() if not is_dead(trial))
        if running := counts[states.RUNNING]:
            busy[search.arm.name] = running
        incomplete |= counts[states.COMPLETE] + counts[states.PRUNED] + running < search.num_tries
    return incomplete, busy


def _wait_for_others() -> None:
    """Waits :data:`POLL_EVERY` seconds.

    Raises:
        Interrupted: On Ctrl-C or SIGTERM.
    """
    until = time.monotonic() + POLL_EVERY
    with stop_signals() as flag:
        while time.monotonic() < until:
            time.sleep(0.2)
            if flag.requested:
                raise Interrupted("stopped; the same command resumes from there.")


def _try_missing(searches: Sequence[ArmSearch], folder: Path, jobs: int | None, progress: Progress) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(search, search.num_tries - count_tries(search.open(requeue=True))) for search in searches]
    turns = range(max(count for _, count in missing))
    tasks = [(search, folder) for turn in turns for search, count in missing if turn < count]
    if not tasks:
        return
    jobs, threads = jobs_for(searches[0].recipe, len(tasks), jobs)
    done: set[str] = set()

    def report(index: str, num_samples: int, total: int) -> None:
        if num_samples >= total:
            done.add(index)
        progress("searching (settings)", len(done), len(tasks))

    with closing(Pool(jobs, threads)) as pool:
        pool.map(_try, [(*task, threads) for task in tasks], report)


def _try(search: ArmSearch, folder: Path, threads: int, progress: Progress = silent) -> None:
    """Tries one setting of an arm, unless other processes have tried enough; enqueued settings come first."""
    optuna = load_optuna()
    states = optuna.trial.TrialState
    optuna_study, study = search.open(), search.study
    if count_tries(optuna_study) >= search.num_tries:
        return
    trial = optuna_study.ask()
    heartbeat = Heartbeat(trial)
    # The number of a try is unique in the journal, so no two tries make the same random draws.
    optuna_study.sampler = make_sampler(f"{search.name} {trial.number}")
    for key, search_range in search.ranges.items():
        _suggest(trial, key, search_range, search.recipe)
    recipe = arm_recipe(study, search.arm, search_seed(study), "all", trial.params)
    name = recipe.same_run(search.catalog.fingerprint)
    trial.set_user_attr("run", name)
    other_trials = [t for t in optuna_study.get_trials(deepcopy=False) if t.number != trial.number]
    duplicates = [t for t in other_trials if t.user_attrs.get("run") == name]
    for earlier in duplicates:
        if earlier.state in (states.COMPLETE, states.PRUNED):
            optuna_study.tell(trial.number, earlier.value if earlier.state == states.COMPLETE else None, earlier.state)
            progress("searching", 1, 1)
            return
    # Only one process may use a run folder, and two processes may have drawn the same setting.
    busy = any(t.state == states.RUNNING for t in duplicates)
    run = Run(folder / "search" / search.key / (f"{name}-{trial.number}" if busy else name))
    steps = recipe.steps(search.catalog.splits["train"])
    reported: set[int] = set()

    def report(what: str, done: int, total: int) -> None:
        progress(what, min(done, total - 1), total)
        heartbeat.beat()
        for record in run.metrics():
            if "validation" not in record:
                continue
            # Batch sizes may differ, so tries are compared at equal shares of the training, counted in validations.
            ordinal = record["step"] * recipe.validations // steps
            if ordinal not in reported:
                reported.add(ordinal)
                trial.report(record["validation"]["mean_recall"], ordinal)
                if trial.should_prune():
                    raise _Pruned

    try:
        summary = train(recipe.with_threads(threads), run.folder, catalog=search.catalog, progress=report).finished
        optuna_study.tell(trial.number, (summary or {})["best"]["mean_recall"], skip_if_finished=True)
        _remove_files(run, study.keep_models is True)
    except (_Pruned, Diverged):
        optuna_study.tell(trial.number, state=states.PRUNED, skip_if_finished=True)
        _remove_files(run, study.keep_models is True)
    except optuna.exceptions.UpdateFinishedTrialError:
        pass  # Another process has marked this try as dead, and enqueued its settings again.
    except BaseException:
        heartbeat.stop()
        raise
    progress("searching", 1, 1)


def _remove_files(run: Run, keep_models: bool) -> None:
    """Removes the checkpoints of a recorded try, and its models unless they are to be kept."""
    for folder in (run.checkpoints, *(() if keep_models else (run.model, run.last_model))):
        shutil.rmtree(folder, ignore_errors=True)


def _suggest(trial: "optuna.Trial", key: str, search_range: Range, recipe: Recipe) -> None:
    """Draws a value: an integer only where both ends and the recipe's value are integers, unlike 0 to 1 for a share."""
    if search_range.one_of:
        trial.suggest_categorical(key, search_range.one_of)
        return
    assert search_range.low is not None
    assert search_range.high is not None
    if search_range.is_integer and isinstance(reduce(getattr, key.split("."), recipe), int):
        trial.suggest_int(key, int(search_range.low), int(search_range.high), log=search_range.log)
    else:
        trial.suggest_float(key, search_range.low, search_range.high, log=search_range.log)
