"""p values against other ways to find them; false alarms stay as rare as promised."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, wilcoxon

from clipc.evaluate.statistics.holm import holm
from clipc.evaluate.statistics.interval import t_interval
from clipc.evaluate.statistics.p_values import sign_flip_p, t_p

grades = st.lists(st.integers(-20, 20).map(lambda step: step / 100), min_size=8, max_size=10)
chances = st.lists(st.none() | st.floats(0, 1), max_size=8)


@given(grades)
@settings(deadline=None, max_examples=40)
def test_signs_are_flipped_in_every_way(differences: list[float]) -> None:
    whole = [round(100 * value) for value in differences]
    sums = [
        sum(s * x for s, x in zip(signs, whole, strict=True)) for signs in itertools.product((1, -1), repeat=len(whole))
    ]
    expected = sum(abs(total) >= abs(sum(whole)) for total in sums) / len(sums)
    assert sign_flip_p(differences) == pytest.approx(expected)
    assert sign_flip_p([-x for x in differences]) == pytest.approx(expected)
    assert sign_flip_p(sorted(differences)) == pytest.approx(expected)


def test_signs_of_few_seeds_prove_nothing() -> None:
    assert [sign_flip_p([0.1] * n) for n in (1, 5, 7)] == [None] * 3
    assert sign_flip_p([0.1] * 8) == pytest.approx(2 / 2**8)
    assert sign_flip_p([0.1] * 20) == pytest.approx(2 / 2**20)
    assert sign_flip_p([0.0] * 8) == 1


def test_signs_of_many_seeds_are_sampled() -> None:
    rng = np.random.default_rng(0)
    ranks = np.arange(1, 26) * np.where(rng.uniform(size=25) < 0.7, 1, -1)  # On ranks it is Wilcoxon's test.
    assert sign_flip_p(ranks) == pytest.approx(wilcoxon(ranks, mode="exact").pvalue, rel=0.05)
    assert sign_flip_p(ranks) == sign_flip_p(ranks)
    assert 0 < sign_flip_p([1.0] * 40) < 1e-5


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=10))
@settings(deadline=None)
def test_the_t_test_is_scipys_and_the_intervals(differences: list[float]) -> None:
    found = t_p(differences)
    if np.ptp(differences) > 1e-6:
        assert found == pytest.approx(ttest_1samp(differences, 0).pvalue, abs=1e-9)
        interval = t_interval(differences)
        if abs(found - 0.05) > 1e-9:
            assert (found < 0.05) == (interval.low > 0 or interval.high < 0)


def test_what_has_no_p_value() -> None:
    assert t_p([0.3]) is None
    assert t_p([0.1, 0.1, 0.1]) is None
    assert t_p([0.3 - 0.2, 0.4 - 0.3]) is None  # Equal but for rounding.
    assert t_p([0.0, 5e-324]) is None
    for test in (t_p, sign_flip_p):
        for wrong in ([], [math.nan] * 9):
            with pytest.raises(ValueError, match="finite"):
                test(wrong)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, None, 0.02]) == [pytest.approx(0.02), None, pytest.approx(0.02)]
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([None]) == [None]
    assert holm([]) == []


@given(chances)
def test_holm_keeps_order_and_is_never_smaller(ps: list[float | None]) -> None:
    adjusted = holm(ps)
    pairs = sorted((p, q) for p, q in zip(ps, adjusted, strict=True) if p is not None and q is not None)
    assert [q is None for q in adjusted] == [p is None for p in ps]
    assert all(p <= q <= min(1, len(pairs) * p) for p, q in pairs)
    assert [q for _, q in pairs] == sorted(q for _, q in pairs)
    assert list(reversed(holm(ps[::-1]))) == adjusted
    if pairs:
        assert pairs[0][1] == pytest.approx(min(1, len(pairs) * pairs[0][0]))


@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
@pytest.mark.parametrize("runs", [1500, pytest.param(20_000, marks=pytest.mark.soak)])
def test_false_alarms_of_flipped_signs(draw: str, runs: int) -> None:
    rng = np.random.default_rng(1)
    null = getattr(rng, draw)(**({"low": -1, "high": 1} if draw == "uniform" else {}), size=(runs, 8))
    alarms = np.mean([sign_flip_p(x) <= 0.05 for x in null])
    print(f"sign flip, {draw}: {alarms:.4f}")
    assert alarms == pytest.approx(12 / 256, abs=4 * math.sqrt(0.05 / runs))  # 256 choices of signs allow no 0.05.


@pytest.mark.parametrize("together", [0.0, 0.8])
@pytest.mark.parametrize("runs", [400, pytest.param(5000, marks=pytest.mark.soak)])
def test_false_alarms_among_five_metrics(together: float, runs: int) -> None:
    rng = np.random.default_rng(2)
    common = math.sqrt(together) * rng.normal(size=(runs, 1, 5))
    null = common + math.sqrt(1 - together) * rng.normal(size=(runs, 5, 5))
    ps = [[t_p(metric) for metric in run] for run in null]
    raw, adjusted = (np.mean([min(each(run)) <= 0.05 for run in ps]) for each in (list, holm))
    print(f"five metrics, correlation {together}: one or more false alarms {raw:.4f}, after Holm {adjusted:.4f}")
    assert adjusted <= 0.05 + 2 * math.sqrt(0.05 / runs)
    assert raw > adjusted + 0.02
