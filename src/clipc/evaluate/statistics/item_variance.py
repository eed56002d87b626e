"""What a test set puts into a difference however many seeds there are."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.clusters import cluster_sums, redrawn_means


def item_variance(
    treated: Sequence[npt.ArrayLike],
    control: Sequence[npt.ArrayLike],
    clusters: npt.ArrayLike | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> float:
    """The variance of a mean paired difference that another test set of this kind would bring, with endless seeds.

    Drawing clusters alone gives it together with the noise of single items under single seeds, which more seeds
    average out: B - E in the terms of :func:`~clipc.evaluate.statistics.two_way`. Unbiased, and so sometimes negative.

    Args:
        treated: For each seed the values of the items, each (items,); two seeds or more.
        control: The other arm's, for the same seeds and the same items in the same order.
        clusters: The cluster of each item, (items,); by default each item is its own.
        draws: How many bootstrap samples of the clusters.
        seed: Of the bootstrap.

    Raises:
        ValueError: Shapes differ, or there are fewer than two seeds or clusters.
    """
    a, b = (np.asarray(arm, dtype=np.float64) for arm in (treated, control))
    if a.ndim != 2 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"items and seeds of both arms must be the same, and seeds two or more: {a.shape}, {b.shape}.")
    sums, sizes = cluster_sums(a - b, clusters)
    if len(sizes) < 2:
        raise ValueError("one cluster has no spread.")
    deviations = redrawn_means(sums, sizes, draws, seed)
    return float(deviations.mean(axis=1).var(ddof=1) - deviations.var(axis=1, ddof=1).mean() / len(a))
