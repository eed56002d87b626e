"""Seeds and test items drawn again: against the bootstrap written out, and what must not matter."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from clipc.evaluate.statistics.interval import Interval, paired_difference
from clipc.evaluate.statistics.sampling_error import sampling_error
from clipc.evaluate.statistics.two_way import two_way
from clipc.evaluate.statistics.verdict import verdict


def half_width(interval: Interval) -> float:
    return (interval.high - interval.low) / 2


def world(seeds: int, items: int, *, number: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both arms' values and the items' clusters of one to five, with every source of variance."""
    rng = np.random.default_rng([seeds, items, number])
    clusters = np.repeat(np.arange(items), rng.integers(1, 6, items))[:items]
    control = rng.uniform(size=(seeds, items))
    item = rng.normal(size=items)[clusters]
    treated = control + 0.1 + 0.3 * rng.normal(size=(seeds, 1)) + item + rng.normal(size=(seeds, items))
    return treated, control, clusters


def test_draws_are_repeatable() -> None:
    items = np.random.default_rng(0).normal(size=(3, 50)) + np.random.default_rng(1).normal(size=50)
    found, nothing = two_way(items, np.zeros((3, 50))), np.zeros((3, 50))
    assert found == two_way(items, nothing)
    assert found != two_way(items, nothing, seed=1)


def written_out(treated: np.ndarray, control: np.ndarray, clusters: np.ndarray, draws: int) -> float:
    """Half the width, by three bootstraps in loops: of seeds, of clusters, of both."""
    difference, rng = treated - control, np.random.default_rng(0)
    seeds, names = len(difference), np.unique(clusters)
    members = [np.flatnonzero(clusters == name) for name in names]
    drawn: list[tuple[float, float, float]] = []
    for _ in range(draws):
        some = rng.integers(seeds, size=seeds)
        items = np.concatenate([members[at] for at in rng.integers(len(names), size=len(names))])
        drawn.append((difference[some].mean(), difference[:, items].mean(), difference[np.ix_(some, items)].mean()))
    only_seeds, only_items, both = np.array(drawn).T
    sizes = np.array([len(items) for items in members])
    alike = sizes.sum() ** 2 / (sizes**2).sum()
    lost_seeds, lost_items = seeds / (seeds - 1), alike / (alike - 1)
    a, b = only_seeds.var() * lost_seeds, only_items.var() * lost_items
    e = (both - only_seeds - only_items).var() * lost_seeds * lost_items
    variance = max(a + b - e, a, b)
    freedom = variance**2 / (a**2 / (seeds - 1) + b**2 / (alike - 1))
    parts = ((variance, freedom), (a, seeds - 1), (b, alike - 1))
    return max(t.ppf(0.975, df) * math.sqrt(v) for v, df in parts)


@pytest.mark.parametrize(("seeds", "items"), [(3, 20), (5, 60)])
def test_it_is_the_bootstrap_written_out(seeds: int, items: int) -> None:
    arms = world(seeds, items)
    assert half_width(two_way(*arms)) == pytest.approx(written_out(*arms, draws=4000), rel=0.07)


@given(st.integers(2, 6), st.integers(2, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_what_must_not_matter_does_not(seeds: int, items: int, number: int) -> None:
    treated, control, clusters = world(seeds, items, number=number)
    found = two_way(treated, control, clusters, draws=300)
    swapped = two_way(control, treated, clusters, draws=300)
    assert (swapped.mean, swapped.low, swapped.high) == pytest.approx((-found.mean, -found.high, -found.low))
    order = np.random.default_rng(number).permutation(seeds)
    assert two_way(treated[order], control[order], clusters, draws=300).as_dict() == pytest.approx(found.as_dict())
    larger = two_way(7 * treated, 7 * control, clusters + 5, draws=300)
    assert (larger.low, larger.high) == pytest.approx((7 * found.low, 7 * found.high))


@pytest.mark.parametrize("number", range(3))
def test_the_order_of_items_is_within_the_noise_of_the_draws(number: int) -> None:
    treated, control, clusters = world(4, 50, number=number)
    found, order = two_way(treated, control, clusters), np.random.default_rng(number).permutation(50)
    other = two_way(treated[:, order], control[:, order], clusters[order])
    assert other.mean == pytest.approx(found.mean)
    assert half_width(other) == pytest.approx(half_width(found), rel=0.08)
    assert found == two_way(treated, control, clusters)


@given(st.integers(2, 8), st.integers(2, 40), st.sampled_from([0.8, 0.95]))
@settings(deadline=None, max_examples=30)
def test_it_holds_both_one_way_intervals(seeds: int, items: int, level: float) -> None:
    treated, control, _ = world(seeds, items)
    found = two_way(treated, control, level=level, draws=200)
    over_seeds = paired_difference(treated.mean(axis=1), control.mean(axis=1), level)
    over_items = sampling_error(list(treated), list(control), level=level, draws=200)
    for one_way in (over_seeds, over_items):
        assert found.mean == pytest.approx(one_way.mean)
        assert found.low <= one_way.low + 1e-9
        assert found.high >= one_way.high - 1e-9
    assert found.n == seeds


def test_what_cannot_have_an_interval() -> None:
    rng = np.random.default_rng(0)
    one_seed = two_way(rng.uniform(size=(1, 9)), np.zeros((1, 9)))
    one_cluster = two_way(rng.uniform(size=(4, 9)), np.zeros((4, 9)), np.zeros(9, dtype=int))
    for found in (one_seed, one_cluster):
        assert (found.low, found.high) == (-math.inf, math.inf)
    # Equal but for rounding: three tenths less two tenths are not quite a tenth.
    same = two_way([[0.3, 0.4], [0.3, 0.4]], [[0.2, 0.3], [0.2, 0.3]])
    assert same == Interval(same.mean, same.mean, same.mean, 2, error=0.0)
    assert verdict(same) == verdict(paired_difference([0.3, 0.4], [0.2, 0.3])) == "no evidence"
    for wrong in ((np.ones((2, 3)), np.ones((3, 3))), (np.ones(3), np.ones(3)), (np.ones((2, 0)), np.ones((2, 0)))):
        with pytest.raises(ValueError, match="need the same seeds"):
            two_way(*wrong)
    with pytest.raises(ValueError, match="finite"):
        two_way([[math.nan, 1.0]], [[0.0, 0.0]])
    with pytest.raises(ValueError, match="3 items, but 2"):
        two_way(np.ones((2, 3)), np.zeros((2, 3)), [0, 1])


def test_differences_that_cancel_out_over_seeds_and_items_have_an_interval() -> None:
    found = two_way([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]])
    assert found.mean == 0
    assert found.low < 0 < found.high
    assert math.isfinite(half_width(found))
