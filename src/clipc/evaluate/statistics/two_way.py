"""The interval of a difference with both its seeds and its test items drawn again."""

import math

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.clusters import cluster_sums, effective, redrawn_means
from clipc.evaluate.statistics.interval import Interval, t_reach, without_spread


def two_way(
    treated: npt.ArrayLike,
    control: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """What other seeds *and* another test set of this kind might have shown of a paired difference.

    The pigeonhole bootstrap (Owen 2007, https://arxiv.org/abs/0712.1111) draws seeds and clusters of items with
    replacement, independently of each other. Here it gives three variances of the mean difference, each freed of what
    drawing n from n loses: A with seeds drawn alone, B with clusters alone, and E, what drawing both adds to A + B. The
    mean is linear in the seeds, so drawing these is summed in closed form; clusters are drawn ``draws`` times.

    A and B each hold the noise of single items under single seeds once, so the variance is A + B - E, but at least the
    larger of A and B: close to unbiased where Owen's A + B + E counts that noise three times. The interval is Student's
    t with Satterthwaite's degrees of freedom, and never narrower than the one over seeds alone (of
    :func:`~clipc.evaluate.statistics.paired_difference`) or over clusters alone. The latter matters for 2 to 4 seeds,
    where Satterthwaite's approximation alone covers too little; percentiles of so few seeds cover far less.

    Args:
        treated: The items' values for each seed, (seeds, items); their mean is the metric.
        control: The other arm's, for the same seeds and the same items in the same order, (seeds, items).
        clusters: The cluster of each item, such as its image, (items,); by default each item is its own.
        level: The confidence level.
        draws: How many bootstrap samples of the clusters.
        seed: Of the bootstrap.

    Returns:
        The interval around the mean difference; ``n`` is the number of seeds. Infinite with one seed or one cluster; of
        no width where all differences are equal.

    Raises:
        ValueError: Shapes differ, there is no seed or item, a value is not finite, or an item has no cluster.
    """
    a, b = (np.asarray(arm, dtype=np.float64) for arm in (treated, control))
    if a.ndim != 2 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"seeds and items of both arms must be the same: {a.shape} and {b.shape}.")
    differences = a - b
    if not np.isfinite(differences).all():
        raise ValueError("values of items must be finite.")
    sums, sizes = cluster_sums(differences, clusters)
    seeds = len(sums)
    by_seed = differences.mean(axis=1)
    mean = float(by_seed.mean())
    if seeds == 1 or len(sizes) == 1:
        return Interval(mean, -math.inf, math.inf, seeds, level)
    if without_spread(differences):
        return Interval(mean, mean, mean, seeds, level, 0.0)
    deviations = redrawn_means(sums, sizes, draws, seed)
    of_seeds = float(by_seed.var(ddof=1)) / seeds
    of_clusters = float(deviations.mean(axis=1).var(ddof=1))
    of_both = float(deviations.var(axis=1, ddof=1).mean()) / seeds
    variance = max(of_seeds + of_clusters - of_both, of_seeds, of_clusters)
    free = effective(sizes) - 1
    if variance == 0:  # What differs cancels out over seeds and over items: only both together tell of it.
        reach = t_reach(math.sqrt(of_both), seeds - 1, level)
        return Interval(mean, mean - reach, mean + reach, seeds, level, math.sqrt(of_both))
    freedom = variance**2 / (of_seeds**2 / (seeds - 1) + of_clusters**2 / free)
    reach = max(
        t_reach(math.sqrt(variance), freedom, level),
        t_reach(math.sqrt(of_seeds), seeds - 1, level),
        t_reach(math.sqrt(of_clusters), free, level),
    )
    return Interval(mean, mean - reach, mean + reach, seeds, level, math.sqrt(variance))
