"""The bootstrap of test items, those of a cluster together."""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def cluster_sums(values: Floats, clusters: npt.ArrayLike | None) -> tuple[Floats, Floats]:
    """The sum and the number of the items in each cluster.

    Args:
        values: (seeds, items).
        clusters: The cluster of each item, (items,) integers or names; by default each item is its own.

    Returns:
        Sums, (seeds, clusters), and sizes, (clusters,).

    Raises:
        ValueError: Not every item has a cluster.
    """
    items = values.shape[1]
    if clusters is None:
        return values, np.ones(items)
    of = np.unique(clusters, return_inverse=True)[1]
    if of.shape != (items,):
        raise ValueError(f"{items} items, but {of.size} of them have a cluster.")
    sums = [np.bincount(of, row).astype(np.float64) for row in values]
    return np.stack(sums), np.bincount(of).astype(np.float64)


def effective(sizes: Floats) -> float:
    """How many clusters of one size say as much as these: ``sum(sizes)**2 / sum(sizes**2)``, at most their number.

    Where the items of a cluster share their fate, a large cluster outweighs the small ones (Kish 1965). With 10
    clusters of one to five items, intervals that count 10 of them cover 92% or 93% instead of 95%.
    """
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def redrawn_means(sums: Floats, sizes: Floats, draws: int, seed: int) -> Floats:
    """The deviation of each seed's mean over items from its own mean when whole clusters are drawn with replacement.

    Drawing n from n loses a share 1/n of the variance; deviations are stretched to have it, n being :func:`effective`.

    Args:
        sums: Sums of the items in each cluster, (seeds, clusters), two clusters or more.
        sizes: Items in each cluster, (clusters,).
        draws: How many samples.
        seed: Of the draws, which are the same for every seed of training.

    Returns:
        (draws, seeds).
    """
    n = len(sizes)
    rng = np.random.Generator(np.random.Philox(seed))
    columns = np.concatenate([sums, sizes[None]]).T
    at_once = max(1, 4_000_000 // n)
    drawn: list[Floats] = []
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        chosen = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n)
        drawn.append(counts.astype(np.float64) @ columns)
    totals = np.concatenate(drawn)
    means = totals[:, :-1] / totals[:, -1:]
    alike = effective(sizes)
    return (means - sums.sum(axis=1) / sizes.sum()) * math.sqrt(alike / (alike - 1))
