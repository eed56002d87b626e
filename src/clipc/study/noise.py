"""Statistical power: the number of seeds needed to find a difference, given assumed or measured noise."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from clipc.errors import UserError
from clipc.evaluate.measurement import SHARE
from clipc.evaluate.statistics.interval import without_spread
from clipc.evaluate.statistics.item_variance import item_variance
from clipc.evaluate.statistics.power import seeds_needed
from clipc.study.board import StatusBoard
from clipc.study.compare import Groups, paired
from clipc.study.cross_validation import pool_folds
from clipc.study.design import Study
from clipc.study.results import Outcome, metrics_table, paired_items
from clipc.study.run import PlannedTrial, finished_trials
from clipc.study.verdict import LEVEL

logger = logging.getLogger(__name__)

DIFFERENCES: Final = (0.01, 0.02, 0.05, 0.1)
"""The differences for which the number of seeds is computed from measured noise."""

LARGER_DIFFERENCES: Final = (0.2, 0.5)
"""Where none of :data:`DIFFERENCES` is detectable, the first detectable one of these is added."""

POWER: Final = 0.8
"""The probability of finding a true difference with the computed number of seeds."""

DISAGREEMENT: Final = 0.2
"""The share of test images on which two models are assumed to disagree, before any models have been compared.

The assumed standard deviation of differences is the square root of this share divided by the number of images. In the
studies of ``docs/results.md`` the measured one was half to twice as large.
"""

ASSUMED_DIFFERENCES: Final = (0.02, 0.05, 0.1)
"""The differences for which the number of seeds is computed from assumed noise."""


def power_table(
    groups: Groups, metrics: Sequence[Mapping[str, Any]], baseline: str, differences: Sequence[float] = DIFFERENCES
) -> list[dict[str, Any]]:
    """The number of seeds needed to find a difference with probability :data:`POWER`.

    The standard deviation of paired differences is the root mean square over all arms and sizes that share two or more
    seeds with the baseline and differ from it. The test's level is :data:`~clipc.study.verdict.LEVEL` divided by the
    number of main metrics, as Holm's correction requires for the smallest p value. The test set has a sampling error,
    which more seeds do not reduce (:func:`~clipc.evaluate.statistics.item_variance`, averaged over the same arms). A
    difference below ``floor`` cannot be found with this probability, however many seeds there are.

    Args:
        groups: The finished trials.
        metrics: As for :func:`clipc.study.compare.comparisons`; only main metrics are used.
        baseline: The baseline's name.
        differences: True differences, as shares. For metrics in other units they are scaled by a power of ten near
            their noise.

    Returns:
        For each main metric whose noise could be measured: ``metric``, ``unit``, ``sd``, ``pairs_of_arms``, ``floor``
        (None for a metric that is not a mean of items), and ``rows`` of ``difference`` and ``seeds`` (None where the
        difference is not above the floor).
    """
    main = [(metric["key"], metric["unit"]) for metric in metrics if metric["main"]]
    rows: list[dict[str, Any]] = []
    for key, unit in main:
        variances: list[float] = []
        item_variances: list[float] = []
        for (arm, size), treated in groups.items():
            if arm == baseline or (baseline, size) not in groups:
                continue
            pair = paired(treated, groups[baseline, size])
            paired_differences = np.array([x.metrics[key] - y.metrics[key] for x, y in zip(*pair, strict=True)])
            # Differences do not vary where two arms have one recipe, or where there are too few items.
            if len(paired_differences) < 2 or without_spread(paired_differences):
                continue
            variances.append(float(np.var(paired_differences, ddof=1)))
            if (items := paired_items(key, *pair)) is not None:
                item_variances.append(item_variance(*items))
        if not variances:
            continue
        sd = math.sqrt(float(np.mean(variances)))
        floor = _detectable(math.sqrt(max(0.0, float(np.mean(item_variances))))) if item_variances else None
        undetectable = floor or 0.0
        # In other units than shares, differences are chosen about as large as the noise.
        scale = 1.0 if unit == SHARE else 100 * 10.0 ** math.floor(math.log10(sd))
        scaled = [scale * d for d in differences]
        if max(scaled) <= undetectable:
            scaled += [scale * d for d in LARGER_DIFFERENCES if scale * d > undetectable][:1]
        seeds = [{"difference": d, "seeds": _seeds(sd, d, undetectable, len(main))} for d in scaled]
        measured = {"metric": key, "unit": unit, "sd": sd, "pairs_of_arms": len(variances), "floor": floor}
        rows.append({**measured, "rows": seeds})
    return rows


def _seeds(sd: float, difference: float, floor: float, metrics: int) -> int | None:
    """The seeds needed for a difference; None where it is not above the floor."""
    detectable = difference**2 - floor**2
    return seeds_needed(sd, math.sqrt(detectable), power=POWER, level=LEVEL / metrics) if detectable > 0 else None


def _detectable(error: float) -> float:
    """The true difference whose 95% interval excludes zero with probability :data:`POWER`, given its standard error."""
    from scipy.stats import norm

    return float(norm.ppf(0.975) + norm.ppf(POWER)) * error


def prior_power_lines(images: int, metrics: int, seeds: int) -> list[str]:
    """Sentences on the seeds needed for some differences, from assumed noise, before any arms have been compared.

    Args:
        images: The number of test images.
        metrics: The number of main metrics.
        seeds: How many seeds are planned.
    """
    sd = math.sqrt(DISAGREEMENT / images)
    needed = ", ".join(
        _seeds_text(d, seeds_needed(sd, d, power=POWER, level=LEVEL / metrics)) for d in ASSUMED_DIFFERENCES
    )
    return [
        f"The noise of differences has not been measured yet. If their standard deviation is {100 * sd:.1f} points, as "
        f"for models that disagree on one in five of the {images:,} test images (half to twice as much was usual in "
        f"our studies): {needed}.",
        f"{_planned_seeds(seeds)} The estimate is updated once an arm and the baseline have two seeds in common.",
    ]


def power_lines(rows: Sequence[Mapping[str, Any]], seeds: int) -> list[str]:
    """Sentences on the seeds that each main metric needs, given the measured noise; empty without measured noise.

    Args:
        rows: As :func:`power_table` gives them.
        seeds: How many seeds are planned.
    """
    lines: list[str] = []
    for row in rows:
        unit = row["unit"]
        needed = [_seeds_text(r["difference"], r["seeds"], unit) for r in row["rows"] if r["seeds"] is not None]
        if row["floor"] is not None and (row["floor"] >= 0.0005 or unit != SHARE):
            needed.append(f"below {_with_unit(row['floor'], unit)} no number of seeds is enough on this test set")
        sd = _with_unit(row["sd"], unit)
        lines.append(f"{row['metric']}: the standard deviation of differences is {sd}; {', '.join(needed)}.")
    return [*lines, _planned_seeds(seeds)] if lines else []


def study_power(study: Study, finished: Sequence[tuple[PlannedTrial, Outcome]]) -> list[dict[str, Any]]:
    """:func:`power_table` of the finished trials of a study; empty where it cannot be measured yet."""
    groups: dict[tuple[str, int], list[Outcome]] = {}
    pooled = pool_folds(study, finished)
    for plan, outcome in pooled:
        groups.setdefault((plan.trial.arm, plan.size), []).append(outcome)
    metrics = metrics_table([outcome for _, outcome in pooled], study.main) if pooled else []
    return power_table(groups, metrics, study.baseline_name)


def log_power_once(
    study: Study, planned: Sequence[PlannedTrial], *, logged: bool = False
) -> Callable[[StatusBoard], None]:
    """A function that logs :func:`power_lines` once, when the baseline and an arm have two seeds in common.

    Args:
        study: The study.
        planned: The study's trials.
        logged: Whether the lines have been logged before.

    Returns:
        The function, to be called with the board while trials run.
    """
    num_finished = -1
    is_logged = logged

    def watch(board: StatusBoard) -> None:
        nonlocal num_finished, is_logged
        if is_logged or board.finished == num_finished:
            return
        num_finished = board.finished
        repeated = {(row.arm, row.size) for row in board.rows() if row.finished > 1}
        if not any(arm != study.baseline_name and (study.baseline_name, size) in repeated for arm, size in repeated):
            return
        try:
            power = study_power(study, finished_trials(study, planned))
        except (UserError, OSError):
            return  # Another process may be writing a record.
        is_logged = True
        for line in power_lines(power, len(study.seeds)):
            logger.info(line)

    return watch


def _with_unit(value: float, unit: str) -> str:
    """A difference or a standard deviation with its unit."""
    return f"{100 * value:.1f} points" if unit == SHARE else f"{value:.3g} {unit}"


def _seeds_text(difference: float, seeds: int, unit: str = SHARE) -> str:
    if unit != SHARE:
        return f"{_with_unit(difference, unit)} need {seeds:,} seeds"
    if difference == 0.01:
        return f"1 point needs {seeds:,} seeds"
    return f"{100 * difference:g} points need {seeds:,} seeds"


def _planned_seeds(seeds: int) -> str:
    verb = "is" if seeds == 1 else "are"
    return f"This many seeds find such a difference in four studies of five; {seeds} {verb} planned."
