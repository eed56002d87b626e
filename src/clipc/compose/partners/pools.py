"""Pools: the pairs from which a partner is drawn, before rules are applied."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from clipc.compose.arrays import Float64s, Int32s, Int64s


@dataclass(frozen=True, eq=False)
class Pools:
    """Concatenated lists of pairs, and the list from which each caption's partner is drawn.

    The whole training set, the members of a group and the neighbours of a pair are all such lists, so all
    partner strategies share one sampler.

    Attributes:
        members: Catalog rows, pool by pool, ``int32``.
        start: Start of each pool in ``members``, and the end of the last; ``int64``, shape (pools + 1,).
        of: The pool of each caption (entry) of the catalog, -1 for none; ``int32``.
        weights: Positive weights of the members, ``float64``; None for uniform.
    """

    members: Int32s
    start: Int64s
    of: Int32s
    weights: Float64s | None = None

    @cached_property
    def sizes(self) -> Int64s:
        """The number of members of each pool."""
        return np.diff(self.start)

    def member(self, pool: Int32s, chance: Float64s) -> Int32s:
        """One member of each pool, none of them empty, for random numbers in [0, 1)."""
        if self._sums is not None:
            return self.members[weighted_choice(self._sums, self.start[pool], self.start[pool + 1], chance)]
        place = self.start[pool] + (chance * self.sizes[pool]).astype(np.int64)
        return self.members[place]

    @cached_property
    def _sums(self) -> Float64s | None:
        return None if self.weights is None else cumulative_weights(self.weights, self.sizes)

    def weighted(self, weights: Float64s) -> "Pools":
        """The pools with weights; pairs of weight 0 are removed.

        Args:
            weights: Numbers from 0 up, shape (pairs,).
        """
        own = weights[self.members]
        positive = own > 0
        start = np.concatenate([[0], np.cumsum(positive)])[self.start]
        return replace(self, members=self.members[positive], start=start, weights=own[positive])


def cumulative_weights(weights: Float64s, sizes: Int64s) -> Float64s:
    """Cumulative sums of weights, from which :func:`weighted_choice` draws.

    Each segment's weights are scaled to a maximum of 1, so that none is lost by rounding in the sum before it.

    Args:
        weights: Positive weights, segment after segment, shape (m,).
        sizes: Length of each segment; m in total.

    Returns:
        Shape (m + 1,), starting with 0.
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
        begin: Start of the segments, shape (n,).
        end: Their ends; none is empty.
        chance: Numbers in [0, 1), shape (n,).
    """
    low, high = sums[begin], sums[end]
    aim = np.minimum(low + chance * (high - low), np.nextafter(high, 0))
    return np.searchsorted(sums, aim, side="right") - 1


def single_pool(counts: Int64s) -> Pools:
    """One pool of all pairs, as in the paper, as far as is known.

    Args:
        counts: The number of captions of each pair.
    """
    pairs = len(counts)
    return Pools(np.arange(pairs, dtype=np.int32), np.array([0, pairs]), np.zeros(int(counts.sum()), dtype=np.int32))


def neighbour_pools(neighbours: Int32s, counts: Int64s) -> Pools:
    """One pool for each pair: its neighbours.

    Args:
        neighbours: Shape (pairs, k), -1 where there are fewer.
        counts: The number of captions of each pair.
    """
    valid = neighbours >= 0
    start = np.concatenate([[0], np.cumsum(valid.sum(axis=1))])
    own = np.where(valid.any(axis=1), np.arange(len(neighbours), dtype=np.int32), -1)
    return Pools(neighbours[valid], start.astype(np.int64), np.repeat(own, counts).astype(np.int32))


def groups(codes: Int32s, counts: Int64s) -> Pools:
    """One pool for each group: the pairs with at least one caption in it.

    Args:
        codes: The group of each caption (entry), from 0; -1 where it is unknown.
        counts: The number of captions of each pair.
    """
    row_of = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    valid = codes >= 0
    total = int(codes.max(initial=-1)) + 1
    # A pair with several captions in a group is one member of it.
    both = np.unique(codes[valid].astype(np.int64) * len(counts) + row_of[valid])
    start = np.concatenate([[0], np.cumsum(np.bincount(both // len(counts), minlength=total))])
    return Pools((both % len(counts)).astype(np.int32), start.astype(np.int64), codes.astype(np.int32))
