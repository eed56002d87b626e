"""What a search has tried: Optuna's record of each arm in one journal file, which processes and machines may share."""

import os
import platform
import time
import warnings
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.recipe.recipe import Recipe
from clipc.study.design import Arm, Study, arm_recipe, first_values, ranges_of

if TYPE_CHECKING:
    import optuna

DEAD_AFTER: Final = 15 * 60.0
"""Seconds without a heartbeat after which a try counts as dead."""

SEARCH_SEED: Final = 2**31
"""Far from what anybody counts up to."""

HEARTBEAT_EVERY: Final = 60.0
"""Seconds between two signs of life of a try."""


def search_seed(study: Study) -> int:
    """The seed that settings are tried with. It is none of the study's: luck with it must not be measured again.

    It stays the same when a study is given more seeds, and so does what was found.
    """
    seed = SEARCH_SEED
    while seed in study.seeds:
        seed += 1
    return seed


def first_recipe(study: Study, arm: Arm) -> Recipe:
    """An arm's recipe with the first value of each range."""
    return arm_recipe(study, arm, search_seed(study), "all", first_values(ranges_of(study, arm)))


def search_key(study: Study, arm: Arm, catalog: Catalog) -> str:
    """Names what an arm's tries depend on: its recipe and seed, its ranges, and the data."""
    ranges = sorted(ranges_of(study, arm).items())
    text = repr((arm.name, first_recipe(study, arm).same_run(catalog.fingerprint), ranges))
    return blake2b(text.encode(), digest_size=5).hexdigest()


def open_tries(journal: Path, study: Study, arm: Arm, catalog: Catalog, *, requeue: bool = False) -> "optuna.Study":
    """Optuna's record of one arm, made if there is none.

    Args:
        journal: The file.
        study: With ranges.
        arm: One of its arms.
        catalog: The data.
        requeue: Whether settings that dead processes left are put in line again.
    """
    optuna = load_optuna()
    optuna_study = optuna.create_study(
        study_name=_name(study, arm, catalog),
        storage=_storage(journal),
        # While the learning rate rises nothing is given up.
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=4, n_warmup_steps=max(2, first_recipe(study, arm).validations // 5)
        ),
        direction="maximize",
        load_if_exists=True,
    )
    for trial in optuna_study.get_trials(deepcopy=False) if requeue else ():
        if not is_dead(trial):
            continue
        try:
            optuna_study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            continue  # Another process has put it in line at the same moment.
        optuna_study.enqueue_trial(trial.params)
    return optuna_study


def make_sampler(text: str) -> "optuna.samplers.BaseSampler":
    """A sampler whose draws follow from a text."""
    optuna = load_optuna()
    seed = int.from_bytes(blake2b(text.encode(), digest_size=4).digest())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _name(study: Study, arm: Arm, catalog: Catalog) -> str:
    return f"{study.name}: {arm.name} {search_key(study, arm, catalog)}"


def is_dead(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether a try is running by the journal but its process is gone, or silent for :data:`DEAD_AFTER`."""
    if trial.state != load_optuna().trial.TrialState.RUNNING:
        return False
    attributes = trial.user_attrs
    last_seen = attributes.get("seen", trial.datetime_start.timestamp() if trial.datetime_start else None)
    # A process that is there proves nothing: its number may be another one's by now.
    if last_seen is not None and time.time() - last_seen > DEAD_AFTER:
        return True
    if attributes.get("host") != platform.node() or "process" not in attributes:
        return False
    try:
        os.kill(int(attributes["process"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


class Heartbeat:
    """The heartbeat of a try, by which processes on other machines know that it is running."""

    def __init__(self, trial: "optuna.Trial") -> None:
        """Says which process is at work, and that it has begun.

        Args:
            trial: The try.
        """
        self._trial = trial
        self._last = 0.0
        self._write(time.time())
        trial.set_user_attr("host", platform.node())
        trial.set_user_attr("process", os.getpid())

    def beat(self) -> None:
        """Says that the try goes on, once in :data:`REFRESHED` at most.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: Another process took the try for dead.
        """
        if time.monotonic() - self._last > HEARTBEAT_EVERY:
            self._write(time.time())

    def stop(self) -> None:
        """Says that the try has ended too soon: whoever comes next may take it over at once."""
        with suppress(load_optuna().exceptions.UpdateFinishedTrialError):
            self._write(0.0)

    def _write(self, timestamp: float) -> None:
        self._trial.set_user_attr("seen", timestamp)
        self._last = time.monotonic()


def _storage(journal: Path) -> "optuna.storages.BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(journal)))


def count_tries(optuna_study: "optuna.Study") -> int:
    """How many settings of an arm have been tried, or are being tried."""
    states = load_optuna().trial.TrialState
    return len(optuna_study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.RUNNING)))


def num_tries(study: Study, arm: Arm) -> int:
    """How many settings of an arm are tried: what the study asks for, one where there is nothing to choose."""
    assert study.search is not None
    return study.search.trials if ranges_of(study, arm) else 1


def read_tries(journal: Path, study: Study, arm: Arm, catalog: Catalog) -> "list[optuna.trial.FrozenTrial]":
    """The tries of one arm that stand in the journal; nothing is written, as opening them would."""
    if not journal.is_file():
        return []
    name = _name(study, arm, catalog)
    try:
        return load_optuna().load_study(study_name=name, storage=_storage(journal)).get_trials(deepcopy=False)
    except KeyError:  # The journal knows no such study.
        return []


def load_optuna() -> Any:
    """The module ``optuna``.

    Raises:
        UserError: It is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UserError(
            'ranges are searched by Optuna; pip install "clipc[tuning]", or name lists (each: [...]).'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
