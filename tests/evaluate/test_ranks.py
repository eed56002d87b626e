"""Expectations over tied orders, against counting all orders."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from clipc.evaluate.ranks import Ranks, hit_by_chance


@given(st.integers(0, 30), st.integers(0, 30), st.integers(-2, 40))
@settings(deadline=None)
def test_hit_by_chance_is_hypergeometric(right: int, wrong: int, k: int) -> None:
    total = right + wrong
    expected = 1 - hypergeom(total, right, min(max(k, 0), total)).pmf(0) if total else 0.0
    assert hit_by_chance(right, total, k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("before", "wrong", "right"), [(0, 0, 1), (2, 0, 1), (0, 3, 1), (1, 2, 2), (1, 3, 3)])
def test_ties_count_as_the_mean_over_their_orders(before: int, wrong: int, right: int) -> None:
    orders = list(permutations([False] * wrong + [True] * right))
    firsts = np.array([before + 1 + order.index(True) for order in orders])
    ranks = Ranks(*(np.array([count]) for count in (before, wrong, right)))
    assert ranks.position[0] == pytest.approx(firsts.mean())
    for k in range(1, 8):
        assert ranks.hit(k)[0] == pytest.approx((firsts <= k).mean())


def test_without_ties_a_hit_is_a_rank_of_at_most_k() -> None:
    ranks = Ranks(np.arange(12), np.zeros(12, dtype=np.int64), np.ones(12, dtype=np.int64))
    for k in (1, 5, 10):
        assert (ranks.hit(k) == (ranks.position <= k)).all()
    assert (ranks.take(np.array([3, 1])).position == [4, 2]).all()
