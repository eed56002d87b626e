"""Who won, and how sure the share is."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from clipc.evaluate.choices import score_choices, share


def test_ties_count_half_and_rounding_is_a_tie() -> None:
    right, wrong = torch.tensor([0.5, 0.5, 0.5, 0.5]), torch.tensor([0.4, 0.6, 0.5, 0.5 + 3e-7])
    assert score_choices(right, wrong).tolist() == [1, 0, 0.5, 0.5]


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_independent_values_have_wilsons_interval(case: tuple[int, int]) -> None:
    n, k = case
    found = share([1] * k + [0] * (n - k))
    reference = binomtest(k, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-6)
    assert (found.mean, found.n) == (k / n, n)


def test_copies_of_a_value_in_one_cluster_are_no_evidence() -> None:
    values = np.array([1, 1, 0, 1, 0, 1, 1, 0])
    copied = share(np.repeat(values, 5), np.repeat(np.arange(8), 5))
    alone = share(values)
    # The variance between clusters has their number less one below it, so the copies are a little wider.
    assert copied.low <= alone.low + 1e-9
    assert copied.low == pytest.approx(alone.low, abs=0.02)
    assert share(np.ones(40), np.repeat(np.arange(8), 5)).low == pytest.approx(share(np.ones(8)).low)
    assert share(np.ones(40)).low > share(np.ones(8)).low


@pytest.mark.parametrize("agreement", [0.0, 0.7])
def test_the_interval_covers_what_it_says(agreement: float) -> None:
    rng = np.random.Generator(np.random.Philox(3))
    owner = np.repeat(np.arange(60), 3)
    covered = 0
    for _ in range(600):
        shared, own = rng.random(60)[owner] < 0.6, rng.random(180) < 0.6
        interval = share(np.where((rng.random(60) < agreement)[owner], shared, own), owner)
        covered += interval.low <= 0.6 <= interval.high
    assert 0.92 <= covered / 600 <= 0.985
