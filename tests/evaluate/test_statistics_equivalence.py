"""Data equivalence: read inside the range, marked beyond it, and its interval covers a known multiple."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from clipc.evaluate.statistics.equivalence import Equivalence, equivalence, isotonic, plain_weights
from clipc.evaluate.statistics.power_law import fit_power_law

from .curves import SIZES, experiment

CASES = [(1.0, 250.0), (1.0, 500.0), (1.5, 250.0), (1.5, 500.0), (3.0, 250.0)]
BEYOND = [(3.0, 500.0), (0.4, 250.0)]
SMALL = {"seeds": 5, "items": 150}


def covers(found: Equivalence, truth: float) -> bool:
    """Whether the interval holds the truth; an open end holds everything beyond it."""
    return (found.open_low or found.low <= truth) and (found.open_high or truth <= found.high)


def rates(multiple: float, n: float, repeats: int, **kw: Any) -> tuple[float, float, float]:
    """How often the interval covers the truth, lies above n, and lies below n."""
    hits: list[tuple[bool, bool, bool]] = []
    for repeat in range(repeats):
        plain, other = experiment(np.random.default_rng(repeat), multiple, n, **kw)
        e = equivalence(plain, SIZES, other, n, draws=300)
        above, below = e.low > n and not e.open_low, e.high < n and not e.open_high
        hits.append((covers(e, multiple * n), above, below))
    first, second, third = (float(x) for x in np.mean(hits, axis=0))
    return first, second, third


@pytest.mark.parametrize(("multiple", "n"), [(1.0, 500.0), (3.0, 250.0)])
def test_the_interval_covers_a_known_multiple(multiple: float, n: float) -> None:
    covered, above, _ = rates(multiple, n, 40)
    assert covered >= 0.87
    assert multiple > 1 or above <= 0.1


@pytest.mark.soak
@pytest.mark.parametrize(("multiple", "n"), CASES)
def test_it_covers_in_92_to_98_of_100_experiments(multiple: float, n: float) -> None:
    covered, above, below = rates(multiple, n, 500)
    assert 0.92 <= covered <= 0.98
    if multiple == 1.0:  # Either error at most 2.5%, with the noise of 500 repeats.
        assert max(above, below) <= 0.025 + 0.014


@pytest.mark.soak
@pytest.mark.parametrize(("multiple", "n"), BEYOND)
def test_beyond_the_range_it_opens(multiple: float, n: float) -> None:
    assert rates(multiple, n, 500)[0] >= 0.92


@pytest.mark.soak
@pytest.mark.parametrize(("multiple", "n"), [*CASES, *BEYOND])
def test_few_seeds_and_a_small_test_set_make_it_wider_never_too_narrow(multiple: float, n: float) -> None:
    assert rates(multiple, n, 500, **SMALL)[0] >= 0.92


def levels(*means: float) -> np.ndarray:
    """Values of three seeds around each mean, the same noise for all."""
    return np.array(means)[:, None] + np.array([-0.01, 0.0, 0.01])


def test_it_is_read_on_a_line_in_the_logarithm() -> None:
    plain = levels(0.3, 0.4, 0.5, 0.6)
    e = equivalence(plain, SIZES, levels(0.45)[0], 125)
    assert e.value == pytest.approx(250 * np.sqrt(2))
    assert (e.side, e.open_low, e.open_high) == ("inside", False, False)
    assert e.low == pytest.approx(e.value)  # All points share the noise of their seeds, so nothing is uncertain.


def test_beyond_the_range_it_says_so_and_extrapolates_nothing() -> None:
    plain = levels(0.3, 0.4, 0.5, 0.6)
    above, below = (equivalence(plain, SIZES, levels(y)[0], 500) for y in (0.7, 0.2))
    assert (above.value, above.side, above.open_high, above.low) == (1000, "above", True, 1000)
    assert (below.value, below.side, below.open_low, below.high) == (125, "below", True, 125)


def test_where_lower_is_better_the_curve_is_turned() -> None:
    plain = levels(0.3, 0.4, 0.5, 0.6)
    turned = equivalence(-plain, SIZES, -levels(0.45)[0], 250, higher_is_better=False)
    assert turned == equivalence(plain, SIZES, levels(0.45)[0], 250)


def test_a_dip_of_the_plain_curve_is_smoothed() -> None:
    e = equivalence(levels(0.3, 0.5, 0.4, 0.6), SIZES, levels(0.45)[0], 125)
    assert 250 <= e.value <= 500
    assert e.low <= e.value <= e.high


def test_one_seed_says_nothing() -> None:
    e = equivalence(levels(0.3, 0.4)[:, :1], [10, 20], levels(0.35)[0, :1], 10)
    assert e.open_low
    assert e.open_high


@given(st.integers(0, 10_000))
def test_the_interval_holds_the_estimate_and_stays_in_the_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    e = equivalence(rng.normal(0.5, 0.1, (4, 3)), SIZES, rng.normal(0.5, 0.1, 3), 250)
    assert SIZES[0] <= e.low <= e.value <= e.high <= SIZES[-1]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_monotone_values_agree_with_scipy(values: list[float]) -> None:
    np.testing.assert_allclose(isotonic(values), isotonic_regression(values).x, atol=1e-9)


@given(st.floats(125, 1000))
def test_the_weights_of_the_curve_are_those_of_interpolation(m: float) -> None:
    y = np.array([0.1, 0.4, 0.45, 0.7])
    assert plain_weights(SIZES, m) @ y == pytest.approx(np.interp(np.log(m), np.log(SIZES), y))


def test_sizes_must_ascend_and_values_fit() -> None:
    with pytest.raises(ValueError, match="ascending"):
        equivalence(levels(0.3, 0.4), [20, 10], levels(0.3)[0], 10)
    with pytest.raises(ValueError, match="do not fit"):
        equivalence(levels(0.3, 0.4), [10, 20, 40], levels(0.3)[0], 10)


def test_a_power_law_is_found_again_with_its_error() -> None:
    sizes = np.array([50.0, 100, 200, 400, 800])
    law = fit_power_law(sizes, 0.2 + 1.5 * sizes**-0.4)
    assert law is not None
    assert (law.floor, law.scale, law.exponent) == pytest.approx((0.2, 1.5, 0.4), rel=1e-3)
    assert law.rmse < 1e-6


def test_three_sizes_are_too_few_for_a_power_law() -> None:
    assert fit_power_law([1, 2, 4], [0.5, 0.4, 0.3]) is None
