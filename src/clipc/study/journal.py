"""What a search has tried: Optuna's record of each arm in one journal file, which processes and machines may share."""

import os
import platform
import warnings
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.study.design import Arm, Study, arm_recipe
from clipc.study.spread import Range, flat
from clipc.train.recipe import Recipe

if TYPE_CHECKING:
    import optuna


def search_seed(study: Study) -> int:
    """The seed that settings are tried with. It is none of the study's: luck with it must not be measured again."""
    return max(study.seeds) + 1


def ranges_of(study: Study, arm: Arm) -> dict[str, Range]:
    """What is searched for an arm, by dotted key: its own ranges, and those of all arms that it does not fix."""
    changes = {**flat(study.set), **arm.changes}
    return {key: value for key, value in changes.items() if isinstance(value, Range)}


def first_recipe(study: Study, arm: Arm) -> Recipe:
    """An arm's recipe with the first value of each range."""
    settings = {key: r.one_of[0] if r.one_of else r.low for key, r in ranges_of(study, arm).items()}
    return arm_recipe(study, arm, search_seed(study), "all", settings)


def search_key(study: Study, arm: Arm, catalog: Catalog) -> str:
    """Names what an arm's tries depend on: its recipe and seed, its ranges, and the data."""
    ranges = sorted(ranges_of(study, arm).items())
    text = repr((arm.name, first_recipe(study, arm).same_run(catalog.fingerprint), ranges))
    return blake2b(text.encode(), digest_size=5).hexdigest()


def open_tries(journal: Path, study: Study, arm: Arm, catalog: Catalog, *, revive: bool = False) -> "optuna.Study":
    """Optuna's record of one arm, made if there is none.

    Args:
        journal: The file.
        study: With ranges.
        arm: One of its arms.
        catalog: The data.
        revive: Whether settings that dead processes of this machine left are put in line again.
    """
    optuna = load_optuna()
    asked = optuna.create_study(
        study_name=_name(study, arm, catalog),
        storage=_storage(journal),
        # While the learning rate rises nothing is given up.
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=4, n_warmup_steps=max(2, first_recipe(study, arm).validations // 5)
        ),
        direction="maximize",
        load_if_exists=True,
    )
    for trial in asked.get_trials(deepcopy=False) if revive else ():
        if trial.state == optuna.trial.TrialState.RUNNING and _dead(trial.user_attrs):
            asked.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            asked.enqueue_trial(trial.params)
    return asked


def sampler_of(chance: str) -> "optuna.samplers.BaseSampler":
    """A sampler whose draws follow from a text."""
    optuna = load_optuna()
    seed = int.from_bytes(blake2b(chance.encode(), digest_size=4).digest())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _name(study: Study, arm: Arm, catalog: Catalog) -> str:
    return f"{study.name}: {arm.name} {search_key(study, arm, catalog)}"


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


def count_tries(asked: "optuna.Study") -> int:
    """How many settings of an arm have been tried, or are being tried."""
    states = load_optuna().trial.TrialState
    return len(asked.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.RUNNING)))


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
