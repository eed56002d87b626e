"""The cluster bootstrap of test items: the items of a cluster are drawn together."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MAX_COUNTS: Final = 4_000_000
"""The largest number of counts in memory at a time."""


def cluster_sums(values: Floats, clusters: npt.ArrayLike | None) -> tuple[Floats, Floats]:
    """The sum and the number of items in each cluster.

    Args:
        values: The values of the items, (seeds, items).
        clusters: The cluster of each item, (items,) integers or names; by default each item is its own cluster.

    Returns:
        The sums, (seeds, clusters), and the numbers of items, (clusters,).

    Raises:
        ValueError: ``clusters`` does not have one entry per item.
    """
    items = values.shape[1]
    if clusters is None:
        return values, np.ones(items)
    ids = np.unique(clusters, return_inverse=True)[1]
    if ids.shape != (items,):
        raise ValueError(f"there are {items} items, but {ids.size} clusters are given.")
    sums = [np.bincount(ids, row).astype(np.float64) for row in values]
    return np.stack(sums), np.bincount(ids).astype(np.float64)


def effective_count(sizes: Floats) -> float:
    """The effective number of clusters (Kish 1965): ``sum(sizes)**2 / sum(sizes**2)``, at most their number.

    Clusters of unequal sizes are worth as much as this number of equal clusters, if the items of a cluster are alike.
    For example, with 10 clusters of one to five items, intervals that count 10 clusters cover 92% or 93%, not 95%.
    """
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def bootstrap_deviations(sums: Floats, sizes: Floats, draws: int, seed: int) -> Floats:
    """Draws clusters with replacement; returns how far each seed's mean over items moves.

    A bootstrap of n clusters underestimates the variance by the factor (n - 1) / n. The deviations are scaled to
    correct this bias, with the :func:`effective_count` as n.

    Args:
        sums: The sum of the items in each cluster, (seeds, clusters), two clusters or more.
        sizes: The number of items in each cluster, (clusters,).
        draws: The number of bootstrap samples.
        seed: The seed of the draws. All seeds of training share the same draws.

    Returns:
        The means of the samples minus the means of all items, (draws, seeds).
    """
    n = len(sizes)
    columns = np.concatenate([sums, sizes[None]]).T
    totals = np.concatenate([counts @ columns for counts in _count_blocks(n, draws, seed)])
    means = totals[:, :-1] / totals[:, -1:]
    effective = effective_count(sizes)
    return (means - sums.sum(axis=1) / sizes.sum()) * math.sqrt(effective / (effective - 1))


def _count_blocks(n: int, draws: int, seed: int) -> Iterable[Floats]:
    """How often each of n clusters occurs in samples of n, (draws, n), as blocks of rows that fit in memory."""
    block = max(1, _MAX_COUNTS // n)
    if draws <= block:
        return (_cached_counts(n, draws, seed),)
    rng = np.random.Generator(np.random.Philox(seed))
    return (_draw_counts(rng, n, min(block, draws - start)) for start in range(0, draws, block))


@lru_cache(maxsize=4)
def _cached_counts(n: int, draws: int, seed: int) -> Floats:
    """The counts of all samples; cached, because a study needs the same ones for every arm and metric of a test set."""
    counts = _draw_counts(np.random.Generator(np.random.Philox(seed)), n, draws)
    counts.flags.writeable = False
    return counts


def _draw_counts(rng: np.random.Generator, n: int, rows: int) -> Floats:
    cells = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(cells.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
