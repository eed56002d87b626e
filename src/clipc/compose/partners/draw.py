"""Draws partners from the allowed members of a pool, uniformly or in proportion to their weights."""

from collections.abc import Callable
from typing import Final

import numpy as np

from clipc.compose.arrays import Bools, Float32s, Float64s, Int32s, Int64s, Positions
from clipc.compose.partners.pools import Pools, cumulative_weights, weighted_choice

MAX_ENUMERATED: Final = 20_000
"""Pools of at most this size are enumerated if rejection sampling finds no allowed member."""

_ROUNDS_SMALL: Final = 8
_ROUNDS_LARGE: Final = 64
_AT_ONCE: Final = 1 << 20

AllowedTest = Callable[[Positions, Int32s], Bools]
"""From positions among the rows and a candidate partner for each to whether it is allowed."""


def draw(
    rows: Int32s, pool: Int32s, pools: Pools, allowed: AllowedTest, generator: np.random.Generator, pairs: int
) -> Int32s:
    """A partner for each row, drawn uniformly or by weight from the allowed members of its pool.

    Rejection sampling for some rounds, which has the right distribution. Rows that are still without a partner then
    draw from all allowed members of their pool, if it has at most :data:`MAX_ENUMERATED`, so that one allowed partner
    in a thousand is found there.

    The result for a row does not depend on the other rows.

    Args:
        rows: The first pairs, shape (n,).
        pool: The pool of each row, never -1.
        pools: The pools.
        allowed: Tests candidates; must refuse the pair itself.
        generator: The random generator; each round draws one number for every pair of the catalog.
        pairs: The number of pairs in the catalog.

    Returns:
        Partners, -1 for none, shape (n,).
    """
    partner = np.full(len(rows), -1, dtype=np.int32)
    last_chance = generator.random(pairs)
    small = pools.sizes[pool] <= MAX_ENUMERATED
    seeking = np.flatnonzero(pools.sizes[pool] > 0)
    for turn in range(_ROUNDS_LARGE):
        if turn == _ROUNDS_SMALL:
            seeking = seeking[~small[seeking]]
        if not len(seeking):
            break
        chance = generator.random(pairs)[rows[seeking]]
        candidate = pools.member(pool[seeking], chance)
        accepted = allowed(seeking, candidate)
        partner[seeking[accepted]] = candidate[accepted]
        seeking = seeking[~accepted]
    left = np.flatnonzero((partner < 0) & small & (pools.sizes[pool] > 0))
    # In portions whose pools have a bounded total size.
    sizes = pools.sizes[pool[left]]
    for positions in np.split(left, np.flatnonzero(np.diff((np.cumsum(sizes) - sizes) // _AT_ONCE)) + 1):
        if len(positions):
            partner[positions] = _enumerated(positions, pool[positions], pools, allowed, last_chance[rows[positions]])
    return partner


def _enumerated(which: Positions, pool: Int32s, pools: Pools, allowed: AllowedTest, chance: Float64s) -> Int32s:
    """One of all allowed members of each row's pool, -1 if there is none."""
    sizes = pools.sizes[pool]
    begins = np.cumsum(sizes) - sizes
    place = np.arange(int(sizes.sum())) - np.repeat(begins - pools.start[pool], sizes)
    candidate = pools.members[place]
    good = np.flatnonzero(allowed(np.repeat(which, sizes), candidate))
    weights = None if pools.weights is None else pools.weights[place[good]]
    chosen = choose_one(good, begins, sizes, chance, weights)
    return np.where(chosen >= 0, candidate[chosen], -1).astype(np.int32)


def choose_one(
    good: Positions, begins: Int64s, sizes: Int64s, chance: Float64s, weights: Float64s | None = None
) -> Int64s:
    """One random allowed position in each of several consecutive segments.

    Args:
        good: The allowed positions, ascending, each in a segment.
        begins: Start of each segment, ascending; shape (n,).
        sizes: Length of each segment.
        chance: Random numbers in [0, 1), one a segment.
        weights: Positive weights of the allowed positions; uniform by default.

    Returns:
        Positions, -1 for segments without an allowed one; shape (n,).
    """
    first = np.searchsorted(good, begins)
    count = np.searchsorted(good, begins + sizes) - first
    chosen = np.full(len(begins), -1, dtype=np.int64)
    nonempty = count > 0
    if weights is None:
        place = first[nonempty] + (chance[nonempty] * count[nonempty]).astype(np.int64)
    else:
        place = weighted_choice(
            cumulative_weights(weights, count), first[nonempty], first[nonempty] + count[nonempty], chance[nonempty]
        )
    chosen[nonempty] = good[place]
    return chosen


def least_similar(rows: Int32s, drawn: Int32s, vectors: Float32s) -> Int32s:
    """The candidate of each row with the smallest cosine similarity.

    Args:
        rows: Pairs, shape (n,).
        drawn: Candidates, -1 for none, shape (n, m).
        vectors: Unit vectors of all pairs, shape (pairs, d).

    Returns:
        Shape (n,), -1 without a candidate; the first of equal ones.
    """
    best = np.full(len(rows), -1, dtype=np.int32)
    least = np.full(len(rows), np.inf, dtype=np.float32)
    own = vectors[rows]
    for candidate in drawn.T:
        valid = candidate >= 0
        cosine = np.where(valid, np.einsum("nd,nd->n", own, vectors[candidate]), np.inf)
        better = cosine < least
        best[better], least[better] = candidate[better], cosine[better]
    return best
