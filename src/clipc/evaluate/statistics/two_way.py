"""The interval of a difference over both seeds and test items."""

import math

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.clusters import bootstrap_deviations, cluster_sums, effective_count
from clipc.evaluate.statistics.interval import Interval, t_margin, without_spread


def two_way(
    treated: npt.ArrayLike,
    control: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """The interval of a paired difference over other seeds *and* other test sets of the same kind.

    The pigeonhole bootstrap (Owen 2007, https://arxiv.org/abs/0712.1111) draws seeds and clusters of items with
    replacement, independently of each other. It gives three variances of the mean difference, each corrected for the
    bias of drawing n from n: A if only seeds are drawn, B if only clusters are drawn, and E, by which the variance for
    drawing both exceeds A + B. Draws of seeds have a closed form; clusters are drawn ``draws`` times.

    A and B both contain the noise of single items under single seeds. So the variance is A + B - E, but at least the
    larger of A and B; Owen's A + B + E would count this noise three times. The interval is Student's t with
    Satterthwaite's degrees of freedom. It is never narrower than the interval over seeds alone
    (:func:`~clipc.evaluate.statistics.paired_difference`) or over clusters alone, because Satterthwaite's approximation
    covers too little for 2 to 4 seeds.

    Args:
        treated: The values of the items for each seed, (seeds, items); their mean is the metric.
        control: The values of the other arm, for the same seeds and items in the same order, (seeds, items).
        clusters: The cluster of each item, such as its image, (items,); by default each item is its own cluster.
        level: The confidence level.
        draws: The number of bootstrap samples of the clusters.
        seed: The seed of the bootstrap.

    Returns:
        The interval around the mean difference; ``n`` is the number of seeds. It is infinite for one seed or one
        cluster, and has zero width if all differences are equal.

    Raises:
        ValueError: Shapes differ, there is no seed or item, a value is not finite, or an item has no cluster.
    """
    a, b = (np.asarray(arm, dtype=np.float64) for arm in (treated, control))
    if a.ndim != 2 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"both arms need the same seeds and items: {a.shape} and {b.shape}.")
    differences = a - b
    if not np.isfinite(differences).all():
        raise ValueError("the values of items must be finite.")
    sums, sizes = cluster_sums(differences, clusters)
    seeds = len(sums)
    by_seed = differences.mean(axis=1)
    mean = float(by_seed.mean())
    if seeds == 1 or len(sizes) == 1:
        return Interval(mean, -math.inf, math.inf, seeds, level)
    if without_spread(differences):
        return Interval(mean, mean, mean, seeds, level, 0.0)
    deviations = bootstrap_deviations(sums, sizes, draws, seed)
    seed_variance = float(by_seed.var(ddof=1)) / seeds
    cluster_variance = float(deviations.mean(axis=1).var(ddof=1))
    joint_variance = float(deviations.var(axis=1, ddof=1).mean()) / seeds
    variance = max(seed_variance + cluster_variance - joint_variance, seed_variance, cluster_variance)
    cluster_freedom = effective_count(sizes) - 1
    if variance == 0:  # The differences cancel out over seeds and over items, so only the joint variance is positive.
        margin = t_margin(math.sqrt(joint_variance), seeds - 1, level)
        return Interval(mean, mean - margin, mean + margin, seeds, level, math.sqrt(joint_variance))
    freedom = variance**2 / (seed_variance**2 / (seeds - 1) + cluster_variance**2 / cluster_freedom)
    margin = max(
        t_margin(math.sqrt(variance), freedom, level),
        t_margin(math.sqrt(seed_variance), seeds - 1, level),
        t_margin(math.sqrt(cluster_variance), cluster_freedom, level),
    )
    return Interval(mean, mean - margin, mean + margin, seeds, level, math.sqrt(variance))
