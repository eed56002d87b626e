"""Intervals keep their promise, in simulation; verdicts are careful."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_rel

from clipc.evaluate.statistics.interval import Interval, paired_difference, t_interval
from clipc.evaluate.statistics.sampling_error import sampling_error
from clipc.evaluate.statistics.verdict import verdict

figures = st.lists(st.floats(-1, 1), min_size=2, max_size=10)


def half_width(interval: Interval) -> float:
    return (interval.high - interval.low) / 2


@given(figures, st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None)
def test_t_interval_agrees_with_scipy(values: list[float], level: float) -> None:
    found = t_interval(values, level)
    if np.ptp(values) > 1e-9:
        expected = ttest_1samp(values, 0).confidence_interval(level)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.n == len(values)
    assert found.low <= found.mean + 1e-12
    assert found.high >= found.mean - 1e-12


def test_paired_difference_is_the_paired_t_test() -> None:
    clip_c, clip = [0.31, 0.36, 0.33], [0.28, 0.30, 0.31]
    expected = ttest_rel(clip_c, clip).confidence_interval()
    found = paired_difference(clip_c, clip)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(0.11 / 3)
    assert paired_difference(clip, clip_c).mean == pytest.approx(-found.mean)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_t_interval_covers_with_few_seeds(n: int) -> None:
    rng = np.random.default_rng(n)
    runs = [t_interval(0.02 + 0.03 * rng.normal(size=n)) for _ in range(3000)]
    assert np.mean([run.low <= 0.02 <= run.high for run in runs]) == pytest.approx(0.95, abs=0.015)


def captions(rng: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits of two arms on 1 to 5 captions an image; captions of one image succeed or fail together."""
    owner = np.repeat(np.arange(images), rng.integers(1, 6, images))
    hard, luck = rng.uniform(size=images)[owner], rng.uniform(size=images)[owner]
    arms = [(0.3 * luck + 0.7 * rng.uniform(size=len(owner)) < gain + 0.6 * hard).astype(float) for gain in (0.3, 0.2)]
    return arms[0], arms[1], owner


@pytest.mark.parametrize("images", [8, 60])
def test_the_sampling_error_covers_with_clustered_captions(images: int) -> None:
    treated, control, _ = captions(np.random.default_rng(0), 400_000)
    truth = treated.mean() - control.mean()
    rng = np.random.default_rng(images)
    covered: list[bool] = []
    for number in range(1000):
        treated, control, owner = captions(rng, images)
        found = sampling_error([treated], [control], owner, draws=200, seed=number)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


def test_ignoring_clusters_would_be_too_sure() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=100)
    owner = np.repeat(np.arange(100), 5)
    together = sampling_error([image[owner]], [np.zeros(500)], owner)
    alone = sampling_error([image[owner]], [np.zeros(500)])
    assert half_width(together) > 2 * half_width(alone)
    assert (together.n, alone.n) == (100, 500)


def test_the_bootstrap_agrees_with_the_formula_for_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=300)
    found, expected = sampling_error([values], [np.zeros(300)], draws=20_000), t_interval(values)
    assert found.mean == pytest.approx(expected.mean)
    assert half_width(found) == pytest.approx(half_width(expected), rel=0.03)


def test_seeds_are_averaged_and_the_draws_are_repeatable() -> None:
    rng = np.random.default_rng(0)
    treated, control = rng.uniform(size=(3, 50)), rng.uniform(size=(2, 50))
    found = sampling_error(list(treated), list(control))
    assert found.mean == pytest.approx(treated.mean() - control.mean())
    assert found == sampling_error([treated.mean(0)], [control.mean(0)])
    assert found != sampling_error(list(treated), list(control), seed=1)
    order = rng.permutation(50)
    assert sampling_error(list(treated[:, order]), list(control[:, order])).mean == pytest.approx(found.mean)


def test_what_cannot_have_an_interval() -> None:
    one = t_interval([0.4])
    assert (one.mean, one.low, one.high, one.n) == (0.4, -math.inf, math.inf, 1)
    assert half_width(one) == math.inf
    assert json.loads(json.dumps(one.as_dict())) == {"mean": 0.4, "low": None, "high": None, "n": 1, "level": 0.95}
    assert sampling_error([[1, 1]], [[0, 0]], [7, 7]).low == -math.inf
    same = t_interval([0.1] * 3)
    assert (same.low, same.mean, same.high) == (0.1, 0.1, 0.1)
    for wrong in ([], [math.nan, 1.0]):
        with pytest.raises(ValueError, match="finite"):
            t_interval(wrong)
    with pytest.raises(ValueError, match="same seeds"):
        paired_difference([1, 2], [1])
    with pytest.raises(ValueError, match="same"):
        sampling_error([[1, 2]], [[1]])


def test_verdicts() -> None:
    def around(low: float, high: float) -> Interval:
        return Interval((low + high) / 2, low, high, 3)

    assert verdict(around(0.01, 0.2)) == "gain"
    assert verdict(around(-0.2, -0.01)) == "loss"
    assert verdict(around(-0.1, 0.2)) == "no evidence"
    assert verdict(around(0.01, 0.2), around(0.02, 0.1)) == "gain"
    assert verdict(around(0.01, 0.2), around(-0.02, 0.1)) == "no evidence"
    assert verdict(around(0.01, 0.2), around(-0.2, -0.1)) == "no evidence"
    assert verdict(t_interval([0.3])) == "no evidence"
    assert verdict(t_interval([0.3, 0.3, 0.3])) == "no evidence"
    assert verdict() == "no evidence"
