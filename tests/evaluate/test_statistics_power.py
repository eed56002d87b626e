"""Seeds that a difference needs: textbook values, the t test simulated, and the way back."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, norm, t, ttest_1samp

from clipc.evaluate.statistics import detectable, seeds_needed


@pytest.mark.parametrize(
    ("effect", "power", "expected"), [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (1.0, 0.8, 10), (0.5, 0.95, 54)]
)
def test_textbook_values(effect: float, power: float, expected: int) -> None:
    assert seeds_needed(1.0, effect, power=power) == expected
    assert seeds_needed(0.02, -0.02 * effect, power=power) == expected


@given(st.floats(0.1, 20), st.sampled_from([0.5, 0.8, 0.95]), st.sampled_from([0.01, 0.05]))
@settings(deadline=None, max_examples=30)
def test_it_is_the_first_number_that_suffices(effect: float, power: float, level: float) -> None:
    def reached(n: int) -> float:
        """Over the standard deviations that n seeds may show, the chance that the mean is far enough from zero."""
        shown = np.sqrt(chi2.ppf((np.arange(20_000) + 0.5) / 20_000, n - 1) / (n - 1))
        critical, shift = t.ppf(1 - level / 2, n - 1) * shown, effect * math.sqrt(n)
        return float((norm.sf(critical - shift) + norm.cdf(-critical - shift)).mean())

    found = seeds_needed(1.0, effect, power=power, level=level)
    assert reached(found) >= power - 1e-4
    assert found == 2 or reached(found - 1) < power + 1e-4


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_the_t_test_finds_it_as_often_as_said(seeds: int) -> None:
    difference = detectable(0.03, seeds)
    runs = np.random.default_rng(seeds).normal(difference, 0.03, size=(20_000, seeds))
    assert np.mean(ttest_1samp(runs, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.012)


@given(st.floats(1e-4, 1), st.integers(3, 60), st.sampled_from([0.5, 0.8, 0.95]))
@settings(deadline=None, max_examples=30)
def test_there_and_back(sd: float, seeds: int, power: float) -> None:
    least = detectable(sd, seeds, power=power)
    assert seeds_needed(sd, least * 1.0001, power=power) == seeds
    assert seeds_needed(sd, least * 0.9999, power=power) == seeds + 1
    assert detectable(sd, seeds + 1, power=power) < least


def test_ends_of_the_range() -> None:
    assert seeds_needed(0.0, 0.01) == seeds_needed(1.0, 1000.0) == 2
    assert seeds_needed(1.0, 1e-6) == pytest.approx(7.8489e12, rel=1e-4)  # (1.96 + 0.8416)^2 / 1e-12
    assert detectable(0.0, 5) == 0
    assert detectable(0.1, 1) == math.inf
    for wrong in (0.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="no number of seeds"):
            seeds_needed(0.1, wrong)
    for sd in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="standard deviation"):
            detectable(sd, 5)
    with pytest.raises(ValueError, match="power must lie"):
        seeds_needed(0.1, 0.1, power=0.01)
    with pytest.raises(ValueError, match="no 0 seeds"):
        detectable(0.1, 0)
