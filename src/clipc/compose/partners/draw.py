"""Drawing partners: among the allowed members of a pool, uniformly or in proportion to their weights."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from clipc.compose.partners.pools import Pools, Rows, in_proportion, running_sums

ENUMERATED: Final = 20_000
"""Pools of at most this many members are searched through where drawing finds no allowed one."""

_ROUNDS_SMALL: Final = 8
_ROUNDS_LARGE: Final = 64
_AT_ONCE: Final = 1 << 20

Lawful = Callable[[npt.NDArray[np.intp], Rows], npt.NDArray[np.bool_]]
"""From positions in the rows that seek a partner, and a candidate for each, to which are allowed."""


def draw(rows: Rows, pool: Rows, pools: Pools, allowed: Lawful, generator: np.random.Generator, pairs: int) -> Rows:
    """A partner for each row: every allowed member of its pool has an equal chance, or one in proportion to its weight.

    Members are drawn and refused for some rounds; what is drawn and allowed has its right chance among the allowed.
    Rows that are still without a partner then choose among all allowed members of their pool, if it has at most
    :data:`ENUMERATED`, so that one allowed partner in a thousand is found there.

    A row's draws do not depend on which other rows seek a partner.

    Args:
        rows: The pairs that seek a partner, shape (n,).
        pool: The pool of each, not -1.
        pools: The pools.
        allowed: Which candidates may be taken; refuses the pair itself.
        generator: Where chance comes from; one number a pair of the catalog is drawn in each round.
        pairs: The number of pairs in the catalog.

    Returns:
        Partners, -1 where none was found, shape (n,).
    """
    partner = np.full(len(rows), -1, dtype=np.int32)
    last_chance = generator.random(pairs)
    small = pools.sizes[pool] <= ENUMERATED
    seeking = np.flatnonzero(pools.sizes[pool] > 0)
    for turn in range(_ROUNDS_LARGE):
        if turn == _ROUNDS_SMALL:
            seeking = seeking[~small[seeking]]
        if not len(seeking):
            break
        chance = generator.random(pairs)[rows[seeking]]
        candidate = pools.member(pool[seeking], chance)
        taken = allowed(seeking, candidate)
        partner[seeking[taken]] = candidate[taken]
        seeking = seeking[~taken]
    left = np.flatnonzero((partner < 0) & small & (pools.sizes[pool] > 0))
    for some in _portions(left, pools.sizes[pool[left]]):
        partner[some] = _enumerated(some, pool[some], pools, allowed, last_chance[rows[some]])
    return partner


def _enumerated(
    which: npt.NDArray[np.intp], pool: Rows, pools: Pools, allowed: Lawful, chance: npt.NDArray[np.float64]
) -> Rows:
    """One of all allowed members for each row, -1 where there is none."""
    sizes = pools.sizes[pool]
    begins = np.cumsum(sizes) - sizes
    place = np.arange(int(sizes.sum())) - np.repeat(begins - pools.start[pool], sizes)
    candidate = pools.members[place]
    good = np.flatnonzero(allowed(np.repeat(which, sizes), candidate))
    weights = None if pools.weights is None else pools.weights[place[good]]
    chosen = one_of(good, begins, sizes, chance, weights)
    return np.where(chosen >= 0, candidate[chosen], -1).astype(np.int32)


def one_of(
    good: npt.NDArray[np.intp],
    begins: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    chance: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.int64]:
    """One good place of each of some stretches.

    Args:
        good: The good places, in order, each of them in a stretch.
        begins: Where each stretch begins, in order; shape (n,).
        sizes: How long it is.
        chance: Numbers in [0, 1), one a stretch.
        weights: What the chance of each good place is in proportion to, above 0; equal chances by default.

    Returns:
        Places, -1 where a stretch has no good one; shape (n,).
    """
    first = np.searchsorted(good, begins)
    count = np.searchsorted(good, begins + sizes) - first
    chosen = np.full(len(begins), -1, dtype=np.int64)
    some = count > 0
    if weights is None:
        place = first[some] + (chance[some] * count[some]).astype(np.int64)
    else:
        place = in_proportion(running_sums(weights, count), first[some], first[some] + count[some], chance[some])
    chosen[some] = good[place]
    return chosen


def _portions(rows: npt.NDArray[np.intp], sizes: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.intp]]:
    """Rows in pieces whose pools together have a bounded number of members."""
    piece = (np.cumsum(sizes) - sizes) // _AT_ONCE
    ends = np.flatnonzero(np.diff(piece)) + 1
    yield from (part for part in np.split(rows, ends) if len(part))
