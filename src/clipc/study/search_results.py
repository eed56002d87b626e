"""What a search found: each arm's best settings, and the study that is then measured with them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.study.arms import Arm, Range, shown
from clipc.study.design import Study, ranges_of
from clipc.study.journal import load_optuna, read_tries, wanted_tries

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchResult:
    """What a search found for one arm.

    Attributes:
        arm: The arm's name.
        settings: The best values of its ranges, by dotted key; None where there is no best one: all tries diverged, or
            they are unfinished.
        validation: Their mean recall on validation.
        tried: How many settings were tried.
        given_up: How many of them were given up early, or diverged.
        wanted: How many were to be tried.
    """

    arm: str
    settings: dict[str, Any] | None
    validation: float | None
    tried: int
    given_up: int
    wanted: int

    def __str__(self) -> str:
        """The outcome as a sentence."""
        if self.tried < self.wanted:
            return f"{self.arm}: {self.tried} of {self.wanted} settings are tried, so it is left out."
        if self.settings is None or self.validation is None:
            return f"{self.arm}: the loss was not a number in any of its {self.tried} tries, so it is left out."
        values = ", ".join(f"{key}={shown(value)}" for key, value in self.settings.items())
        return (
            f"{self.arm}: {values or 'its only setting'} is best on validation ({self.validation:.1%} mean recall) "
            f"of {self.tried} tried, {self.given_up} of them given up early."
        )


def with_settings(study: Study, found: Sequence[SearchResult]) -> Study:
    """The study with every arm's best settings in place of its ranges: what is then measured on the test split.

    An arm that has none is left out; the baseline stays the one that the study names.
    """
    return study.settled({best.arm: best.settings for best in found})


def read_search_results(
    study: Study, catalog: Catalog, journal: Path, *, unfinished: bool = False
) -> list[SearchResult]:
    """The best of every arm by a search's journal.

    Args:
        study: With ranges.
        catalog: The data.
        journal: The file.
        unfinished: Whether arms that lack tries are left without settings, as long as any arm has all of its own.

    Raises:
        UserError: Tries are missing, or every arm diverged with all of its settings.
    """
    states = load_optuna().trial.TrialState
    found: list[SearchResult] = []
    for arm in study.expanded:
        trials = read_tries(journal, study, arm, catalog)
        # Machines that ask at the same moment may try one too many; arms with ranges have the same number.
        finished = [trial for trial in trials if trial.state in (states.COMPLETE, states.PRUNED)]
        found.append(_best(study, arm, finished[: wanted_tries(study, arm)]))
    count, wanted = sum(best.tried for best in found), sum(best.wanted for best in found)
    if count < wanted and (not unfinished or all(best.tried < best.wanted for best in found)):
        raise UserError(
            f"the search of the study {study.name} is unfinished ({count} of {wanted} tries are done); "
            f"the same command{' without --report' if unfinished else ''} goes on."
        )
    if all(best.settings is None for best in found):
        lost = next(best for best in found if best.tried == best.wanted)
        raise UserError(
            f"the study {study.name}: the loss was not a number in any of the {lost.tried} tries of {lost.arm!r}; "
            "search lower learning rates, or with precision=fp32."
        )
    return found


def search_table(found: Sequence[SearchResult]) -> list[dict[str, Any]]:
    """One row an arm, ready for JSON, with the fields of :class:`SearchResult`."""
    return [asdict(best) for best in found]


def _best(study: Study, arm: Arm, tried: "Sequence[optuna.trial.FrozenTrial]") -> SearchResult:
    # Nothing is given up before some are complete: where none is, all diverged.
    complete = [trial for trial in tried if trial.state == load_optuna().trial.TrialState.COMPLETE]
    wanted, given_up = wanted_tries(study, arm), len(tried) - len(complete)
    if not complete or len(tried) < wanted:
        return SearchResult(arm.name, None, None, len(tried), given_up, wanted)
    best = max(complete, key=_validation)
    ranges = ranges_of(study, arm)
    if any(value not in ranges.get(key, Range()) for key, value in best.params.items()):
        raise UserError(
            f"the search's journal holds settings of {arm.name!r} that the study does not search; remove it."
        )
    return SearchResult(arm.name, dict(best.params), _validation(best), len(tried), given_up, wanted)


def _validation(trial: "optuna.trial.FrozenTrial") -> float:
    return trial.value or 0.0
