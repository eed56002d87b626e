"""A metric's description: what is refused, and that nothing is lost on the way through a file."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clipc.errors import UserError
from clipc.evaluate.measurement import Measurement, by_name, dump_measurements, load_measurements

HITS = Measurement(
    "a/hits",
    np.array([0, 1, 1, 0.5]),
    np.array([0, 0, 1, 2]),
    chance=0.5,
    ceiling=0.9,
    default_main=True,
    interval=(0.2, 0.9),
)
DEPTH = Measurement("b/depth", value=-3.5, n=7, higher_is_better=False, unit="ells")


def test_a_mean_knows_its_value_and_number() -> None:
    assert (HITS.value, HITS.n, HITS.unit, HITS.higher_is_better) == (0.625, 4, "share", True)


def test_apart_and_together_again() -> None:
    other = replace(HITS, name="a/more", values=1 - np.asarray(HITS.values), value=0.375)
    table, arrays = dump_measurements(by_name([HITS, DEPTH, other]))
    assert sorted(arrays) == ["owner/0", "values/a/hits", "values/a/more"]
    table = json.loads(json.dumps(table))
    found = load_measurements({"a/hits": 0.625, "b/depth": -3.5, "a/more": 0.375}, table, arrays)
    for one in (HITS, DEPTH, other):
        again = found[one.name]
        assert (again.value, again.description()) == (one.value, one.description())
        for mine, theirs in ((one.values, again.values), (one.owner, again.owner)):
            assert (mine is None) == (theirs is None)
            np.testing.assert_array_equal(mine, theirs)  # type: ignore[arg-type]


def test_descriptions_that_were_stored_without_a_ceiling_are_read() -> None:
    table, arrays = dump_measurements({"b/depth": DEPTH})
    del table["b/depth"]["ceiling"]
    assert load_measurements({"b/depth": -3.5}, table, arrays)["b/depth"].ceiling is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": float("nan")}, "has value = nan, which is not a finite float"),
        ({"value": np.float32(0.5)}, "not a finite float"),
        ({"value": "0.5"}, "not a finite float"),
        ({"chance": float("inf")}, "has chance = inf"),
        ({"ceiling": "0.9"}, "has ceiling = '0.9', which is not a finite float"),
        ({"n": 3.0}, "has n = 3.0"),
        ({"n": 5}, "needs an array of 5 finite floats as values"),
        ({"values": np.array([0, 1, 1, np.nan])}, "needs an array of 4 finite floats as values"),
        ({"owner": np.array([0, 1, 1])}, "needs an array of 4 ints as owner"),
        ({"owner": np.zeros(4)}, "needs an array of 4 ints as owner"),
        ({"values": None}, "as owner, one for each of its values"),
        ({"unit": None}, "needs a str as name and unit"),
        ({"default_main": "yes"}, "a bool as default_main"),
        ({"interval": (0.1,)}, "which is not two finite floats"),
        ({"name": None}, "needs a str as name"),
    ],
)
def test_what_does_not_describe_a_metric_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(HITS, **change)


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="not a finite float"):
        Measurement("a/none", np.zeros(0))
