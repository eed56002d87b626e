"""Searching ranges on validation: every arm gets the same number of tries, and the test split is left alone.

Optuna (Akiba et al., KDD 2019) chooses the settings and gives up early on those that fall behind. What was tried stands
in one journal file, which several processes and machines may share.
"""

import os
import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.study.design import Arm, Study, arm_recipe
from clipc.study.pool import Pool
from clipc.study.run import jobs_for
from clipc.study.spread import Range, flat, shown
from clipc.train.loop import train
from clipc.train.recipe import Recipe
from clipc.train.run import Run

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Found:
    """What a search found for one arm.

    Attributes:
        arm: The arm's name.
        settings: The best values of its ranges, by dotted key.
        validation: Their mean recall on validation.
        tried: How many settings were tried.
        pruned: How many of them were given up early.
    """

    arm: str
    settings: dict[str, Any]
    validation: float
    tried: int
    pruned: int


class _Pruned(Exception):
    """A setting has fallen behind."""


def search(
    study: Study,
    catalog: Catalog,
    folder: Path,
    *,
    jobs: int | None = None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Found]:
    """Tries as many settings as the study asks for, for each arm, and names the best.

    All are trained with the study's first seed on all training pairs, and judged by the best mean recall on validation.

    Args:
        study: With ranges.
        catalog: The data, with a split ``val``.
        folder: Where they train; ``search.journal`` in it holds what was tried.
        jobs: Settings tried at a time.
        progress: Told how many have been tried.
        tell: Told each arm's best, in sentences.

    Raises:
        UserError: Optuna is not installed, or other processes are still trying settings.
    """
    _optuna()
    assert study.search is not None
    folder.mkdir(parents=True, exist_ok=True)
    journal, arms = folder / "search.journal", study.expanded
    missing = {arm.name: study.search.trials - _tried(_asked(journal, study, arm, revive=True)) for arm in arms}
    turns = range(study.search.trials)
    tasks = [(study, arm, catalog, folder, journal, turn) for turn in turns for arm in arms if turn < missing[arm.name]]
    if tasks:
        first = arm_recipe(study, arms[0], study.seeds[0], "all", _any(study, arms[0]))
        jobs, threads = jobs_for(first, len(tasks), jobs)
        done: set[str] = set()
        pool = Pool(jobs, threads)
        try:

            def told(index: str, shown: int, total: int) -> None:
                if shown >= total:
                    done.add(index)
                progress("searching (settings)", len(done), len(tasks))

            pool.map(_try, [(*task, threads) for task in tasks], told)
        finally:
            pool.close()
    found = [_best(journal, study, arm) for arm in arms]
    for best in found:
        values = ", ".join(f"{key}={shown(value)}" for key, value in best.settings.items())
        tell(
            f"{best.arm}: {values} is best on validation ({best.validation:.1%} mean recall) "
            f"of {best.tried} tried, {best.pruned} of them given up early."
        )
    return found


def with_settings(study: Study, found: Sequence[Found]) -> Study:
    """The study with every arm's best settings in place of its ranges: what is then measured on the test split."""
    settings = {best.arm: best.settings for best in found}
    shared = {key: value for key, value in flat(study.set).items() if not isinstance(value, Range)}
    arms = {
        arm.name: {
            **{key: value for key, value in arm.changes.items() if not isinstance(value, Range)},
            **settings[arm.name],
            "what": arm.what,
        }
        for arm in study.expanded
    }
    return study.model_copy(update={"set": shared, "arms": arms})


