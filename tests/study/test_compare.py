import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from clipc.evaluate.measurement import Measurement
from clipc.study.compare import Groups, comparisons
from clipc.study.noise import power_table
from clipc.study.results import Outcome, metrics_table
from clipc.study.verdict import NOT_TESTED, WAITING, conclude

from .outcomes import METRIC, outcome

SEEDS = range(8)


def groups(**levels: float) -> dict[tuple[str, int], list[Outcome]]:
    return {(arm, 100): [outcome(arm, seed, level, noise=0.004) for seed in SEEDS] for arm, level in levels.items()}


def compared(found: dict[tuple[str, int], list[Outcome]], *controls: str) -> dict[tuple[str, str], dict[str, object]]:
    metrics = metrics_table([o for group in found.values() for o in group])
    return {(r["arm"], r["against"]): r for r in comparisons(found, metrics, "clip", controls)}


def test_a_real_difference_is_a_gain_and_none_is_no_evidence() -> None:
    rows = compared(groups(clip=0.5, better=0.62, same=0.5, worse=0.4))
    assert {arm: row["verdict"] for (arm, _), row in rows.items()} == {
        "better": "gain",
        "same": "no evidence",
        "worse": "loss",
    }
    row = rows["better", "clip"]
    assert row["difference"] == pytest.approx(0.12, abs=0.03)
    low, high = row["both"]  # pyright: ignore
    assert low < row["interval"][0] < row["interval"][1] < high  # pyright: ignore
    assert row["p"] == row["p_holm"] < 0.001  # pyright: ignore # one main metric
    assert row["p_sign"] == pytest.approx(2 / 2**8)


def test_there_is_no_verdict_while_planned_seeds_are_missing() -> None:
    found = groups(clip=0.5, better=0.75, augment=0.4)
    found["better", 100] = found["better", 100][:7]
    metrics = metrics_table([o for group in found.values() for o in group])
    rows = {(r["arm"], r["against"]): r for r in comparisons(found, metrics, "clip", ["augment"], len(SEEDS))}
    for against in ("clip", "augment"):
        row = rows["better", against]
        assert row["verdict"] == WAITING
        assert row["p"] is row["p_holm"] is row["p_sign"] is None
        assert 0 < row["both"][0] < row["interval"][0]
        assert len(row["per_seed"]) == 7
    assert rows["augment", "clip"]["verdict"] == "loss"
    ended = comparisons(found, metrics, "clip", ["augment"], len(SEEDS), {("better", 100): 1})
    assert {r["verdict"] for r in ended if r["arm"] == "better"} == {"gain"}  # nothing more is to come
    assert compared(found)["better", "clip"]["verdict"] == "gain"


def test_only_main_metrics_are_corrected_and_the_rest_costs_them_nothing() -> None:
    found = groups(clip=0.5, better=0.52)
    metrics = metrics_table(found["clip", 100])
    (alone,) = comparisons(found, metrics, "clip", ())
    secondary = {**metrics[0], "main": False, "secondary": True}
    shown = {**metrics[0], "main": False}
    main, second, *rest = comparisons(found, [*metrics, secondary, shown, shown], "clip", ())
    assert main == alone
    assert main["p_holm"] == main["p"]
    assert (second["p"], second["p_holm"], second["interval"]) == (alone["p"], None, alone["interval"])
    for row in rest:
        assert (row["p"], row["p_sign"], row["p_holm"], row["verdict"]) == (None, None, None, NOT_TESTED)
        assert row["interval"] == alone["interval"]


def test_two_main_metrics_are_corrected_together() -> None:
    found = groups(clip=0.5, better=0.52)
    metrics = metrics_table(found["clip", 100])
    (alone,) = comparisons(found, metrics, "clip", ())
    both = comparisons(found, metrics * 2, "clip", ())
    assert [row["p_holm"] for row in both] == pytest.approx([min(1, 2 * alone["p"])] * 2)


def test_a_secondary_metric_is_judged_by_its_own_intervals_and_decides_nothing() -> None:
    found = groups(clip=0.5, better=0.62, augment=0.5)
    (metric,) = metrics_table(found["clip", 100])
    secondary = {**metric, "main": False, "secondary": True}
    rows = comparisons(found, [{**metric, "key": METRIC}, secondary], "clip", ["augment"])
    by_role = [[r for r in rows if r["arm"] == "better"][i::2] for i in (0, 1)]
    assert [[r["verdict"] for r in group] for group in by_role] == [["gain", "gain"]] * 2
    waiting = comparisons(found, [secondary], "clip", ["augment"], planned=len(SEEDS) + 1)
    assert {r["verdict"] for r in waiting} == {WAITING}
    assert conclude(["clip", "better"], "clip", ["augment"], [secondary], rows)["headline"]["code"] == "unknown"


def test_what_a_control_shows_too_is_said() -> None:
    rows = compared(groups(clip=0.5, better=0.62, augment=0.62, wrong=0.5), "augment", "wrong")
    assert rows["better", "clip"]["shown_by_controls"] == ["augment"]
    assert rows["augment", "clip"]["shown_by_controls"] == []
    assert rows["better", "augment"]["verdict"] == "no evidence"
    assert ("augment", "wrong") not in rows


def test_a_control_that_gains_little_does_not_take_a_large_gain_away() -> None:
    rows = compared(groups(clip=0.5, better=0.75, augment=0.56), "augment")
    assert rows["augment", "clip"]["verdict"] == rows["better", "augment"]["verdict"] == "gain"
    assert rows["better", "clip"]["shown_by_controls"] == []


