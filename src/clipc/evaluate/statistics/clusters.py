"""The bootstrap of test items, those of a cluster together."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_AT_ONCE: Final = 4_000_000
"""How many counts are held at a time."""


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
    columns = np.concatenate([sums, sizes[None]]).T
    totals = np.concatenate([counts @ columns for counts in _draw(n, draws, seed)])
    means = totals[:, :-1] / totals[:, -1:]
    alike = effective(sizes)
    return (means - sums.sum(axis=1) / sizes.sum()) * math.sqrt(alike / (alike - 1))


def _draw(n: int, draws: int, seed: int) -> Iterable[Floats]:
    """How often each of n clusters comes in samples of n, (draws, n), in pieces that fit in memory."""
    at_once = max(1, _AT_ONCE // n)
    if draws <= at_once:
        return (_drawn(n, draws, seed),)
    rng = np.random.Generator(np.random.Philox(seed))
    return (_counts(rng, n, min(at_once, draws - start)) for start in range(0, draws, at_once))


@lru_cache(maxsize=4)
def _drawn(n: int, draws: int, seed: int) -> Floats:
    """All samples of one piece: a study draws the same ones for every arm and metric of a test set."""
    counts = _counts(np.random.Generator(np.random.Philox(seed)), n, draws)
    counts.flags.writeable = False
    return counts


def _counts(rng: np.random.Generator, n: int, rows: int) -> Floats:
    chosen = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(chosen.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
