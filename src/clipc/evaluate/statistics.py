"""How sure a difference is: intervals over seeds, the test set's own sampling error, and the verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Verdict = Literal["gain", "loss", "no evidence"]


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: The estimate.
        low: The lower end; minus infinity where the values do not allow an interval.
        high: The upper end; infinity where the values do not allow an interval.
        n: How many values (seeds, or independent test items) it rests on.
        level: The confidence level, in (0, 1).
    """

    mean: float
    low: float
    high: float
    n: int
    level: float = 0.95

    @property
    def half_width(self) -> float:
        """Half the interval's width: the number after a plus-minus sign; infinity where there is no interval."""
        return (self.high - self.low) / 2

    def as_dict(self) -> dict[str, float | int | None]:
        """The fields for JSON, which has no infinity: ends that do not exist are None."""
        low, high = (end if math.isfinite(end) else None for end in (self.low, self.high))
        return {"mean": self.mean, "low": low, "high": high, "n": self.n, "level": self.level}


def t_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The mean and Student's t interval of independent values, such as one a seed.

    ``mean +- t(n - 1) * s / sqrt(n)``. One value has no interval. Equal values have one of no width, which
    says that the figure is too coarse to show the spread rather than that there is none; :func:`verdict` sees to it.

    Args:
        values: (n,) finite numbers, n >= 1.
        level: The confidence level.

    Raises:
        ValueError: There is no value, or one is not finite.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError("an interval needs one or more finite values.")
    # Equal values must give their value and no width, which rounding in a mean would spoil.
    if len(x) > 1 and np.ptp(x) == 0:
        return Interval(float(x[0]), float(x[0]), float(x[0]), len(x), level)
    error = float(x.std(ddof=1)) / math.sqrt(len(x)) if len(x) > 1 else math.inf
    return _around(float(x.mean()), error, len(x), level)


def paired_difference(treated: npt.ArrayLike, control: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The mean of ``treated - control`` over seeds that both arms ran with, and its t interval.

    Args:
        treated: One figure a seed, (n,).
        control: The other arm's figures for the same seeds in the same order, (n,).
        level: The confidence level.

    Raises:
        ValueError: The lengths differ, there is no seed, or a figure is not finite.
    """
    a, b = np.asarray(treated, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired figures need the same seeds: {a.shape} and {b.shape}.")
    return t_interval(a - b, level)


def sampling_error(
    treated: Sequence[npt.ArrayLike],
    control: Sequence[npt.ArrayLike],
    clusters: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """The test set's own sampling error of a paired difference: what another test set of this kind might have shown.

    The trained models are held fixed: values are averaged over seeds item by item, the difference is taken item by
    item, and its mean is bootstrapped over items. Items of one cluster, such as the captions of one image, are drawn
    together. The bootstrap gives the standard error; the interval around the mean is Student's t with
    (clusters - 1) degrees of freedom, which keeps its coverage on small test sets where percentiles are too narrow.

    Args:
        treated: For each seed the values of the items, each (items,); their mean is the metric.
        control: The same of the other arm, for the same items in the same order; the number of seeds may differ.
        clusters: The cluster of each item, (items,) integers; by default each item is its own.
        level: The confidence level.
        draws: How many bootstrap samples.
        seed: Of the bootstrap.

    Returns:
        The interval; ``n`` is the number of clusters.

    Raises:
        ValueError: Shapes differ, or there is no seed or item.
    """
    a, b = (np.asarray(arm, dtype=np.float64) for arm in (treated, control))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1:] != b.shape[1:] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"items of both arms must be the same: {a.shape} and {b.shape}.")
    difference = a.mean(axis=0) - b.mean(axis=0)
    cluster = np.arange(len(difference)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    if cluster.shape != difference.shape:
        raise ValueError(f"{len(difference)} items, but {len(cluster)} of them have a cluster.")
    totals, sizes = (np.bincount(cluster, x).astype(np.float64) for x in (difference, np.ones_like(difference)))
    n = len(totals)
    mean = float(difference.mean())
    error = _bootstrap_error(totals, sizes, draws, seed) if n > 1 else math.inf
    return _around(mean, error, n, level)


def _bootstrap_error(totals: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], draws: int, seed: int) -> float:
    """The standard error of ``sum(totals) / sum(sizes)`` when whole clusters are drawn with replacement."""
    n = len(totals)
    rng = np.random.Generator(np.random.Philox(seed))
    at_once = max(1, 4_000_000 // n)
    means: list[npt.NDArray[np.float64]] = []
    for start in range(0, draws, at_once):
        drawn = rng.integers(n, size=(min(at_once, draws - start), n))
        means.append(totals[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    # Drawing n from n loses a share 1/n of the variance.
    return float(np.concatenate(means).std(ddof=1)) * math.sqrt(n / (n - 1))


def _around(mean: float, error: float, n: int, level: float) -> Interval:
    """Student's t interval from a standard error with n - 1 degrees of freedom."""
    from scipy.stats import t

    if not math.isfinite(error):
        return Interval(mean, -math.inf, math.inf, n, level)
    reach = float(t.ppf((1 + level) / 2, n - 1)) * error
    return Interval(mean, mean - reach, mean + reach, n, level)


def verdict(*intervals: Interval) -> Verdict:
    """What intervals around one difference (treated - control) allow to say.

    Given the interval over seeds and the test set's, both must lie on the same side of zero. An interval without
    width is no evidence: the values were too few or too coarse to show their spread.
    """
    shown = [interval for interval in intervals if interval.high > interval.low]
    if len(shown) < len(intervals) or not intervals:
        return "no evidence"
    if all(interval.low > 0 for interval in intervals):
        return "gain"
    return "loss" if all(interval.high < 0 for interval in intervals) else "no evidence"
