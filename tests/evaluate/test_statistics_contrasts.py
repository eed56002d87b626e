"""Two-way intervals of weighted sums: the same as those of pairs, for all weights at once."""

import numpy as np
import pytest

from clipc.evaluate.statistics.interval import t_interval
from clipc.evaluate.statistics.two_way import two_way
from clipc.evaluate.statistics.two_way_contrasts import TwoWayContrasts


@pytest.mark.parametrize("owned", [False, True])
def test_a_difference_has_the_two_way_interval(owned: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((2, 5, 60)) < 0.6).astype(float)
    clusters = np.repeat(np.arange(20), 3) if owned else None
    contrasts = TwoWayContrasts.from_items(np.stack([a, b, a]), clusters)
    mean, low, high = contrasts.intervals([[1, -1, 0], [0, -1, 1]])
    expected = two_way(a, b, clusters)
    np.testing.assert_allclose([mean, low, high], [[x, x] for x in (expected.mean, *expected.ends)])


def test_values_without_items_have_the_interval_over_seeds() -> None:
    values = np.random.default_rng(1).normal(size=(3, 6))
    mean, low, high = TwoWayContrasts.from_values(values).intervals([[0.5, 0.5, -1]])
    expected = t_interval((values[0] + values[1]) / 2 - values[2])
    np.testing.assert_allclose([mean[0], low[0], high[0]], [expected.mean, *expected.ends])


def test_one_seed_or_one_cluster_has_no_finite_interval() -> None:
    one_seed = TwoWayContrasts.from_items(np.random.default_rng(2).random((2, 1, 30)))
    one_cluster = TwoWayContrasts.from_items(np.random.default_rng(2).random((2, 4, 3)), [7, 7, 7])
    for contrasts in (one_seed, one_cluster):
        _, low, high = contrasts.intervals([1, -1])
        assert (low[0], high[0]) == (-np.inf, np.inf)


def test_noise_over_seeds_and_of_the_test_set_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 1, 400)  # a difference of items that every seed shows
    a = shared + rng.normal(0, 0.02, (40, 1)) + np.zeros((40, 400))
    sd, of_items = TwoWayContrasts.from_items(np.stack([a, np.zeros_like(a)])).noise([1, -1])
    assert sd == pytest.approx(0.02, rel=0.4)
    assert of_items == pytest.approx(1 / 20, rel=0.2)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="finite values"):
        TwoWayContrasts.from_items(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="finite values"):
        TwoWayContrasts.from_values(np.full((2, 3), np.nan))
