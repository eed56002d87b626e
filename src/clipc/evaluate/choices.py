"""Choices between a right and a wrong answer: who won, ties counted fairly, and the interval of the share won."""

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor

from clipc.evaluate.ranks import TIE
from clipc.evaluate.statistics.interval import Interval

Z95 = 1.959964
"""The normal distribution's 97.5% point."""


def score_choices(right: Tensor, wrong: Tensor) -> npt.NDArray[np.float64]:
    """Where the right answer scores higher: 1, or 0, or 1/2 where the two are equal to within ``TIE``.

    Args:
        right: Cosines with right answers, float (n,).
        wrong: Cosines with wrong ones, float (n,).
    """
    difference = (right - wrong).double().cpu().numpy()
    return np.where(np.abs(difference) <= TIE, 0.5, (difference > 0).astype(np.float64))


def share(values: npt.ArrayLike, clusters: npt.ArrayLike | None = None) -> Interval:
    """The mean of values in [0, 1] with Wilson's 95% interval, widened where values of a cluster go together.

    Wilson's interval stays inside [0, 1] and has a width at 0 and 1. Values of one cluster (one image's captions) are
    not independent, so in place of n stands the effective size n / d, where d, the design effect, is how much
    larger the mean's variance is between clusters than it would be between independent values; at least 1, at most (and
    where all values are equal, when it cannot be seen) what full agreement inside clusters would give.

    Args:
        values: (n,), n >= 1.
        clusters: The cluster of each, (n,) integers; by default each is its own.

    Returns:
        The interval; its ``n`` is the number of values.
    """
    x = np.asarray(values, dtype=np.float64)
    n, p = len(x), float(x.mean())
    effective = n / _design_effect(x, p, np.arange(n) if clusters is None else np.asarray(clusters))
    bend = Z95**2 / effective
    middle = (p + bend / 2) / (1 + bend)
    reach = math.sqrt(p * (1 - p) * bend + bend**2 / 4) / (1 + bend)
    # At 0 and 1 rounding would leave the mean just outside.
    return Interval(p, min(p, max(0.0, middle - reach)), max(p, min(1.0, middle + reach)), n)


def _design_effect(x: npt.NDArray[np.float64], p: float, clusters: npt.NDArray[np.int64]) -> float:
    number = np.unique(clusters, return_inverse=True)[1]
    sizes = np.bincount(number)
    most = float((sizes**2).sum() / len(x))
    spread = p * (1 - p) / len(x)
    if spread == 0 or len(sizes) < 2 or most == 1:
        return most
    residuals = np.bincount(number, x - p)
    between = float((residuals**2).sum()) / len(x) ** 2 * len(sizes) / (len(sizes) - 1)
    return min(most, max(1.0, between / spread))
