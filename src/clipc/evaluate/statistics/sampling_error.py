"""The sampling error of the test set in a difference between trained models."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.clusters import bootstrap_deviations, cluster_sums, effective_count
from clipc.evaluate.statistics.interval import Interval, t_margin


def sampling_error(
    treated: Sequence[npt.ArrayLike],
    control: Sequence[npt.ArrayLike],
    clusters: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """The interval of a paired difference over test sets of the same kind, for the given trained models.

    The values of each item are averaged over seeds, the averages of the arms are subtracted item by item, and the mean
    of these differences is bootstrapped over items. Items of one cluster, such as the captions of one image, are drawn
    together. The bootstrap gives the standard error; the interval around the mean is Student's t with
    (clusters - 1) degrees of freedom, which keeps its coverage on small test sets where percentiles are too narrow.
    Clusters of unequal sizes count as fewer, by :func:`~clipc.evaluate.statistics.clusters.effective_count`.

    Args:
        treated: The values of the items for each seed, (seeds, items); their mean is the metric.
        control: The values of the other arm, for the same items in the same order; the number of seeds may differ.
        clusters: The cluster of each item, (items,) integers; by default each item is its own cluster.
        level: The confidence level.
        draws: The number of bootstrap samples.
        seed: The seed of the bootstrap.

    Returns:
        The interval; ``n`` is the number of clusters.

    Raises:
        ValueError: Shapes differ, or there is no seed or item.
    """
    a, b = (np.asarray(arm, dtype=np.float64) for arm in (treated, control))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1:] != b.shape[1:] or 0 in (*a.shape, *b.shape):
        raise ValueError(f"both arms need the same items: {a.shape} and {b.shape}.")
    difference = a.mean(axis=0) - b.mean(axis=0)
    sums, sizes = cluster_sums(difference[None], clusters)
    n = len(sizes)
    mean = float(difference.mean())
    error = float(bootstrap_deviations(sums, sizes, draws, seed).std(ddof=1)) if n > 1 else 0.0
    margin = t_margin(error, effective_count(sizes) - 1, level)
    return Interval(mean, mean - margin, mean + margin, n, level, error if n > 1 else math.inf)