def _try(
    study: Study,
    arm: Arm,
    catalog: Catalog,
    folder: Path,
    journal: Path,
    turn: int,
    threads: int,
    progress: Progress = silent,
) -> None:
    """Tries one setting of one arm, unless other machines have tried enough; what a dead process left comes first."""
    assert study.search is not None
    import optuna

    asked = _asked(journal, study, arm, turn)
    if _tried(asked) >= study.search.trials:
        return
    trial = asked.ask()
    trial.set_user_attr("host", platform.node())
    trial.set_user_attr("process", os.getpid())
    for key, spread in _ranges(study, arm).items():
        _suggest(trial, key, spread)
    recipe = _with(arm_recipe(study, arm, study.seeds[0], "all", trial.params), threads)
    run = Run(folder / "search" / recipe.identity(catalog.fingerprint))
    reported: set[int] = set()

    def watched(what: str, done: int, total: int) -> None:
        progress(what, min(done, total - 1), total)
        for record in run.metrics():
            if "validation" in record and record["step"] not in reported:
                reported.add(record["step"])
                trial.report(record["validation"]["mean_recall"], record["step"])
                if trial.should_prune():
                    raise _Pruned

    try:
        finished = train(recipe, run.folder, catalog=catalog, progress=watched).finished or {}
        asked.tell(trial.number, finished["best"]["mean_recall"])
    except _Pruned:
        asked.tell(trial.number, state=optuna.trial.TrialState.PRUNED)
    progress("searching", 1, 1)


def _with(recipe: Recipe, threads: int) -> Recipe:
    if not recipe.validations:
        raise UserError("a search judges by validation; set validations to 1 or more.")
    return recipe if recipe.threads else recipe.model_copy(update={"threads": threads})


def _suggest(trial: "optuna.Trial", key: str, spread: Range) -> None:
    if spread.one_of:
        trial.suggest_categorical(key, spread.one_of)
        return
    assert spread.low is not None
    assert spread.high is not None
    if spread.whole:
        trial.suggest_int(key, int(spread.low), int(spread.high), log=spread.log)
    else:
        trial.suggest_float(key, spread.low, spread.high, log=spread.log)


def _ranges(study: Study, arm: Arm) -> dict[str, Range]:
    changes = {**flat(study.set), **arm.changes}
    return {key: value for key, value in changes.items() if isinstance(value, Range)}


def _any(study: Study, arm: Arm) -> Mapping[str, Any]:
    return {key: r.one_of[0] if r.one_of else r.low for key, r in _ranges(study, arm).items()}


def _asked(journal: Path, study: Study, arm: Arm, turn: int = 0, *, revive: bool = False) -> "optuna.Study":
    """Optuna's record of one arm; ``revive`` puts settings that dead processes of this machine left in line again."""
    optuna = _optuna()
    seed = int.from_bytes(blake2b(f"{arm.name} {turn}".encode(), digest_size=4).digest())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    asked = optuna.create_study(
        study_name=f"{study.name}: {arm.name}",
        storage=_storage(journal),
        sampler=sampler,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        direction="maximize",
        load_if_exists=True,
    )
    for trial in asked.get_trials(deepcopy=False) if revive else ():
        if trial.state == optuna.trial.TrialState.RUNNING and _dead(trial.user_attrs):
            asked.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            asked.enqueue_trial(trial.params)
    return asked


def _dead(attributes: Mapping[str, Any]) -> bool:
    if attributes.get("host") != platform.node():
        return False
    try:
        os.kill(int(attributes["process"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _storage(journal: Path) -> "optuna.storages.BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(journal)))


def _tried(asked: "optuna.Study") -> int:
    """How many settings of an arm have been tried, or are being tried."""
    states = _optuna().trial.TrialState
    return len(asked.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.RUNNING)))


def _best(journal: Path, study: Study, arm: Arm) -> Found:
    assert study.search is not None
    states = _optuna().trial.TrialState
    trials = _asked(journal, study, arm).get_trials(deepcopy=False)
    if running := sum(trial.state == states.RUNNING for trial in trials):
        raise UserError(
            f"the study {study.name}: {running} settings of {arm.name!r} are still being tried by other processes; "
            "run the same command again when they are done."
        )
    # Machines that ask at the same moment may try one too many; every arm has the same number.
    counted = [t for t in trials if t.state in (states.COMPLETE, states.PRUNED)][: study.search.trials]
    complete = [(t.value, t.params) for t in counted if t.state == states.COMPLETE and t.value is not None]
    value, settings = max(complete, key=lambda pair: pair[0])
    return Found(arm.name, dict(settings), value, len(counted), len(counted) - len(complete))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError(
            'ranges are searched by Optuna; pip install "clipc[tuning]", or name lists (each: [...]).'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
