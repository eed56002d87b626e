"""Return on investment: the arithmetic by hand, and intervals carried through monotone functions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.study.worth.estimate import Estimate
from clipc.study.worth.figures import RoiFigures
from clipc.study.worth.roi import captions_roi, extra_costs, points_roi, sensitivity

FIGURES = RoiFigures.model_validate(
    {
        "pair": 400,
        "expert": {"hour": 9000, "rules": 4, "review": 2},
        "machine": {"hour": 50},
        "engineer": {"hour": 6000, "hours": 10, "composition": 1},
    }
)
RATIO = Estimate(1.5, 1.2, 2.0)
COSTS = {"hours": 2.0}


def test_every_cost_is_hours_times_rate() -> None:
    rows = {row["code"]: row["cost"] for row in extra_costs(FIGURES, COSTS)}
    assert rows == {"rules": 36_000, "review": 18_000, "engineer": 6_000, "machine": 100}


def test_the_return_by_hand() -> None:
    roi = captions_roi(FIGURES, RATIO, 1000, COSTS)
    assert roi.cost == 60_100
    assert (roi.benefit.value, roi.benefit.low, roi.benefit.high) == pytest.approx((200_000, 80_000, 400_000))
    assert roi.net.value == pytest.approx(139_900)
    assert roi.roi is not None
    assert roi.roi.low == pytest.approx((80_000 - 60_100) / 60_100)
    assert roi.break_even is not None
    assert (roi.break_even.value, roi.break_even.low, roi.break_even.high) == pytest.approx((120.2, 60.1, 300.5))
    assert roi.needed == pytest.approx(1 + 60_100 / 400_000)


@given(st.floats(0.2, 5), st.floats(1, 1e4), st.floats(0.1, 1e4))
def test_what_is_needed_is_where_the_threshold_is_met(ratio: float, pairs: float, pair: float) -> None:
    figures = FIGURES.model_copy(update={"pair": pair})
    roi = captions_roi(figures, Estimate(ratio, ratio, ratio), pairs, COSTS)
    assert roi.roi is not None
    if abs(ratio - roi.needed) > 1e-6 * roi.needed:
        assert (ratio > roi.needed) == (roi.roi.value > 0)


def test_what_lies_beyond_the_range_stays_beyond() -> None:
    roi = captions_roi(FIGURES, Estimate(2.0, 1.6, 2.0, "above", False, True), 500, COSTS)
    assert (roi.net.side, roi.net.open_high) == ("above", True)
    assert roi.break_even is not None
    assert (roi.break_even.side, roi.break_even.open_low, roi.break_even.open_high) == ("below", True, False)


def test_without_a_saving_no_cost_of_a_pair_breaks_even() -> None:
    roi = captions_roi(FIGURES, Estimate(0.9, 0.8, 1.1), 500, COSTS)
    assert roi.break_even is not None
    assert roi.break_even.value == math.inf
    assert roi.as_json()["break_even"]["value"] is None


def test_without_costs_there_is_no_ratio_of_return() -> None:
    free = RoiFigures.model_validate({"pair": 400, "expert": {"hour": 0}})
    roi = captions_roi(free, RATIO, 500, COSTS)
    assert roi.roi is None
    assert roi.needed == 1


def test_gained_points_have_a_value() -> None:
    figures = FIGURES.model_copy(update={"point_value": 50_000.0})
    roi = points_roi(figures, Estimate(0.02, 0.01, 0.03), 1000, COSTS, 100)
    assert roi.benefit.value == pytest.approx(100_000)
    assert roi.needed == pytest.approx(60_100 / 50_000 / 100)
    assert roi.break_even is None


def test_the_widest_assumption_comes_first_and_the_ratio_takes_its_interval() -> None:
    rows = sensitivity(FIGURES, RATIO, 1000, COSTS)
    widths = [abs(row["high"] - row["low"]) for row in rows]
    assert widths == sorted(widths, reverse=True)
    ratio = next(row for row in rows if row["code"] == "ratio")
    assert (ratio["from"], ratio["to"]) == (1.2, 2.0)
    net = captions_roi(FIGURES, RATIO, 1000, COSTS).net
    assert (ratio["low"], ratio["high"]) == pytest.approx((net.low, net.high))
