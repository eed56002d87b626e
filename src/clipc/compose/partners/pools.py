"""Pools: from where a pair's partner is drawn, before any rule refuses one."""

from dataclasses import dataclass
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
    """

    members: Rows
    start: npt.NDArray[np.int64]
    of: Rows

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """The number of members of each pool."""
        return np.diff(self.start)

    def member(self, pool: Rows, chance: npt.NDArray[np.float64]) -> Rows:
        """One member of each given pool, for numbers in [0, 1)."""
        place = self.start[pool] + (chance * self.sizes[pool]).astype(np.int64)
        return self.members[place]


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
