"""The variance of a difference that comes from the test set and that more seeds do not reduce."""

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.clusters import bootstrap_deviations, cluster_sums


def item_variance(
    treated: npt.ArrayLike,
    control: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> float:
    """The variance of a mean paired difference over test sets of the same kind, for an infinite number of seeds.

    The variance over draws of clusters also contains the noise of single items under single seeds, which more seeds
    average out. It is subtracted: B - E in the terms of :func:`~clipc.evaluate.statistics.two_way`. The estimate is
    unbiased, so it may be negative.

    Args:
        treated: The values of the items for each seed, (seeds, items); two seeds or more.
        control: The values of the other arm, for the same seeds and items in the same order.
        clusters: The cluster of each item, (items,); by default each item is its own cluster.
        draws: The number of bootstrap samples of the clusters.
        seed: The seed of the bootstrap.

    Raises:
        ValueError: Shapes differ, or there are fewer than two seeds or clusters.
    """
    a, b = (np.asarray(arm, dtype=np.float64) for arm in (treated, control))
    if a.ndim != 2 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"both arms need the same items and the same two or more seeds: {a.shape}, {b.shape}.")
    sums, sizes = cluster_sums(a - b, clusters)
    if len(sizes) < 2:
        raise ValueError("one cluster has no spread.")
    deviations = bootstrap_deviations(sums, sizes, draws, seed)
    return float(deviations.mean(axis=1).var(ddof=1) - deviations.var(axis=1, ddof=1).mean() / len(a))
