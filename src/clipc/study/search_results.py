"""The result of a search: the best settings of each arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.study.arms import Arm, Range, format_value
from clipc.study.design import Study, ranges_of
from clipc.study.journal import load_optuna, num_tries, read_tries

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchResult:
    """The result of a search for one arm.

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
        values = ", ".join(f"{key}={format_value(value)}" for key, value in self.settings.items())
        return (
            f"{self.arm}: {values or 'its only setting'} is best on validation ({self.validation:.1%} mean recall) "
            f"of {self.tried} tried, {self.given_up} of them given up early."
        )


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
    results: list[SearchResult] = []
    for arm in study.expanded:
        trials = read_tries(journal, study, arm, catalog)
        # Machines that ask at the same moment may try one too many; arms with ranges have the same number.
        finished = [trial for trial in trials if trial.state in (states.COMPLETE, states.PRUNED)]
        results.append(_best_settings(study, arm, finished[: num_tries(study, arm)]))
    num_done, num_planned = sum(result.tried for result in results), sum(result.wanted for result in results)
    if num_done < num_planned and (not unfinished or all(result.tried < result.wanted for result in results)):
        raise UserError(
            f"the search of the study {study.name} is unfinished ({num_done} of {num_planned} tries are done); "
            f"the same command{' without --report' if unfinished else ''} goes on."
        )
    if all(result.settings is None for result in results):
        failed = next(result for result in results if result.tried == result.wanted)
        raise UserError(
            f"the study {study.name}: the loss was not a number in any of the {failed.tried} tries of {failed.arm!r}; "
            "search lower learning rates, or with precision=fp32."
        )
    return results


def _best_settings(study: Study, arm: Arm, trials: "Sequence[optuna.trial.FrozenTrial]") -> SearchResult:
    # Nothing is given up before some are complete: where none is, all diverged.
    complete = [trial for trial in trials if trial.state == load_optuna().trial.TrialState.COMPLETE]
    num_planned, given_up = num_tries(study, arm), len(trials) - len(complete)
    if not complete or len(trials) < num_planned:
        return SearchResult(arm.name, None, None, len(trials), given_up, num_planned)
    best = max(complete, key=_validation)
    ranges = ranges_of(study, arm)
    if any(value not in ranges.get(key, Range()) for key, value in best.params.items()):
        raise UserError(
            f"the search's journal holds settings of {arm.name!r} that the study does not search; remove it."
        )
    return SearchResult(arm.name, dict(best.params), _validation(best), len(trials), given_up, num_planned)


def _validation(trial: "optuna.trial.FrozenTrial") -> float:
    return trial.value or 0.0
