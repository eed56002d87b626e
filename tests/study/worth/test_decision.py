"""The verdicts: each where it should be, and "adopt" no more often by chance than stated."""

from typing import Any

import numpy as np
import pytest

from clipc.evaluate.statistics.two_way_contrasts import TwoWayContrasts
from clipc.study.worth.curve import decision_reading, readings
from clipc.study.worth.decision import decide_composition, decide_model, false_adopt_rate, needed_to_decide
from clipc.study.worth.estimate import Estimate
from clipc.study.worth.points import points_of
from clipc.study.worth.roi import captions_roi
from clipc.study.worth.tables import worth_tables

from .constructed import FIGURES, GATES, METRIC, constructed

FREE: dict[str, Any] = {"currency": "JPY", "pair": 400, "expert": {"hour": 0}, "machine": {"hour": 0}}


def verdicts(multiple: float, repeats: int, **kw: Any) -> dict[str, float]:
    """How often each verdict on composition is reached."""
    found = [worth_tables(constructed(multiple, seed=i, **kw))["composition"]["verdict"] for i in range(repeats)]
    return {code: found.count(code) / repeats for code in ("adopt", "extend", "stop")}


def quick_verdict(multiple: float, seed: int, figures: dict[str, Any]) -> str:
    """The verdict on composition, without the other tables; all gates passed."""
    inputs = constructed(multiple, seed=seed, figures=figures)
    points = {key: p for key, p in points_of(inputs.groups, METRIC).items() if key[0] == "clip" or key[1] == 500}
    reading = decision_reading(readings(points, "clip", "clip-c", higher_is_better=True, level=0.95))
    assert reading is not None
    assert inputs.figures is not None
    needed = captions_roi(inputs.figures, reading.ratio, reading.size, inputs.costs).needed
    return decide_composition(reading.ratio, needed, (), "own", has_figures=True, reach=reading.reach)["verdict"]


@pytest.mark.soak
def test_at_one_to_one_adopt_is_no_more_frequent_than_stated() -> None:
    """Without costs one to one is exactly the threshold, where "adopt" is most frequent."""
    found = [quick_verdict(1.0, seed, FREE) for seed in range(500)]
    noise = 0.014  # two standard errors of a share of 2.5% in 500
    assert found.count("adopt") / 500 <= false_adopt_rate(0.95) + noise
    assert found.count("stop") / 500 <= false_adopt_rate(0.95) + noise


@pytest.mark.soak
def test_with_costs_it_is_rarer_still() -> None:
    found = [quick_verdict(1.0, seed, FIGURES) for seed in range(500)]
    assert found.count("adopt") / 500 <= false_adopt_rate(0.95)


def test_the_quick_verdict_is_that_of_the_tables() -> None:
    for multiple in (0.3, 3.0):
        assert quick_verdict(multiple, 0, FIGURES) == worth_tables(constructed(multiple))["composition"]["verdict"]


def test_each_verdict_is_reached_where_it_should_be() -> None:
    assert verdicts(3.0, 2)["adopt"] == 1
    assert verdicts(0.3, 2)["stop"] == 1
    assert verdicts(1.5, 2, items=60, seeds=3)["extend"] == 1


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"gates": {**GATES, "meaning": None}}, "meaning-not-run"),
        ({"gates": {**GATES, "bias": None}}, "bias-not-run"),
        ({"gates": {**GATES, "bias": {"tested": 9, "amplified": 1, "corrected": False}}}, "bias-amplified"),
        ({"gates": {**GATES, "meaning": {**GATES["meaning"], "broken": 2}}}, "rules-broken"),
        ({"figures": None}, "figures"),
        ({"credit": "shared"}, "shared"),
    ],
)
def test_a_gate_that_failed_or_was_not_run_caps_the_verdict_and_is_named(change: dict[str, Any], missing: str) -> None:
    tables = worth_tables(constructed(3.0, **change))
    assert tables["composition"]["verdict"] == "extend"
    assert tables["composition"]["missing"] == [missing]
    # A gate never turns a verdict into a better one.
    assert worth_tables(constructed(0.3, **change))["composition"]["verdict"] == "stop"


def test_costs_that_nothing_could_save_are_not_adopted() -> None:
    dear = {**FIGURES, "expert": {"hour": 9000, "rules": 40, "review": 40}}
    tables = worth_tables(constructed(1.0, figures=dear))
    assert tables["composition"]["verdict"] == "stop"
    # The saving lies beyond the range and may be any; what is needed lies beyond it too.
    tables = worth_tables(constructed(3.0, figures=dear))
    assert tables["composition"] == {"verdict": "extend", "reasons": ["beyond-range"], "missing": []}
    assert tables["to_decide"]["pairs"] > 1000


def test_seeds_that_would_decide_are_named_where_it_is_undecided() -> None:
    tables = worth_tables(constructed(1.6, seeds=3, items=150, seed=2))
    assert tables["composition"]["verdict"] == "extend"
    assert set(tables["to_decide"]) == {"pairs", "seeds", "test_items"}


def test_the_model_has_to_be_better_than_every_alternative() -> None:
    better, worse, unsure = Estimate(0.05, 0.02, 0.08), Estimate(-0.05, -0.08, -0.02), Estimate(0.02, -0.01, 0.05)
    assert decide_model([better, better], 0.0, ())["verdict"] == "adopt"
    assert decide_model([better, worse], 0.0, ())["verdict"] == "stop"
    assert decide_model([better, unsure], 0.0, ())["verdict"] == "extend"
    assert decide_model([better], 0.03, ())["verdict"] == "extend"
    assert decide_model([], 0.0, ())["missing"] == ["alternative"]
    assert decide_model([better], 0.0, (), Estimate(-5.0, -9.0, -1.0))["verdict"] == "stop"
    assert decide_model([better], 0.0, (), Estimate(5.0, -9.0, 11.0))["verdict"] == "extend"


def test_the_seeds_that_are_needed_decide_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    contrasts = TwoWayContrasts.from_values(rng.normal([[0.02], [0.0]], 0.02, (2, 6)))
    needed = needed_to_decide(contrasts, np.array([1.0, -1.0]), 0.0, 0.95)["seeds"]
    difference = contrasts.by_seed[0] - contrasts.by_seed[1]
    draws = rng.normal(difference.mean(), difference.std(ddof=1), (4000, needed))
    error = draws.std(axis=1, ddof=1) / np.sqrt(needed)
    from scipy.stats import t

    decided = (np.abs(draws.mean(axis=1)) > t.ppf(0.975, needed - 1) * error).mean()
    assert 0.74 <= decided <= 0.95


def test_a_small_test_set_needs_more_items() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(0.01, 0.3, 100)
    a = shared + rng.normal(0, 0.001, (6, 100))
    found = needed_to_decide(
        TwoWayContrasts.from_items(np.stack([a, np.zeros_like(a)])), np.array([1.0, -1.0]), 0.0, 0.95
    )
    assert found["test_items"] > 100
