"""Differences of differences on trials whose true gains are known."""

from typing import Any

import numpy as np
import pytest

from clipc.errors import UserError
from clipc.evaluate.measurement import Measurement
from clipc.evaluate.statistics.interval import t_interval
from clipc.study.contrasts import gain_differences
from clipc.study.design import Study, read_study
from clipc.study.results import Outcome, metrics_table

from .outcomes import METRIC, outcome

Groups = dict[tuple[str, int], list[Outcome]]


def trials(arm: str, size: int, level: float, seeds: int = 8, n: int = 4000) -> list[Outcome]:
    """Trials that share their luck with all arms of a seed, and have some of their own."""
    found: list[Outcome] = []
    for seed in range(seeds):
        shared = np.random.Generator(np.random.Philox(key=[seed, 1])).normal(0, 0.05)
        rng = np.random.Generator(np.random.Philox(key=[seed, sum(map(ord, arm)) * 10_000 + size]))
        one = outcome(arm, seed, 0.5)
        items = (rng.random(n) < level + shared + rng.normal(0, 0.002)).astype(float)
        one.measurements[METRIC] = Measurement(METRIC, items, chance=0.1, default_main=True)
        found.append(one)
    return found


@pytest.fixture(scope="module")
def groups() -> Groups:
    """CLIP-C gains 10 points with 100 pairs and 4 with 1,000; the control 3 at both; the recipe b has a gain of 1."""
    levels = {
        100: {"clip": 0.3, "augment": 0.33, "clip-c": 0.4},
        1000: {"clip": 0.5, "augment": 0.53, "clip-c": 0.54, "clip b": 0.6, "clip-c b": 0.61},
    }
    return {(arm, size): trials(arm, size, level) for size, arms in levels.items() for arm, level in arms.items()}


def compared(groups: Groups, *named: Any) -> dict[tuple[Any, ...], dict[str, Any]]:
    metrics = metrics_table(groups["clip", 100])
    rows = gain_differences(groups, metrics, "clip", ["augment"], named)
    return {(*row["gain"].values(), *row["than"].values()): row for row in rows}


def test_the_true_difference_of_gains_is_inside_of_its_intervals(groups: Groups) -> None:
    rows = compared(groups, (("clip-c b", "clip b"), ("clip-c", "clip")))
    expected = {
        ("clip-c", "clip", 100, "augment", "clip", 100): 0.07,
        ("clip-c", "clip", 1000, "augment", "clip", 1000): 0.01,
        ("clip-c", "clip", 1000, "clip-c", "clip", 100): -0.06,
        ("clip-c b", "clip b", 1000, "clip-c", "clip", 1000): -0.03,
    }
    assert expected.keys() <= rows.keys()
    for key, truth in expected.items():
        row = rows[key]
        assert row["difference"] == pytest.approx(truth, abs=0.02)
        assert row["interval"][0] < truth < row["interval"][1]
        assert row["both"][0] <= row["interval"][0]
        assert row["both"][1] >= row["interval"][1]
        assert t_interval(row["per_seed"]).ends == tuple(row["interval"])
    assert rows["clip-c", "clip", 1000, "clip-c", "clip", 100]["both"][1] < 0  # the gain does shrink


def test_a_gain_less_a_controls_gain_is_the_direct_difference(groups: Groups) -> None:
    row = compared(groups)["clip-c", "clip", 100, "augment", "clip", 100]
    pairs = zip(groups["clip-c", 100], groups["augment", 100], strict=True)
    assert row["per_seed"] == pytest.approx([a.metrics[METRIC] - b.metrics[METRIC] for a, b in pairs])


def test_what_lacks_seeds_or_arms_is_left_out(groups: Groups) -> None:
    few = {key: outcomes[: 1 if key == ("augment", 100) else 8] for key, outcomes in groups.items()}
    rows = compared(few, (("clip-c", "nobody"), ("clip-c", "clip")))
    assert ("clip-c", "clip", 100, "augment", "clip", 100) not in rows
    assert ("clip-c", "clip", 1000, "augment", "clip", 1000) in rows
    assert not any("nobody" in key for key in rows)
    uneven = dict(groups)
    uneven["augment", 100] = trials("augment", 100, 0.33, n=3999)
    row = compared(uneven)["clip-c", "clip", 100, "augment", "clip", 100]
    assert row["both"] is None


def test_a_study_names_gains_by_its_arms() -> None:
    arms: dict[str, Any] = {"clip": None, "clip-c": None, "b": None}
    contrast = {"gain": ["b", "clip"], "than": ["clip-c", "clip"]}
    study = Study.model_validate({"name": "x", "arms": arms, "contrasts": [contrast]})
    assert study.named_contrasts == [(("b", "clip"), ("clip-c", "clip"))]
    with pytest.raises(UserError, match="unknown arm 'clipp'"):
        read_study("rates", ["contrasts=[{gain: [clipp, clip], than: [augment, clip]}]"])
