"""Statistical power: how many seeds a difference needs, from assumed noise at first, later from measured noise."""

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
from clipc.study.board import Board
from clipc.study.compare import Groups, paired
from clipc.study.design import Study
from clipc.study.results import Outcome, items_of, metrics_table
from clipc.study.run import Planned, finished_of
from clipc.study.verdict import LEVEL

logger = logging.getLogger(__name__)

DIFFERENCES: Final = (0.01, 0.02, 0.05, 0.1)
"""The differences for which the number of seeds is computed."""

LARGER_DIFFERENCES: Final = (0.2, 0.5)
"""The first detectable one of these is added where none of :data:`DIFFERENCES` is detectable."""

POWER: Final = 0.8
"""The chance of finding a true difference with so many seeds."""

DISAGREEMENT: Final = 0.2
"""The share of test images on which two models are taken to disagree before any have been compared.

Differences then vary by the root of this share over the number of images; in the studies of ``docs/results.md`` they
varied by half to twice as much.
"""

ASSUMED_DIFFERENCES: Final = (0.02, 0.05, 0.1)
"""The differences that seeds are guessed for."""


def noise(
    groups: Groups, metrics: Sequence[Mapping[str, Any]], baseline: str, differences: Sequence[float] = DIFFERENCES
) -> list[dict[str, Any]]:
    """How many seeds a difference needs to be called a gain in four studies of five.

    The standard deviation of paired differences is the root mean square over all arms and sizes that have two seeds
    in common with the baseline and differ from it. The test's level is :data:`~clipc.study.verdict.LEVEL` divided by
    the number of main metrics, as Holm's correction asks of the first of them. A test set has an error of its own,
    which no number of seeds takes away (:func:`~clipc.evaluate.statistics.item_variance`, the mean over the same arms):
    a difference below ``floor`` would be found less often however many there were, and one above it has to stand out
    from both.

    Args:
        groups: The finished trials.
        metrics: As for :func:`clipc.study.compare.comparisons`; only main metrics are used.
        baseline: The baseline's name.
        differences: True differences, as shares; of a metric in another unit, in proportion to its noise.

    Returns:
        For each main metric that has any noise to go by: ``metric``, ``unit``, ``sd``, ``pairs_of_arms``, ``floor``
        (None for a metric that is no mean of items) and ``rows`` of ``difference`` and ``seeds``, None below the floor.
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
            # Differences that never vary are those of one recipe under two names, or of too few items to tell.
            if len(paired_differences) < 2 or without_spread(paired_differences):
                continue
            variances.append(float(np.var(paired_differences, ddof=1)))
            if (items := items_of(key, *pair)) is not None:
                item_variances.append(item_variance(*items))
        if not variances:
            continue
        sd = math.sqrt(float(np.mean(variances)))
        floor = _detectable(math.sqrt(max(0.0, float(np.mean(item_variances))))) if item_variances else None
        undetectable = floor or 0.0
        # Of a unit that nobody knows here, differences of about the size of the noise.
        scale = 1.0 if unit == SHARE else 100 * 10.0 ** math.floor(math.log10(sd))
        rows_for, larger = ([scale * d for d in some] for some in (differences, LARGER_DIFFERENCES))
        if max(rows_for) <= undetectable:
            rows_for += [d for d in larger if d > undetectable][:1]
        seeds = [{"difference": d, "seeds": _seeds(sd, d, undetectable, len(main))} for d in rows_for]
        measured = {"metric": key, "unit": unit, "sd": sd, "pairs_of_arms": len(variances), "floor": floor}
        rows.append({**measured, "rows": seeds})
    return rows


def _seeds(sd: float, difference: float, floor: float, metrics: int) -> int | None:
    """Seeds for a difference beside the error of the test set; variances add up."""
    detectable = difference**2 - floor**2
    return seeds_needed(sd, math.sqrt(detectable), power=POWER, level=LEVEL / metrics) if detectable > 0 else None


def _detectable(error: float) -> float:
    """The true difference whose 95% interval excludes zero with a chance of :data:`POWER`, given its standard error."""
    from scipy.stats import norm

    return float(norm.ppf(0.975) + norm.ppf(POWER)) * error


def prior_power_lines(images: int, metrics: int, seeds: int) -> list[str]:
    """The number of seeds for some differences, from an assumed noise, before any two arms have been compared.

    Args:
        images: Test images.
        metrics: How many main metrics there will be.
        seeds: How many seeds are planned.
    """
    sd = math.sqrt(DISAGREEMENT / images)
    needed = ", ".join(
        _seeds_text(d, seeds_needed(sd, d, power=POWER, level=LEVEL / metrics)) for d in ASSUMED_DIFFERENCES
    )
    return [
        f"Nothing is known yet of how differences vary here. Taken to vary by {100 * sd:.1f} points (s.d.), as between "
        f"models that disagree on one of five of the {images:,} test images (half to twice as much was usual in our "
        f"studies): {needed}.",
        f"{_planned_seeds(seeds)} This is told again once an arm and the baseline have two seeds in common.",
    ]


def power_lines(rows: Sequence[Mapping[str, Any]], seeds: int) -> list[str]:
    """The seeds that each main metric would take, given the measured noise; empty where none has been measured.

    Args:
        rows: As :func:`noise` gives them.
        seeds: How many seeds are planned.
    """
    lines: list[str] = []
    for row in rows:
        unit = row["unit"]
        needed = [_seeds_text(r["difference"], r["seeds"], unit) for r in row["rows"] if r["seeds"] is not None]
        if row["floor"] is not None and (row["floor"] >= 0.0005 or unit != SHARE):
            needed.append(f"below {_with_unit(row['floor'], unit)} no number of seeds would do on this test set")
        lines.append(f"{row['metric']}: differences vary by {_with_unit(row['sd'], unit)} (s.d.); {', '.join(needed)}.")
    return [*lines, _planned_seeds(seeds)] if lines else []


def noise_of(study: Study, finished: Sequence[tuple[Planned, Outcome]]) -> list[dict[str, Any]]:
    """:func:`noise` of the finished trials of a study; empty where it cannot be measured yet."""
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for plan, outcome in finished:
        groups.setdefault((plan.trial.arm, plan.size), []).append(outcome)
    return noise(groups, metrics_table([o for _, o in finished], study.main), study.compared_with) if finished else []


def log_power_once(study: Study, planned: Sequence[Planned], *, logged: bool = False) -> Callable[[Board], None]:
    """Watches a board, and logs :func:`power_lines` once, when the baseline and an arm have two seeds in common.

    Args:
        study: The study.
        planned: Its trials.
        logged: Whether they have been logged before.
    """
    num_finished = -1
    is_logged = logged

    def watch(board: Board) -> None:
        nonlocal num_finished, is_logged
        if is_logged or board.finished == num_finished:
            return
        num_finished = board.finished
        repeated = {(row.arm, row.size) for row in board.rows() if row.finished > 1}
        if not any(arm != study.compared_with and (study.compared_with, size) in repeated for arm, size in repeated):
            return
        try:
            power = noise_of(study, finished_of(study, planned))
        except (UserError, OSError):
            return  # Another process may be at a record.
        is_logged = True
        for line in power_lines(power, len(study.seeds)):
            logger.info(line)

    return watch


def _with_unit(value: float, unit: str) -> str:
    """A difference, or its spread, with its unit."""
    return f"{100 * value:.1f} points" if unit == SHARE else f"{value:.3g} {unit}"


def _seeds_text(difference: float, seeds: int, unit: str = SHARE) -> str:
    if unit != SHARE:
        return f"{_with_unit(difference, unit)} take {seeds:,} seeds"
    return f"{100 * difference:g} {'point takes' if difference == 0.01 else 'points take'} {seeds:,} seeds"


def _planned_seeds(seeds: int) -> str:
    return f"So many seeds find such a difference four times in five; {seeds} {'is' if seeds == 1 else 'are'} planned."
