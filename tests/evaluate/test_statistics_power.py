"""Seeds that a difference needs: textbook values, and the t test simulated."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, norm, t, ttest_1samp

from clipc.evaluate.statistics.power import seeds_needed


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


@pytest.mark.parametrize("effect", [0.9, 1.7, 2.5])
def test_the_t_test_finds_it_as_often_as_said(effect: float) -> None:
    seeds = seeds_needed(0.03, 0.03 * effect)

    def found(n: int) -> float:
        runs = np.random.default_rng(n).normal(0.03 * effect, 0.03, size=(20_000, n))
        return float(np.mean(ttest_1samp(runs, 0, axis=1).pvalue < 0.05))

    assert found(seeds - 1) - 0.012 < 0.8 < found(seeds) + 0.012


def test_ends_of_the_range() -> None:
    assert seeds_needed(0.0, 0.01) == seeds_needed(1.0, 1000.0) == 2
    assert seeds_needed(1.0, 1e-6) == pytest.approx(7.8489e12, rel=1e-4)  # (1.96 + 0.8416)^2 / 1e-12
    assert seeds_needed(1.0, 1e-12) == pytest.approx(7.8489e24, rel=1e-4)
    assert all(2 <= seeds_needed(1.0, 10.0**power) <= 5 for power in range(1, 9))
    for wrong in (0.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="no number of seeds"):
            seeds_needed(0.1, wrong)
    for sd in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="standard deviation"):
            seeds_needed(sd, 0.1)
    with pytest.raises(ValueError, match="power must lie"):
        seeds_needed(0.1, 0.1, power=0.01)
