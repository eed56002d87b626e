"""How many seeds a difference would take, given the noise seen so far and what the test set can show at all."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from clipc.evaluate.measurement import SHARE
from clipc.evaluate.statistics import item_variance, seeds_needed
from clipc.evaluate.statistics.interval import without_spread
from clipc.study.compare import LEVEL, Groups, paired
from clipc.study.results import items_of

DIFFERENCES: Final = (0.01, 0.02, 0.05, 0.1)
"""The differences that the seeds are reckoned for."""

LARGER: Final = (0.2, 0.5)
"""Of these the first that can be found is added where none of :data:`DIFFERENCES` can."""

POWER: Final = 0.8
"""The chance of finding a true difference with so many seeds."""


def noise(
    groups: Groups, metrics: Sequence[Mapping[str, Any]], baseline: str, differences: Sequence[float] = DIFFERENCES
) -> list[dict[str, Any]]:
    """How many seeds a difference needs to be called a gain in four studies of five.

    The standard deviation of paired differences is the root mean square over all arms and sizes that have two seeds
    in common with the baseline and differ from it. The test's level is :data:`~clipc.study.compare.LEVEL` divided by
    the number of main metrics, as Holm's correction asks of the first of them. A test set has an error of its own,
    which no number of seeds takes away (:func:`~clipc.evaluate.statistics.item_variance`, the mean over the same arms):
    a difference below ``floor`` would be found less often however many there were, and one above it has to stand out
    from both.

    Args:
        groups: The finished trials.
        metrics: As for :func:`clipc.study.compare.comparisons`; main ones are reckoned.
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
        of_items: list[float] = []
        for (arm, size), treated in groups.items():
            if arm == baseline or (baseline, size) not in groups:
                continue
            pair = paired(treated, groups[baseline, size])
            found = np.array([x.metrics[key] - y.metrics[key] for x, y in zip(*pair, strict=True)])
            # Differences that never vary are those of one recipe under two names, or of too few items to tell.
            if len(found) < 2 or without_spread(found):
                continue
            variances.append(float(np.var(found, ddof=1)))
            if (items := items_of(key, *pair)) is not None:
                of_items.append(item_variance(*items))
        if not variances:
            continue
        sd = math.sqrt(float(np.mean(variances)))
        floor = _findable(math.sqrt(max(0.0, float(np.mean(of_items))))) if of_items else None
        hidden = floor or 0.0
        # Of a unit that nobody knows here, differences of about the size of the noise.
        scale = 1.0 if unit == SHARE else 100 * 10.0 ** math.floor(math.log10(sd))
        shown, larger = ([scale * d for d in some] for some in (differences, LARGER))
        if max(shown) <= hidden:
            shown += [d for d in larger if d > hidden][:1]
        rows.append(
            {
                "metric": key,
                "unit": unit,
                "sd": sd,
                "pairs_of_arms": len(variances),
                "floor": floor,
                "rows": [{"difference": d, "seeds": _seeds(sd, d, hidden, len(main))} for d in shown],
            }
        )
    return rows


def _seeds(sd: float, difference: float, floor: float, metrics: int) -> int | None:
    """Seeds for what of a difference the test set leaves to be found: squares add up."""
    left = difference**2 - floor**2
    return seeds_needed(sd, math.sqrt(left), power=POWER, level=LEVEL / metrics) if left > 0 else None


def _findable(error: float) -> float:
    """The true difference whose 95% interval excludes zero with a chance of :data:`POWER`, given its standard error."""
    from scipy.stats import norm

    return float(norm.ppf(0.975) + norm.ppf(POWER)) * error
