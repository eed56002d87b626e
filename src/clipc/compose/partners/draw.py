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
_MEMBERS_AT_ONCE: Final = 1 << 20

AllowedTest = Callable[[Positions, Int32s], Bools]
"""Takes indices into ``rows`` of :func:`draw`, shape (m,), and a candidate partner for each, shape (m,); says which
candidates are allowed, ``bool``, shape (m,)."""

WeightOf = Callable[[Positions, Int32s], Float64s]
"""Takes the same arguments as :data:`AllowedTest`; gives the relative probability of each candidate, in [0, 1],
``float64``, shape (m,)."""


def draw(
    rows: Int32s,
    pool_of_row: Int32s,
    pools: Pools,
    allowed: AllowedTest,
    generator: np.random.Generator,
    pair_count: int,
    weight_of: tuple[WeightOf, np.random.Generator] | None = None,
) -> Int32s:
    """A partner for each row, drawn uniformly or by weight from the allowed members of its pool.

    Some rounds of rejection sampling come first. A row that is then still without a partner draws from all allowed
    members of its pool, if the pool has at most :data:`MAX_ENUMERATED` members. In such a pool an allowed partner is
    always found if one exists. Both ways draw from the same distribution.

    The result for a row does not depend on the other rows.

    Args:
        rows: The catalog rows of the first pairs, shape (n,).
        pool_of_row: The index of each row's pool, shape (n,); never -1.
        pools: The pools.
        allowed: The test of candidates; it must refuse the first pair itself.
        generator: The random generator; each round draws one number for every pair of the catalog.
        pair_count: The number of pairs in the catalog.
        weight_of: Weights that depend on the row too, and the generator that decides whether a candidate is kept: with
            a probability of its weight. They multiply the members' own. So the candidates are those of a draw without
            these weights, and only refused ones are replaced.

    Returns:
        The catalog rows of the partners, ``int32``, shape (n,); -1 if none was found (in a pool above
        :data:`MAX_ENUMERATED` one may still exist).
    """
    partner = np.full(len(rows), -1, dtype=np.int32)
    fallback_uniform = generator.random(pair_count)
    small = pools.sizes[pool_of_row] <= MAX_ENUMERATED
    seeking = np.flatnonzero(pools.sizes[pool_of_row] > 0)
    for turn in range(_ROUNDS_LARGE):
        if turn == _ROUNDS_SMALL:
            seeking = seeking[~small[seeking]]
        if not len(seeking):
            break
        uniform = generator.random(pair_count)[rows[seeking]]
        candidate = pools.member(pool_of_row[seeking], uniform)
        accepted = allowed(seeking, candidate)
        if weight_of is not None:
            weigh, chance = weight_of
            accepted &= chance.random(pair_count)[rows[seeking]] < weigh(seeking, candidate)
        partner[seeking[accepted]] = candidate[accepted]
        seeking = seeking[~accepted]
    unmatched = np.flatnonzero((partner < 0) & small & (pools.sizes[pool_of_row] > 0))
    # The pools of one chunk have a bounded total size, so that memory stays bounded.
    sizes = pools.sizes[pool_of_row[unmatched]]
    for positions in np.split(unmatched, np.flatnonzero(np.diff((np.cumsum(sizes) - sizes) // _MEMBERS_AT_ONCE)) + 1):
        if len(positions):
            uniform = fallback_uniform[rows[positions]]
            partner[positions] = _draw_from_all(
                positions, pool_of_row[positions], pools, allowed, uniform, None if weight_of is None else weight_of[0]
            )
    return partner


def _draw_from_all(
    positions: Positions,
    pool_of_row: Int32s,
    pools: Pools,
    allowed: AllowedTest,
    uniform: Float64s,
    weigh: WeightOf | None,
) -> Int32s:
    """One allowed member of each row's pool, drawn from all of them; -1 if there is none."""
    sizes = pools.sizes[pool_of_row]
    begins = np.cumsum(sizes) - sizes
    member_index = np.arange(int(sizes.sum())) - np.repeat(begins - pools.start[pool_of_row], sizes)
    candidate = pools.members[member_index]
    asking = np.repeat(positions, sizes)
    good = np.flatnonzero(allowed(asking, candidate))
    weights = None if pools.weights is None else pools.weights[member_index[good]]
    if weigh is not None:
        own = weigh(asking[good], candidate[good])
        good, own = good[own > 0], own[own > 0]
        weights = own if pools.weights is None else own * pools.weights[member_index[good]]
    chosen = choose_one(good, begins, sizes, uniform, weights)
    return np.where(chosen >= 0, candidate[chosen], -1).astype(np.int32)


def choose_one(
    good: Positions, begins: Int64s, sizes: Int64s, uniform: Float64s, weights: Float64s | None = None
) -> Int64s:
    """One random allowed position in each of several consecutive segments.

    Args:
        good: The allowed positions, ascending; each lies in one of the segments.
        begins: Start of each segment, ascending; shape (n,).
        sizes: Length of each segment, shape (n,).
        uniform: A random number in [0, 1) for each segment, shape (n,).
        weights: Positive weights of the positions in ``good``; equal weights by default.

    Returns:
        The chosen positions, ``int64``, shape (n,); -1 for a segment without an allowed position.
    """
    first = np.searchsorted(good, begins)
    count = np.searchsorted(good, begins + sizes) - first
    chosen = np.full(len(begins), -1, dtype=np.int64)
    nonempty = count > 0
    if weights is None:
        index = first[nonempty] + (uniform[nonempty] * count[nonempty]).astype(np.int64)
    else:
        index = weighted_choice(
            cumulative_weights(weights, count), first[nonempty], first[nonempty] + count[nonempty], uniform[nonempty]
        )
    chosen[nonempty] = good[index]
    return chosen


def least_similar(rows: Int32s, drawn: Int32s, vectors: Float32s) -> Int32s:
    """For each row, its candidate least similar to it, by cosine.

    Args:
        rows: Catalog rows of pairs, shape (n,).
        drawn: Catalog rows of the candidates of each, -1 for none, shape (n, m).
        vectors: Unit vectors of all pairs, shape (pairs, d).

    Returns:
        Catalog rows, ``int32``, shape (n,): the first of equally similar candidates; -1 where there is no candidate.
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
