"""Choices between a right and a wrong answer: the score of each choice, and the interval of the share of hits."""

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor

from clipc.evaluate.ranks import TIE
from clipc.evaluate.statistics.interval import Interval

Z95 = 1.959964
"""The normal distribution's 97.5% point."""


def score_choices(right: Tensor, wrong: Tensor) -> npt.NDArray[np.float64]:
    """The score of each choice, float64 (n,): 1 if the right answer is nearer, 0 if the wrong one is, 1/2 for a tie.

    Args:
        right: Cosines with the right answers, float (n,).
        wrong: Cosines with the wrong answers, float (n,). Cosines within ``TIE`` of each other are tied.
    """
    difference = (right - wrong).double().cpu().numpy()
    return np.where(np.abs(difference) <= TIE, 0.5, (difference > 0).astype(np.float64))


def share(values: npt.ArrayLike, clusters: npt.ArrayLike | None = None) -> Interval:
    """The mean of values in [0, 1] with Wilson's 95% interval, widened by the design effect of clusters.

    Wilson's interval stays inside [0, 1] and has a positive width even for a mean of 0 or 1. Values of one cluster,
    such as the captions of one image, are not independent. Therefore the interval is computed for n / d values instead
    of n. The design effect d is the variance of the mean between clusters, divided by its variance between independent
    values. It is at least 1 and at most the value for full agreement within clusters, which is also taken if all values
    are equal.

    Args:
        values: (n,), n >= 1, in [0, 1].
        clusters: The cluster of each value, (n,) integers; by default each value is its own cluster.

    Returns:
        The interval; its ``n`` is the number of values.
    """
    x = np.asarray(values, dtype=np.float64)
    n, p = len(x), float(x.mean())
    effective_n = n / _design_effect(x, p, np.arange(n) if clusters is None else np.asarray(clusters))
    weight = Z95**2 / effective_n
    center = (p + weight / 2) / (1 + weight)
    margin = math.sqrt(p * (1 - p) * weight + weight**2 / 4) / (1 + weight)
    # With p = 0 or p = 1, rounding could put the mean just outside the interval.
    return Interval(p, min(p, max(0.0, center - margin)), max(p, min(1.0, center + margin)), n)


def _design_effect(x: npt.NDArray[np.float64], p: float, clusters: npt.NDArray[np.int64]) -> float:
    cluster_ids = np.unique(clusters, return_inverse=True)[1]
    sizes = np.bincount(cluster_ids)
    full_agreement = float((sizes**2).sum() / len(x))
    independent = p * (1 - p) / len(x)
    if independent == 0 or len(sizes) < 2 or full_agreement == 1:
        return full_agreement
    residuals = np.bincount(cluster_ids, x - p)
    between = float((residuals**2).sum()) / len(x) ** 2 * len(sizes) / (len(sizes) - 1)
    return min(full_agreement, max(1.0, between / independent))
