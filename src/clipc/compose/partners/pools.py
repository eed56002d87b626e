"""Pools: the pairs from which a partner is drawn, before rules are applied."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from clipc.compose.arrays import Float64s, Int32s, Int64s


@dataclass(frozen=True, eq=False)
class Pools:
    """Pools of pairs, concatenated, and the pool from which each entry's partner is drawn.

    The whole training set, a group, and the neighbours of a pair are all pools, so all partner strategies share one
    sampler.

    Attributes:
        members: Catalog rows, pool by pool, ``int32``, shape (m,).
        start: The start of each pool in ``members``, and the end of the last; ``int64``, shape (pools + 1,).
        pool_of_entry: The pool of each entry (caption) of the catalog, -1 for none; ``int32``, shape (entries,).
        weights: Positive weights of the members, ``float64``, shape (m,); None for equal weights.
    """

    members: Int32s
    start: Int64s
    pool_of_entry: Int32s
    weights: Float64s | None = None

    @cached_property
    def sizes(self) -> Int64s:
        """The number of members of each pool, shape (pools,)."""
        return np.diff(self.start)

    def member(self, pool: Int32s, chance: Float64s) -> Int32s:
        """One member of each of the given pools, as a catalog row.

        Args:
            pool: Indices of pools, none of them empty, shape (n,).
            chance: Random numbers in [0, 1), shape (n,).
        """
        if self._cumulative_weights is not None:
            return self.members[
                weighted_choice(self._cumulative_weights, self.start[pool], self.start[pool + 1], chance)
            ]
        place = self.start[pool] + (chance * self.sizes[pool]).astype(np.int64)
        return self.members[place]

    @cached_property
    def _cumulative_weights(self) -> Float64s | None:
        return None if self.weights is None else cumulative_weights(self.weights, self.sizes)

    def weighted(self, weights: Float64s) -> "Pools":
        """The pools with weighted members; pairs of weight 0 are removed.

        Args:
            weights: The weight of each pair of the catalog, from 0 up, shape (pairs,).
        """
        own = weights[self.members]
        positive = own > 0
        start = np.concatenate([[0], np.cumsum(positive)])[self.start]
        return replace(self, members=self.members[positive], start=start, weights=own[positive])


def only_value(values: Int32s, start: Int64s) -> Int32s:
    """The value that all members of a segment have; -1 for a segment with several values.

    Args:
        values: Values from 0, or -1 for members with several values; segment after segment, ``int32``, shape (m,).
        start: The start of each segment, none of them empty, ascending; shape (n,).

    Returns:
        ``int32``, shape (n,).
    """
    if not len(start):
        return np.zeros(0, dtype=np.int32)
    low, high = np.minimum.reduceat(values, start), np.maximum.reduceat(values, start)
    return np.where(low == high, low, -1).astype(np.int32)


def cumulative_weights(weights: Float64s, sizes: Int64s) -> Float64s:
    """Cumulative sums of weights, from which :func:`weighted_choice` draws.

    Each segment's weights are scaled to a maximum of 1, so that small weights are not lost by rounding when they are
    added to the sum of earlier segments.

    Args:
        weights: Positive weights, segment after segment, shape (m,).
        sizes: The length of each segment; their sum is m.

    Returns:
        ``float64``, shape (m + 1,), starting with 0.
    """
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return np.zeros(1)
    largest = np.maximum.reduceat(weights, np.cumsum(sizes) - sizes)
    return np.concatenate([[0.0], np.cumsum(weights / np.repeat(largest, sizes))])


def weighted_choice(sums: Float64s, begin: Int64s, end: Int64s, chance: Float64s) -> Int64s:
    """One position in each of several segments, drawn in proportion to the weights.

    Args:
        sums: The result of :func:`cumulative_weights`.
        begin: The start of each segment, shape (n,).
        end: The end of each segment, greater than its start, shape (n,).
        chance: Random numbers in [0, 1), shape (n,).

    Returns:
        Positions, ``int64``, shape (n,).
    """
    low, high = sums[begin], sums[end]
    aim = np.minimum(low + chance * (high - low), np.nextafter(high, 0))
    return np.searchsorted(sums, aim, side="right") - 1


def single_pool(counts: Int64s) -> Pools:
    """One pool of all pairs, as far as is known the paper's.

    Args:
        counts: The number of captions of each pair, shape (pairs,).
    """
    pairs = len(counts)
    return Pools(np.arange(pairs, dtype=np.int32), np.array([0, pairs]), np.zeros(int(counts.sum()), dtype=np.int32))


def neighbour_pools(neighbours: Int32s, counts: Int64s, weights: Float64s | None = None) -> Pools:
    """One pool for each pair: its neighbours.

    Args:
        neighbours: Catalog rows, shape (pairs, k); -1 where a pair has fewer than k.
        counts: The number of captions of each pair, shape (pairs,).
        weights: The relative probability of each neighbour, from 0 up, shape (pairs, k); 0 for one that is no member.
            None for equal ones.
    """
    valid = neighbours >= 0 if weights is None else (neighbours >= 0) & (weights > 0)
    start = np.concatenate([[0], np.cumsum(valid.sum(axis=1))])
    own = np.where(valid.any(axis=1), np.arange(len(neighbours), dtype=np.int32), -1)
    drawn = None if weights is None else weights[valid]
    return Pools(neighbours[valid], start.astype(np.int64), np.repeat(own, counts).astype(np.int32), drawn)


def group_pools(codes: Int32s, counts: Int64s) -> Pools:
    """One pool for each group: the pairs with at least one caption in the group.

    Args:
        codes: The group of each entry (caption), from 0; -1 where it is unknown.
        counts: The number of captions of each pair, shape (pairs,).
    """
    row_of = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    valid = codes >= 0
    total = int(codes.max(initial=-1)) + 1
    # A pair with several captions in a group is one member: group and pair are packed into one number.
    group_and_row = np.unique(codes[valid].astype(np.int64) * len(counts) + row_of[valid])
    start = np.concatenate([[0], np.cumsum(np.bincount(group_and_row // len(counts), minlength=total))])
    return Pools((group_and_row % len(counts)).astype(np.int32), start.astype(np.int64), codes.astype(np.int32))