def test_differences_that_do_not_vary_say_nothing_of_noise() -> None:
    found = {(arm, 100): [outcome(arm, seed, 0.5) for seed in SEEDS] for arm in ("clip", "twin")}
    for mine, theirs in zip(found["twin", 100], found["clip", 100], strict=True):
        value = theirs.metrics[METRIC] + 0.01
        mine.measurements[METRIC] = replace(mine.measurements[METRIC], value=value)
    assert power_table(found, metrics_table(found["clip", 100]), "clip") == []


def test_trials_are_paired_by_seed_and_lonely_ones_left_out() -> None:
    found = groups(clip=0.5, better=0.62)
    found["better", 100] = [o for o in found["better", 100] if o.trial.recipe.seed in (1, 4, 6)]
    found["better", 100].append(outcome("better", 99, 0.9))
    found["alone", 100] = [outcome("alone", 0, 0.9)]
    rows = compared(found)
    assert set(rows) == {("better", "clip")}
    by_seed = {o.trial.recipe.seed: o.metrics[METRIC] for o in found["clip", 100]}
    expected = [o.metrics[METRIC] - by_seed[o.trial.recipe.seed] for o in found["better", 100][:3]]
    assert rows["better", "clip"]["per_seed"] == pytest.approx(expected)
    assert rows["better", "clip"]["p_sign"] is None


def test_items_that_are_not_the_same_in_all_trials_are_not_compared() -> None:
    found = groups(clip=0.5, better=0.62)
    found["better", 100][3] = outcome("better", 3, 0.62, n=399)
    row = compared(found)["better", "clip"]
    assert row["both"] is None
    assert len(row["per_seed"]) == 8  # pyright: ignore


def disagreeing(n: int, seeds: Sequence[int] = SEEDS) -> Groups:
    """Two arms, one of which is always right on another tenth of the items; the rest is chance under each seed."""
    found: dict[tuple[str, int], list[Outcome]] = {(arm, 100): [] for arm in ("clip", "x")}
    kind = np.random.Generator(np.random.Philox(key=[7, n])).random(n)
    for arm, lucky in (("clip", kind < 0.1), ("x", kind > 0.9)):
        for seed in seeds:
            rng = np.random.Generator(np.random.Philox(key=[seed, ord(arm[0])]))
            items = (lucky | (rng.random(n) < 0.4 + rng.normal(0, 0.02))).astype(float)
            one = outcome(arm, seed, 0.5, n=n)
            one.measurements[METRIC] = Measurement(METRIC, items, chance=0.1, default_main=True)
            found[arm, 100].append(one)
    return found


def test_a_small_test_set_has_differences_that_no_number_of_seeds_finds() -> None:
    rows = []
    for n in (100, 10_000):
        found = disagreeing(n)
        rows += power_table(found, metrics_table(found["clip", 100]), "clip")
    small, large = rows
    assert small["floor"] > 4 * large["floor"] > 0
    for row in rows:
        assert [r["seeds"] is None for r in row["rows"]] == [r["difference"] <= row["floor"] for r in row["rows"]]
    assert small["rows"][0]["seeds"] is None


def test_what_no_number_of_seeds_finds_does_not_depend_on_how_many_there_were() -> None:
    floors = []
    for count in (3, 30):
        found = disagreeing(2000, range(count))
        (row,) = power_table(found, metrics_table(found["clip", 100]), "clip")
        floors.append(row["floor"])
    # The tenths on which they disagree: 2.8 standard errors of a difference with a variance of 0.6^2 x 0.2.
    expected = 2.80 * 0.6 * math.sqrt(0.2 / 2000)
    assert floors == pytest.approx([expected, expected], rel=0.25)


def test_more_main_metrics_take_more_seeds() -> None:
    found = {(arm, 100): [outcome(arm, s, 0.5, noise=0.02, n=10_000) for s in SEEDS] for arm in ("clip", "x")}
    metrics = metrics_table(found["clip", 100])
    (alone,), several = power_table(found, metrics, "clip"), power_table(found, metrics * 4, "clip")
    assert several[0]["rows"][-1]["seeds"] > alone["rows"][-1]["seeds"]


def test_seeds_that_a_difference_needs_follow_the_noise() -> None:
    quiet, loud = ([], [])
    for rows, own in ((quiet, 0.002), (loud, 0.02)):
        found = {(arm, 100): [outcome(arm, s, 0.5, noise=own, n=4000) for s in SEEDS] for arm in ("clip", "x")}
        rows += power_table(found, metrics_table(found["clip", 100]), "clip")
    assert quiet[0]["sd"] < loud[0]["sd"] == pytest.approx(0.028, abs=0.015)
    needed = [[row["seeds"] for row in rows[0]["rows"]] for rows in (quiet, loud)]
    assert all(a <= b for a, b in zip(*needed, strict=True))
    assert needed[1] == sorted(needed[1], reverse=True)


def test_metrics_that_equal_captions_limit_come_last_where_captions_are_few() -> None:
    one = outcome("clip", 0, 0.5)
    recall = Measurement("a/recall", np.zeros(400), chance=0.01, ceiling=0.27, default_main=True)
    equal = replace(recall, name="b/equal", ceiling=None)
    both = replace(one, measurements={"a/recall": recall, **one.measurements, "b/equal": equal})
    assert [m["key"] for m in metrics_table([both])] == ["a/recall", METRIC, "b/equal"]
    rows = metrics_table([both], limited_last=True)
    assert [(m["key"], m["ceiling"]) for m in rows] == [(METRIC, None), ("b/equal", None), ("a/recall", 0.27)]
