"""The result of a search: the best settings of each arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clipc.errors import UserError
from clipc.study.arms import Range, format_value
from clipc.study.journal import ArmSearch, load_optuna

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchResult:
    """The result of a search for one arm.

    Attributes:
        arm: The arm's name.
        settings: The best values of its ranges, by dotted key; None where all tries diverged, or tries are unfinished.
        validation: The mean recall of the best settings on the validation split, in [0, 1]; None without settings.
        tried: The number of settings that were tried.
        given_up: The number of tries that were pruned, or diverged.
        wanted: The number of settings that were planned.
    """

    arm: str
    settings: dict[str, Any] | None
    validation: float | None
    tried: int
    given_up: int
    wanted: int

    def __str__(self) -> str:
        """The result as a sentence."""
        if self.tried < self.wanted:
            return f"{self.arm}: {self.tried} of {self.wanted} settings are tried; the arm is left out."
        if self.settings is None or self.validation is None:
            return f"{self.arm}: the loss was not a number in any of its {self.tried} tries; the arm is left out."
        values = ", ".join(f"{key}={format_value(value)}" for key, value in self.settings.items())
        return (
            f"{self.arm}: best on validation: {values or 'its only setting'} ({self.validation:.1%} mean recall), "
            f"of {self.tried} tried, {self.given_up} of them pruned."
        )


def read_search_results(searches: Sequence[ArmSearch], *, unfinished: bool = False) -> list[SearchResult]:
    """The best settings of every arm, from the search's journal.

    Args:
        searches: The searches of all arms of a study.
        unfinished: Whether arms that lack tries are accepted, without settings; one arm must still be complete.

    Raises:
        UserError: Tries are missing, or every arm diverged with all of its settings.
    """
    name, results = searches[0].study.name, [_best_settings(search) for search in searches]
    num_done, num_planned = sum(result.tried for result in results), sum(result.wanted for result in results)
    if num_done < num_planned and (not unfinished or all(result.tried < result.wanted for result in results)):
        raise UserError(
            f"the search of the study {name} is unfinished ({num_done} of {num_planned} tries are done); "
            f"the same command{' without --report' if unfinished else ''} goes on."
        )
    if all(result.settings is None for result in results):
        failed = next(result for result in results if result.tried == result.wanted)
        raise UserError(
            f"the study {name}: the loss was not a number in any of the {failed.tried} tries of {failed.arm!r}; "
            "search lower learning rates, or set precision=fp32."
        )
    return results


def _best_settings(search: ArmSearch) -> SearchResult:
    states, arm, planned = load_optuna().trial.TrialState, search.arm.name, search.num_tries
    # Machines that start a try at the same moment may exceed the number; the surplus does not count.
    trials = [trial for trial in search.tries() if trial.state in (states.COMPLETE, states.PRUNED)][:planned]
    # Optuna prunes no try before some are complete: where none is complete, all diverged.
    complete = [trial for trial in trials if trial.state == states.COMPLETE]
    counts = len(trials), len(trials) - len(complete), planned
    if not complete or len(trials) < planned:
        return SearchResult(arm, None, None, *counts)
    best = max(complete, key=_validation)
    if any(value not in search.ranges.get(key, Range()) for key, value in best.params.items()):
        raise UserError(
            f"the search's journal holds values for {arm!r} outside the study's ranges; remove the journal."
        )
    return SearchResult(arm, dict(best.params), _validation(best), *counts)


def _validation(trial: "optuna.trial.FrozenTrial") -> float:
    return trial.value or 0.0
