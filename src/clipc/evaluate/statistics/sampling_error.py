"""The test set's own sampling error of a difference between trained models."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.clusters import cluster_sums, effective, redrawn_means
from clipc.evaluate.statistics.interval import Interval, t_reach


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
    Clusters of unequal sizes count as fewer, by :func:`~clipc.evaluate.statistics.clusters.effective`.

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
    sums, sizes = cluster_sums(difference[None], clusters)
    n = len(sizes)
    mean = float(difference.mean())
    error = float(redrawn_means(sums, sizes, draws, seed).std(ddof=1)) if n > 1 else 0.0
    reach = t_reach(error, effective(sizes) - 1, level)
    return Interval(mean, mean - reach, mean + reach, n, level, error if n > 1 else math.inf)
