"""The tries of a search, one Optuna study for each arm, in a journal file that processes and machines may share."""

import os
import platform
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.installation import install_command
from clipc.recipe.recipe import Recipe
from clipc.study.arms import Arm, Range
from clipc.study.design import Study
from clipc.study.recipes import arm_recipe, first_values, ranges_of

if TYPE_CHECKING:
    import optuna

DEAD_AFTER: Final = 15 * 60.0
"""Seconds without a heartbeat after which a try counts as dead."""

SEARCH_SEED: Final = 2**31
"""The seed of a search unless the study uses it; it is larger than seeds in use."""

HEARTBEAT_EVERY: Final = 60.0
"""Seconds between two heartbeats of a try."""


def search_seed(study: Study) -> int:
    """The seed with which settings are tried.

    It is not one of the study's seeds: settings that are best by luck with a seed must not be evaluated with this seed
    again. The search seed does not change when ordinary seeds are added to a study.
    """
    seed = SEARCH_SEED
    while seed in study.seeds:
        seed += 1
    return seed


@dataclass(frozen=True)
class ArmSearch:
    """The search of one arm, whose tries are stored in Optuna's journal.

    Attributes:
        study: A study with ranges.
        arm: An arm of the study.
        catalog: The data.
        journal: The journal file, which all arms share.
    """

    study: Study
    arm: Arm
    catalog: Catalog
    journal: Path

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """The ranges of the arm, by dotted key."""
        return ranges_of(self.study, self.arm)

    @cached_property
    def recipe(self) -> Recipe:
        """The arm's recipe with the first value of each range."""
        return arm_recipe(self.study, self.arm, search_seed(self.study), "all", first_values(self.ranges))

    @cached_property
    def key(self) -> str:
        """A hash of everything that the tries depend on: recipe, seed, ranges and data."""
        text = repr((self.arm.name, self.recipe.same_run(self.catalog.fingerprint), sorted(self.ranges.items())))
        return blake2b(text.encode(), digest_size=5).hexdigest()

    @property
    def name(self) -> str:
        """The name of Optuna's study."""
        return f"{self.study.name}: {self.arm.name} {self.key}"

    @property
    def num_tries(self) -> int:
        """The number of settings to try: the study's number, or 1 for an arm without ranges."""
        assert self.study.search is not None
        return self.study.search.trials if self.ranges else 1

    def open(self, *, requeue: bool = False) -> "optuna.Study":
        """Optuna's study of this arm, created if it does not exist.

        Args:
            requeue: Whether the settings of dead tries are enqueued again.
        """
        optuna = load_optuna()
        # No try is pruned in the first fifth of the training, while the learning rate warms up.
        warmup = max(2, self.recipe.validations // 5)
        optuna_study = optuna.create_study(
            study_name=self.name,
            storage=_storage(self.journal),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=warmup),
            direction="maximize",
            load_if_exists=True,
        )
        for trial in filter(is_dead, optuna_study.get_trials(deepcopy=False) if requeue else ()):
            try:
                optuna_study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
                continue  # Another process has enqueued it at the same moment.
            optuna_study.enqueue_trial(trial.params)
        return optuna_study

    def tries(self) -> "list[optuna.trial.FrozenTrial]":
        """The tries in the journal. Unlike :meth:`open`, this never writes to the journal."""
        if not self.journal.is_file():
            return []
        try:
            return load_optuna().load_study(study_name=self.name, storage=_storage(self.journal)).get_trials(False)
        except KeyError:  # The journal knows no such study.
            return []


def make_sampler(text: str) -> "optuna.samplers.BaseSampler":
    """A sampler whose random draws are determined by a text."""
    optuna = load_optuna()
    seed = int.from_bytes(blake2b(text.encode(), digest_size=4).digest())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def is_dead(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether a try that the journal calls running has lost its process, or had no heartbeat for :data:`DEAD_AFTER`."""
    if trial.state != load_optuna().trial.TrialState.RUNNING:
        return False
    attributes = trial.user_attrs
    last_seen = attributes.get("seen", trial.datetime_start.timestamp() if trial.datetime_start else None)
    # That the process id exists proves nothing: the system may have given it to another process.
    if last_seen is not None and time.time() - last_seen > DEAD_AFTER:
        return True
    if attributes.get("host") != platform.node() or "process" not in attributes:
        return False
    try:
        with suppress(PermissionError):
            os.kill(int(attributes["process"]), 0)
    except ProcessLookupError:
        return True
    return False


class Heartbeat:
    """The heartbeat of a try, which tells processes on other machines that it is running."""

    def __init__(self, trial: "optuna.Trial") -> None:
        """Writes the first heartbeat, the host and the process id into the journal.

        Args:
            trial: The try.
        """
        self._trial = trial
        self._write(time.time())
        trial.set_user_attr("host", platform.node())
        trial.set_user_attr("process", os.getpid())

    def beat(self) -> None:
        """Writes a heartbeat, at most once in :data:`HEARTBEAT_EVERY` seconds.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: Another process has marked the try as dead.
        """
        if time.monotonic() - self._last > HEARTBEAT_EVERY:
            self._write(time.time())

    def stop(self) -> None:
        """Marks the try as dead, so that the next process enqueues its settings again at once."""
        with suppress(load_optuna().exceptions.UpdateFinishedTrialError):
            self._write(0.0)

    def _write(self, timestamp: float) -> None:
        self._trial.set_user_attr("seen", timestamp)
        self._last = time.monotonic()


def _storage(journal: Path) -> "optuna.storages.BaseStorage":
    storages = load_optuna().storages
    return storages.JournalStorage(storages.journal.JournalFileBackend(str(journal)))


def count_tries(optuna_study: "optuna.Study") -> int:
    """The number of tries of an arm that are complete, pruned or running."""
    states = load_optuna().trial.TrialState
    return len(optuna_study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.RUNNING)))


def load_optuna() -> Any:
    """The module ``optuna``.

    Raises:
        UserError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UserError(
            f"a search over ranges needs Optuna: {install_command('tuning')}; or use lists of values (each: [...])."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
