"""How many seeds a difference would take, given the noise seen so far and what the test set can show at all."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

import numpy as np

from clipc.evaluate.statistics import seeds_needed
from clipc.evaluate.statistics.interval import without_spread
from clipc.study.compare import LEVEL, Groups, paired
from clipc.study.results import test_set_interval

DIFFERENCES: Final = (0.01, 0.02, 0.05)
"""The differences that the seeds are reckoned for."""

POWER: Final = 0.8
"""The chance of finding a true difference with so many seeds."""


def noise(
    groups: Groups, metrics: Sequence[Mapping[str, Any]], baseline: str, differences: Sequence[float] = DIFFERENCES
) -> list[dict[str, Any]]:
    """How many seeds a difference needs to be called a gain in four studies of five.

    The standard deviation of paired differences is the root mean square over all arms and sizes that have two seeds
    in common with the baseline and differ from it. The test's level is :data:`~clipc.study.compare.LEVEL` divided by
    the number of main metrics, as Holm's correction asks of the first of them. A test set has its own error, which no
    number of seeds takes away: a difference below ``floor`` would be found less often however many there were.

    Args:
        groups: The finished trials.
        metrics: As for :func:`clipc.study.compare.comparisons`; main ones are reckoned.
        baseline: The baseline's name.
        differences: True differences, as shares.

    Returns:
        For each main metric that has any noise to go by: ``metric``, ``sd``, ``pairs_of_arms``, ``floor`` (None for a
        metric that is no mean of items) and ``rows`` of ``difference`` and ``seeds``, None below the floor.
    """
    main = [metric["key"] for metric in metrics if metric["main"]]
    rows: list[dict[str, Any]] = []
    for key in main:
        variances: list[float] = []
        errors: list[float] = []
        for (arm, size), treated in groups.items():
            if arm == baseline or (baseline, size) not in groups:
                continue
            pair = paired(treated, groups[baseline, size])
            found = np.array([x.metrics[key] - y.metrics[key] for x, y in zip(*pair, strict=True)])
            # Differences that never vary are those of one recipe under two names, or of too few items to tell.
            if len(found) < 2 or without_spread(found):
                continue
            variances.append(float(np.var(found, ddof=1)))
            test = test_set_interval(key, *pair)
            if test is not None and math.isfinite(test.error):
                errors.append(test.error)
        if not variances:
            continue
        sd = math.sqrt(float(np.mean(variances)))
        floor = _findable(median(errors)) if errors else None
        needed = [
            {
                "difference": d,
                "seeds": seeds_needed(sd, d, power=POWER, level=LEVEL / len(main))
                if floor is None or d >= floor
                else None,
            }
            for d in differences
        ]
        rows.append({"metric": key, "sd": sd, "pairs_of_arms": len(variances), "floor": floor, "rows": needed})
    return rows


def _findable(error: float) -> float:
    """The true difference whose 95% interval excludes zero with a chance of :data:`POWER`, given its standard error."""
    from scipy.stats import norm

    return float(norm.ppf(0.975) + norm.ppf(POWER)) * error
