"""Pools: from where a pair's partner is drawn, before any rule refuses one."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Pools:
    """Lists of pairs, one after the other, and which list each caption draws from.

    The whole training set, the members of a group and the neighbours of a pair are all such lists, so one
    draw serves every partner policy.

    Attributes:
        members: Catalog rows, pool by pool, ``int32``.
        start: Where each pool begins in ``members``, and where the last ends; ``int64``, shape (pools + 1,).
        of: The pool of each caption (entry) of the catalog, -1 where there is none; ``int32``.
        weights: What each member's chance is in proportion to, above 0, ``float64``; None where chances are equal.
    """

    members: Rows
    start: npt.NDArray[np.int64]
    of: Rows
    weights: npt.NDArray[np.float64] | None = None

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """The number of members of each pool."""
        return np.diff(self.start)

    def member(self, pool: Rows, chance: npt.NDArray[np.float64]) -> Rows:
        """One member of each given pool, none of them empty, for numbers in [0, 1)."""
        if self._sums is not None:
            return self.members[in_proportion(self._sums, self.start[pool], self.start[pool + 1], chance)]
        place = self.start[pool] + (chance * self.sizes[pool]).astype(np.int64)
        return self.members[place]

    @cached_property
    def _sums(self) -> npt.NDArray[np.float64] | None:
        return None if self.weights is None else running_sums(self.weights, self.sizes)

    def weighted(self, weights: npt.NDArray[np.float64]) -> "Pools":
        """The same pools with a weight for each pair; who has none is a member of no pool.

        Args:
            weights: Numbers from 0 up, shape (pairs,).
        """
        own = weights[self.members]
        kept = own > 0
        start = np.concatenate([[0], np.cumsum(kept)])[self.start]
        return replace(self, members=self.members[kept], start=start, weights=own[kept])


def running_sums(weights: npt.NDArray[np.float64], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Sums of all weights up to each, by which :func:`in_proportion` draws.

    Each stretch's largest weight counts as 1, so that no stretch is lost in the rounding of the sum before it.

    Args:
        weights: Above 0, stretch after stretch, shape (m,).
        sizes: How long each stretch is; m together.

    Returns:
        Shape (m + 1,), beginning with 0.
    """
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return np.zeros(1)
    largest = np.maximum.reduceat(weights, np.cumsum(sizes) - sizes)
    return np.concatenate([[0.0], np.cumsum(weights / np.repeat(largest, sizes))])


def in_proportion(
    sums: npt.NDArray[np.float64],
    begin: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    chance: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """One place of each of some stretches, each with a chance in proportion to its weight.

    Args:
        sums: As :func:`running_sums` gives them.
        begin: Where the stretches begin, shape (n,).
        end: Where they end; none is empty.
        chance: Numbers in [0, 1), shape (n,).
    """
    low, high = sums[begin], sums[end]
    aim = np.minimum(low + chance * (high - low), np.nextafter(high, 0))
    return np.searchsorted(sums, aim, side="right") - 1


def everyone(counts: npt.NDArray[np.int64]) -> Pools:
    """One pool with every pair: the paper's, as far as is known.

    Args:
        counts: The number of captions of each pair.
    """
    pairs = len(counts)
    return Pools(np.arange(pairs, dtype=np.int32), np.array([0, pairs]), np.zeros(int(counts.sum()), dtype=np.int32))


def neighbourhoods(neighbours: Rows, counts: npt.NDArray[np.int64]) -> Pools:
    """One pool a pair, with its neighbours.

    Args:
        neighbours: Shape (pairs, k), -1 where there are fewer.
        counts: The number of captions of each pair.
    """
    found = neighbours >= 0
    start = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
    own = np.where(found.any(axis=1), np.arange(len(neighbours), dtype=np.int32), -1)
    return Pools(neighbours[found], start.astype(np.int64), np.repeat(own, counts).astype(np.int32))


def groups(codes: Rows, counts: npt.NDArray[np.int64]) -> Pools:
    """One pool a group, with the pairs that have at least one caption in it.

    Args:
        codes: The group of each caption (entry), from 0; -1 where it is unknown.
        counts: The number of captions of each pair.
    """
    row_of = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    known = codes >= 0
    total = int(codes.max(initial=-1)) + 1
    # A pair whose captions all lie in one group is one member of it.
    both = np.unique(codes[known].astype(np.int64) * len(counts) + row_of[known])
    start = np.concatenate([[0], np.cumsum(np.bincount(both // len(counts), minlength=total))])
    return Pools((both % len(counts)).astype(np.int32), start.astype(np.int64), codes.astype(np.int32))
