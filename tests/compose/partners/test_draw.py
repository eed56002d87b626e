import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from clipc.compose.partners.draw import MAX_ENUMERATED, draw, least_similar
from clipc.compose.partners.pools import Pools, group_pools, neighbour_pools, single_pool


def ones(n: int) -> np.ndarray:
    return np.ones(n, dtype=np.int64)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def drawn(pools: Pools, allowed: np.ndarray, seed: int) -> np.ndarray:
    """One partner for each row under a matrix of what is allowed."""
    n = len(allowed)
    rows = np.arange(n, dtype=np.int32)
    return draw(
        rows, pools.pool_of_entry[rows], pools, lambda which, partner: allowed[which, partner], generator(seed), n
    )


def test_partners_are_uniform_among_the_allowed_at_every_acceptance_rate() -> None:
    n, times = 60, 4000
    allowed = np.zeros((n, n), dtype=bool)
    for row in range(n):
        allowed[row, [(row + step) % n for step in range(1, 1 + row)]] = True  # row i has i allowed partners
    counts = np.zeros((n, n), dtype=int)
    for seed in range(times):
        partners = drawn(single_pool(ones(n)), allowed, seed)
        assert partners[0] == -1
        counts[np.arange(1, n), partners[1:]] += 1
    assert (counts[~allowed] == 0).all()
    p = [chisquare(counts[row, allowed[row]]).pvalue for row in range(2, n)]
    assert min(p) > 1e-4 / n
    assert 0.3 < np.mean(p) < 0.7


