"""The outcomes of finished trials, and the table of their metrics."""

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

Items = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64] | None]
"""For two arms the values of a metric's items, (seeds, n) each; then the owner of each of the n items."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The results of a finished trial, read from its run folder or its record.

    Attributes:
        trial: The trial.
        summary: The run's ``finished.json``.
        measurements: The measurements on the test split of the model that the recipe's ``selection`` names.
        last_metrics: The metrics on the test split of the last step's model, by name.
        context: The data that the measurements were made on, as the evaluation describes it.
        records: The lines of the run's ``metrics.jsonl``.
        evaluation_core_seconds: Processor seconds of the evaluation.
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
        """Reads a trial's run folder.

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
        return {name: measurement.value for name, measurement in self.measurements.items()}

    @property
    def core_seconds(self) -> float:
        """Processor seconds of the whole trial: scores of composites, training, validation and evaluation."""
        run_core_seconds = self.summary["core_seconds"] + self.summary["validation_core_seconds"]
        return run_core_seconds + self.score_core_seconds + self.evaluation_core_seconds

    @property
    def score_core_seconds(self) -> float:
        """Processor seconds in which composites were scored, a reference model's training included; 0 without."""
        return float(self.summary.get("scores_core_seconds", 0.0))


def composite_share(outcome: Outcome) -> float | None:
    """The share of training examples that were composites, in [0, 1]; None where the policy makes none.

    It is not a run's ``composite_share``, which also counts the strongly augmented examples of a control.
    """
    return outcome.summary["composite_share"] if composes(outcome.trial.recipe.policy) else None


def composes(policy: Policy) -> bool:
    """Whether a policy makes any composites."""
    return policy.composes


def metrics_table(
    outcomes: Sequence[Outcome], main: Sequence[str] = (), limited_last: bool = False
) -> list[dict[str, Any]]:
    """One row for each metric that all trials have, in the order in which they are shown.

    Args:
        outcomes: The finished trials, one at least.
        main: The names of the main metrics; if empty, the default main metrics: mean recall that counts equal captions
            as right and, with labels, zero-shot top-1 of the main label column (averaged over classes where these are
            unbalanced).
        limited_last: Whether metrics that equal captions limit come last, because few captions are distinct.

    Returns:
        Rows of ``key`` (the name), ``main``, ``secondary``, ``chance``, ``ceiling``, ``n`` (of items),
        ``higher_is_better`` and ``unit``. Main metrics come first, then secondary ones.

    Raises:
        UserError: A main metric is missing in a trial.
    """
    shared = [one for name, one in outcomes[0].measurements.items() if all(name in o.measurements for o in outcomes)]
    for name in main:
        if all(name != one.name for one in shared):
            raise unknown_name("main metric", name, [one.name for one in shared])
    if limited_last:
        shared.sort(key=lambda one: one.ceiling is not None)
    rows = [
        {
            "key": one.name,
            "main": (is_main := one.name in main if main else one.default_main),
            "secondary": one.secondary and not is_main,
            "chance": one.chance,
            "ceiling": one.ceiling,
            "n": one.n,
            "higher_is_better": one.higher_is_better,
            "unit": one.unit,
        }
        for one in shared
    ]
    return sorted(rows, key=lambda row: (not row["main"], not row["secondary"]))


def baseline_near_chance(metric: Mapping[str, Any], baseline: Sequence[Outcome]) -> bool:
    """Whether the baseline's mean is near chance; False for metrics that are not shares, or where lower is better."""
    if not (baseline and metric["chance"] and metric["unit"] == SHARE and metric["higher_is_better"]):
        return False
    ceiling = 1.0 if metric["ceiling"] is None else metric["ceiling"]
    return near_chance(mean(o.metrics[metric["key"]] for o in baseline), metric["chance"], ceiling)


def near_chance(value: float, chance: float, ceiling: float = 1.0) -> bool:
    """Whether a share is below twice the chance level, or less than a tenth of the way from it to the ceiling."""
    return value < min(2 * chance, chance + (ceiling - chance) / 10)


def ends(interval: Interval) -> list[float | None]:
    """The ends of an interval for JSON; None for an infinite end."""
    return [end if math.isfinite(end) else None for end in (interval.low, interval.high)]


def paired_items(metric: str, first: Sequence[Outcome], second: Sequence[Outcome]) -> Items | None:
    """A metric's items in two arms; None where it is not a mean of items, or their number differs between trials."""
    items = items_of(metric, (first, second))
    if items is None:
        return None
    (treated, control), owner = items
    return treated, control, owner


def items_of(
    metric: str, groups: Sequence[Sequence[Outcome]]
) -> tuple[list[npt.NDArray[np.float64]], npt.NDArray[np.int64] | None] | None:
    """A metric's items in several groups of trials.

    Args:
        metric: The metric's name.
        groups: Trials of equally many seeds in each group.

    Returns:
        For each group the items of its trials, (seeds, n), and the owner of each of the n items. None where the metric
        is not a mean of items, or their number differs between trials.
    """
    values = [[outcome.measurements[metric].values for outcome in group] for group in groups]
    arrays = [[array for array in group if array is not None] for group in values]
    lengths = {len(array) for group in arrays for array in group}
    if len(lengths) != 1 or any(len(a) < len(v) for a, v in zip(arrays, values, strict=True)):
        return None
    return [np.stack(group) for group in arrays], groups[0][0].measurements[metric].owner
