"""The table ``worth``: what it reads, what it says beside every number, and that JSON can hold it."""

import json
from typing import Any

import pytest

from clipc.errors import UserError
from clipc.evaluate.measurement import Measurement
from clipc.study.worth.tables import Alternative, worth_tables

from .constructed import METRIC, SIZES, constructed


def test_it_is_json_and_every_number_has_its_interval_and_n() -> None:
    tables = json.loads(json.dumps(worth_tables(constructed(1.5)), allow_nan=False))
    assert tables["equivalence"]["decision"] == 500
    for row in tables["equivalence"]["rows"]:
        assert row["seeds"] == 8
        assert row["items"] == 200
        assert row["ratio"]["low"] <= row["ratio"]["value"] <= row["ratio"]["high"]
        assert row["pairs"]["value"] == pytest.approx(row["ratio"]["value"] * row["size"])
    for line in tables["curve"]["lines"]:
        assert [point["x"] for point in line["points"]] == list(SIZES)
        assert all(point["low"] < point["mean"] < point["high"] and point["n"] == 8 for point in line["points"])
        assert line["fit"]["rmse"] >= 0
    assert tables["gain"]["size"] == 1000
    assert tables["alternatives"][0]["name"] == "linear-probe"


def test_the_size_that_is_decided_at_hangs_on_the_sizes_alone() -> None:
    for multiple in (0.5, 1.0, 3.0):
        assert worth_tables(constructed(multiple))["equivalence"]["decision"] == 500


def test_without_a_curve_the_gain_is_shown_and_nothing_is_decided() -> None:
    inputs = constructed(3.0)
    groups = {key: value for key, value in inputs.groups.items() if key[1] == 1000}
    tables = worth_tables(constructed(3.0, groups=groups))
    assert tables["equivalence"] is None
    assert tables["gain"]["difference"]["value"] > 0
    assert tables["composition"] == {"verdict": "extend", "reasons": ["no-curve"], "missing": ["curve"]}


def test_an_alternative_may_have_its_own_metric_and_seeds() -> None:
    inputs = constructed(1.0)
    rows = [o.measurements[METRIC] for o in inputs.groups["clip-c", 1000]]
    same = Alternative([Measurement(METRIC, row.values) for row in rows], METRIC)
    tables = worth_tables(constructed(1.0, alternatives={"public-model": same}))
    row = tables["alternatives"][0]
    assert row["difference"]["value"] == 0
    assert tables["model"]["verdict"] == "extend"


def test_several_candidates_widen_the_intervals() -> None:
    def width(candidates: int) -> float:
        rows = worth_tables(constructed(1.5, candidates=candidates))["equivalence"]["rows"]
        ratio = next(row for row in rows if row["size"] == 250)["ratio"]
        return ratio["high"] / ratio["low"]

    assert width(3) > width(1)


def test_composition_may_be_for_points() -> None:
    figures: dict[str, Any] = {"pair": 400, "expert": {"hour": 9000, "rules": 4}, "benefit": "points"}
    tables = worth_tables(constructed(3.0, figures={**figures, "point_value": 100_000}))
    assert tables["basis"] == "points"
    assert tables["roi"]["break_even"] is None
    assert tables["composition"]["verdict"] == "adopt"


def test_other_planned_pairs_are_an_assumption_that_is_told() -> None:
    figures = {"pair": 400, "expert": {"hour": 9000, "rules": 4}, "pairs": 20_000}
    codes = [row["code"] for row in worth_tables(constructed(1.5, figures=figures))["assumptions"]]
    assert "other-pairs" in codes


def test_a_wrong_arm_or_metric_is_named() -> None:
    with pytest.raises(UserError, match="unknown arm"):
        worth_tables(constructed(1.0, arm="clip-x"))
    with pytest.raises(UserError, match="unknown metric"):
        worth_tables(constructed(1.0, metric="nothing"))
