"""The area under the ROC curve, with an interval for items that come in clusters."""

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, rankdata

from clipc.evaluate.statistics.clusters import Floats
from clipc.evaluate.statistics.interval import Interval, t_margin


def auc(
    positive: npt.ArrayLike,
    negative: npt.ArrayLike,
    clusters: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    *,
    level: float = 0.95,
) -> Interval:
    """The chance that a positive item scores higher than a negative one (ties count half), with its interval.

    The variance is DeLong's ("Comparing the areas under two or more correlated receiver operating characteristic
    curves", Biometrics 44, 1988), generalised to clusters that may hold both kinds of items by Obuchowski
    ("Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997). The interval is Student's t on the
    logit scale, with one degree of freedom less than clusters. Where the two kinds are separated without exception the
    variance is 0; the lower end is then that of Clopper and Pearson for as many successes as there are clusters.

    Args:
        positive: Scores of the positive items, (m,), m >= 1.
        negative: Scores of the negative items, (n,), n >= 1.
        clusters: The cluster of each positive and of each negative item; by default each item is its own cluster.
        level: The confidence level.

    Returns:
        The interval; its ``n`` is the number of clusters (without clusters of the rarer kind), ``error`` the standard
        error of the area itself.

    Raises:
        ValueError: There are no items of a kind, or a score is not finite.
    """
    x, y = (np.asarray(values, dtype=np.float64).reshape(-1) for values in (positive, negative))
    if not len(x) or not len(y) or not np.isfinite(x).all() or not np.isfinite(y).all():
        raise ValueError("the area needs finite scores of both kinds of items.")
    m, n = len(x), len(y)
    above, below = _placements(x, y)
    area = float(above.mean())
    if clusters is None:
        own, count = _independent_variance(above, below), min(m, n)
    else:
        own, count = _clustered_variance(area, above, below, *(np.asarray(ids).reshape(-1) for ids in clusters))
    if count < 2:
        return Interval(area, 0.0, 1.0, count, level)
    if own <= 1e-15 or area in (0.0, 1.0):
        low, high = _certain(area, count, level)
        return Interval(area, low, high, count, level, math.sqrt(own))
    error = math.sqrt(own)
    logit = math.log(area / (1 - area))
    margin = t_margin(error / (area * (1 - area)), count - 1, level)
    low, high = (1 / (1 + math.exp(-(logit + sign * margin))) for sign in (-1, 1))
    return Interval(area, low, high, count, level, error)


def _placements(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """For each positive the share of negatives below it, for each negative that of positives above it; ties half."""
    m, n = len(x), len(y)
    ranks = rankdata(np.concatenate([x, y]))
    above = (ranks[:m] - rankdata(x)) / n
    below = 1 - (ranks[m:] - rankdata(y)) / m
    return above, below


def _independent_variance(above: Floats, below: Floats) -> float:
    parts = [float(values.var(ddof=1)) / len(values) for values in (above, below) if len(values) > 1]
    return sum(parts)


def _clustered_variance(
    area: float, above: Floats, below: Floats, first: npt.NDArray[np.generic], second: npt.NDArray[np.generic]
) -> tuple[float, int]:
    """Obuchowski's variance, and the number of clusters."""
    m, n = len(above), len(below)
    if (len(first), len(second)) != (m, n):
        raise ValueError(f"there are {m} and {n} items, but {len(first)} and {len(second)} clusters are given.")
    ids = np.unique(np.concatenate([first, second]), return_inverse=True)[1]
    count = int(ids.max()) + 1
    one = np.bincount(ids[:m], above - area, count)
    other = np.bincount(ids[m:], below - area, count)
    with_one = len(np.unique(ids[:m]))
    with_other = len(np.unique(ids[m:]))
    if min(with_one, with_other) < 2:
        return 0.0, min(with_one, with_other)
    variance_one = with_one / ((with_one - 1) * m) * float((one**2).sum())
    variance_other = with_other / ((with_other - 1) * n) * float((other**2).sum())
    covariance = count / (count - 1) * float((one * other).sum())
    variance = variance_one / m + variance_other / n + 2 * covariance / (m * n)
    return max(0.0, variance), count


def _certain(area: float, count: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's interval for ``area * count`` of ``count`` successes."""
    tail, hits = (1 - level) / 2, area * count
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, count - hits + 1))
    high = 1.0 if hits == count else float(beta.ppf(1 - tail, hits + 1, count - hits))
    return low, high