def test_one_allowed_partner_in_a_thousand_is_found_and_in_a_group_too() -> None:
    n = 3000
    allowed = np.zeros((n, n), dtype=bool)
    allowed[np.arange(n), (np.arange(n) + n // 2) % n] = True
    np.testing.assert_array_equal(drawn(single_pool(ones(n)), allowed, 0), (np.arange(n) + n // 2) % n)
    halves = group_pools((np.arange(n) % (n // 2) % 2).astype(np.int32), ones(n))
    np.testing.assert_array_equal(drawn(halves, allowed, 1), (np.arange(n) + n // 2) % n)


def test_large_pools_are_drawn_from_but_not_searched() -> None:
    n = MAX_ENUMERATED + 1
    asked: list[int] = []

    def never(which: np.ndarray, partner: np.ndarray) -> np.ndarray:
        asked.append(len(which))
        return np.zeros(len(which), dtype=bool)

    rows = np.arange(10, dtype=np.int32)
    pools = single_pool(ones(n))
    assert (draw(rows, pools.pool_of_entry[rows], pools, never, generator(0), n) == -1).all()
    assert sum(asked) <= 10 * 64


def test_a_group_is_never_left() -> None:
    """A rule that asks for equality costs draws within the group only, not over the whole set."""
    n = 50_000
    codes = np.arange(n, dtype=np.int32) // 2
    pools, asked = group_pools(codes, ones(n)), []

    def allowed(which: np.ndarray, partner: np.ndarray) -> np.ndarray:
        asked.append(len(which))
        assert (codes[which] == codes[partner]).all()
        return which != partner

    rows = np.arange(n, dtype=np.int32)
    partners = draw(rows, pools.pool_of_entry[rows], pools, allowed, generator(0), n)
    np.testing.assert_array_equal(partners, rows ^ 1)
    assert sum(asked) < 4 * n


@settings(max_examples=50)
@given(st.integers(2, 30), st.integers(0, 1000), st.floats(0.05, 1))
def test_a_rows_partner_does_not_hang_on_who_else_seeks_one(n: int, seed: int, share: float) -> None:
    random = generator(seed)
    allowed = random.random((n, n)) < share
    rows = np.arange(n, dtype=np.int32)
    pools = single_pool(ones(n))
    everyone_seeks = drawn(pools, allowed, seed)
    some = np.flatnonzero(random.random(n) < 0.5).astype(np.int32)
    partners = draw(
        rows[some],
        pools.pool_of_entry[some],
        pools,
        lambda which, partner: allowed[some[which], partner],
        generator(seed),
        n,
    )
    np.testing.assert_array_equal(partners, everyone_seeks[some])
    assert (allowed[some, partners] | (partners < 0)).all()
    assert ((partners < 0) == ~allowed[some].any(axis=1)).all()


def test_pools_of_groups_hold_each_pair_once() -> None:
    counts = np.array([2, 1, 3])
    pools = group_pools(np.array([0, 1, 0, -1, 1, 1], dtype=np.int32), counts)
    members = np.split(pools.members, pools.start[1:-1])
    assert [m.tolist() for m in members] == [[0, 1], [0, 2]]
    assert pools.pool_of_entry.tolist() == [0, 1, 0, -1, 1, 1]


def test_neighbourhoods_leave_out_what_is_missing() -> None:
    pools = neighbour_pools(np.array([[1, 2], [0, -1], [-1, -1]], dtype=np.int32), np.array([1, 2, 1]))
    assert pools.members.tolist() == [1, 2, 0]
    assert pools.pool_of_entry.tolist() == [0, 1, 1, -1]
    assert pools.sizes.tolist() == [2, 1, 0]


def test_the_least_similar_of_those_drawn() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], dtype=np.float32)
    rows = np.array([0, 0, 1], dtype=np.int32)
    candidates = np.array([[1, 2, -1], [2, 3, 1], [-1, -1, -1]], dtype=np.int32)
    assert least_similar(rows, candidates, vectors).tolist() == [2, 3, -1]


@pytest.mark.parametrize("n", [1, 2])
def test_tiny_sets(n: int) -> None:
    partners = drawn(single_pool(ones(n)), ~np.eye(n, dtype=bool), 3)
    assert partners.tolist() == ([-1] if n == 1 else [1, 0])


@settings(max_examples=100)
@given(st.lists(st.lists(st.sampled_from([0.0, 1e-9, 0.5, 1.0, 3.0, 1e12]), max_size=6), min_size=1, max_size=8))
def test_members_are_drawn_in_proportion_and_weight_zero_never(pools_weights: list[list[float]]) -> None:
    sizes = np.array([len(own) for own in pools_weights])
    weights = np.array([w for own in pools_weights for w in own])
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    pools = Pools(np.arange(len(weights), dtype=np.int32), start, np.arange(len(sizes), dtype=np.int32))
    made = pools.weighted(weights)
    assert made.sizes.tolist() == [int((np.array(own) > 0).sum()) for own in pools_weights]
    chance = np.append((np.arange(2000) + 0.5) / 2000, [0.0, np.nextafter(1, 0)])
    for pool in np.flatnonzero(made.sizes):
        members = made.member(np.full(len(chance), pool, dtype=np.int32), chance)
        assert ((members >= start[pool]) & (members < start[pool + 1]) & (weights[members] > 0)).all()
        own = weights[start[pool] : start[pool + 1]]
        share = np.bincount(members[:2000] - start[pool], minlength=len(own)) / 2000
        np.testing.assert_allclose(share, own / own.sum(), atol=1e-3)


@pytest.mark.parametrize("kind", ["everyone", "groups", "neighbours"])
def test_chances_are_in_proportion_to_weights_among_the_allowed(kind: str) -> None:
    n, times = 40, 1600
    random = generator(1)
    weights = random.choice([0.0, 0.2, 1.0, 5.0], n)
    allowed = random.random((n, n)) < np.linspace(0.03, 1, n)[:, None]  # few are found by drawing, most by searching
    allowed &= ~np.eye(n, dtype=bool)
    near = np.argsort(random.random((n, n)), axis=1)[:, :9].astype(np.int32)
    codes = (np.arange(n) % 3).astype(np.int32)
    inside = {
        "everyone": (single_pool(ones(n)), np.ones((n, n), dtype=bool)),
        "groups": (group_pools(codes, ones(n)), codes[:, None] == codes),
        "neighbours": (neighbour_pools(near, ones(n)), (np.arange(n)[None, :, None] == near[:, None]).any(axis=2)),
    }
    pools, members = inside[kind]
    chance = np.where(allowed & members, weights, 0)
    counts, none = np.zeros((n, n), dtype=int), ~chance.any(axis=1)
    for seed in range(times):
        partners = drawn(pools.weighted(weights), allowed, seed)
        np.testing.assert_array_equal(partners < 0, none)
        np.add.at(counts, (np.flatnonzero(~none), partners[~none]), 1)
    assert (counts[chance == 0] == 0).all()
    p = []
    for row in np.flatnonzero((chance > 0).sum(axis=1) > 1):
        own = chance[row, chance[row] > 0]
        p.append(chisquare(counts[row, chance[row] > 0], times * own / own.sum()).pvalue)
    assert len(p) > 15
    assert min(p) > 1e-4 / n
    assert 0.3 < np.mean(p) < 0.7
