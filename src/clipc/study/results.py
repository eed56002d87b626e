"""Finished trials, their metrics, and paired differences between them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.compose.policy import Policy
from clipc.errors import UserError, unknown_name
from clipc.evaluate.measurement import SHARE, Measurement, load_measurements
from clipc.evaluate.statistics.interval import Interval
from clipc.recipe.run import Run
from clipc.study.trials import Trial

Items = tuple[list[npt.NDArray[np.float64]], list[npt.NDArray[np.float64]], npt.NDArray[np.int64] | None]
"""For two arms the values of a metric's items, seed by seed, and the owner of each item."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished trial as read back from its run folder.

    Attributes:
        trial: The trial.
        summary: The run's ``finished.json``.
        measurements: On the test split, of the model that was best on validation, by the metrics' names.
        last_metrics: On the test split, of the last step's model.
        context: What they rest on.
        records: The run's ``metrics.jsonl``.
        evaluation_core_seconds: Processor time of the evaluation.
        machine: The run's ``environment.json``.
    """

    trial: Trial
    summary: dict[str, Any]
    measurements: dict[str, Measurement]
    last_metrics: dict[str, float]
    context: dict[str, Any]
    records: list[dict[str, Any]]
    evaluation_core_seconds: float
    machine: dict[str, Any]

    @classmethod
    def read(cls, trial: Trial) -> "Outcome":
        """Reads a trial's files.

        Raises:
            UserError: The trial is not finished.
        """
        run = Run(trial.folder)
        summary, test, last = (run.read_json(n) for n in ("finished.json", "eval/test.json", "eval/test-last.json"))
        if summary is None or test is None or last is None:
            raise UserError(f"the trial in {trial.folder} is not finished; run the same command again.")
        with np.load(trial.folder / "eval" / "test-items.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        measurements = load_measurements(test["metrics"], test["descriptions"], arrays)
        records, machine = list(run.metrics()), run.read_json("environment.json") or {}
        return cls(
            trial, summary, measurements, last["metrics"], test["context"], records, test["core_seconds"], machine
        )

    @property
    def metrics(self) -> dict[str, float]:
        """The values of the measurements by name."""
        return {name: one.value for name, one in self.measurements.items()}

    @property
    def core_seconds(self) -> float:
        """Processor time of the whole trial: training, validation and evaluation."""
        used = self.summary["core_seconds"] + self.summary["validation_core_seconds"]
        return used + self.evaluation_core_seconds


def composite_share(outcome: Outcome) -> float | None:
    """The share of training examples that were composites; None where the policy composes none.

    A run's ``composite_share`` counts all treated examples, with the control's stronger augmentation as the treatment
    too.
    """
    return outcome.summary["composite_share"] if composes(outcome.trial.recipe.policy) else None


def composes(policy: Policy) -> bool:
    """Whether a policy makes any composites."""
    return policy.treatment == "compose" and policy.rho > 0


def metrics_table(outcomes: Sequence[Outcome], main: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One entry a metric that every trial has.

    Args:
        outcomes: The finished trials, one at least.
        main: The names of the metrics that are tested; where there are none, those that are so by default.

    Raises:
        UserError: There is no metric of such a name that all of them have.
    """
    shared = [one for name, one in outcomes[0].measurements.items() if all(name in o.measurements for o in outcomes)]
    for name in main:
        if all(name != one.name for one in shared):
            raise unknown_name("main metric", name, [one.name for one in shared])
    return [
        {
            "key": one.name,
            "main": one.name in main if main else one.default_main,
            "chance": one.chance,
            "n": one.n,
            "higher_is_better": one.higher_is_better,
            "unit": one.unit,
        }
        for one in shared
    ]


def baseline_near_chance(metric: Mapping[str, Any], baseline: Sequence[Outcome]) -> bool:
    """Whether the baseline's mean of a share, of which more is better, is hardly better than guessing."""
    if not (baseline and metric["chance"] and metric["unit"] == SHARE and metric["higher_is_better"]):
        return False
    return near_chance(mean(o.metrics[metric["key"]] for o in baseline), metric["chance"])


def near_chance(value: float, chance: float) -> bool:
    """Whether a share is hardly better than guessing: less than twice as good, or a tenth of the way to perfect."""
    return value < min(2 * chance, chance + (1 - chance) / 10)


def ends(interval: Interval) -> list[float | None]:
    """The ends of an interval for JSON."""
    return [end if math.isfinite(end) else None for end in (interval.low, interval.high)]


def items_of(metric: str, treated: Sequence[Outcome], control: Sequence[Outcome]) -> Items | None:
    """The items of a metric in two arms; None where it is no mean of items, or they are not the same in all trials."""
    ours, theirs = ([o.measurements[metric].values for o in group] for group in (treated, control))
    arrays = [values for values in (*ours, *theirs) if values is not None]
    if len(arrays) < len(ours) + len(theirs) or len({len(values) for values in arrays}) != 1:
        return None
    return arrays[: len(ours)], arrays[len(ours) :], treated[0].measurements[metric].owner
