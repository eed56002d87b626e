from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipc.errors import UserError
from clipc.study.design import Study
from clipc.study.pilot import experiment
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pilot import make_context, plan_pilot, run_pilot
from clipc.study.pilot.stages import curve
from clipc.study.pilot.stages.stage import Context
from clipc.study.run import PlannedTrial
from clipc.train.timing import Timer

from ..in_process import in_process
from .tiny_pilot import Measured, plan_of


def test_the_scope_is_settled_once(pilot_options: PilotOptions, tmp_path: Path, measured: Measured) -> None:
    """Measured at the first call, kept for those after it, and measured anew where something else is asked."""
    short = replace(pilot_options, minutes=0.8)
    first = plan_of(short, tmp_path)
    assert first == plan_of(short, tmp_path)
    assert measured.count == 1
    longer = plan_of(replace(short, minutes=20), tmp_path)
    assert measured.count == 2
    assert first["epochs"] == longer["epochs"]  # Time never decides how often a pair is seen.
    assert first["seeds"] < longer["seeds"] == 12
    assert first["left_out"] == longer["left_out"] == []
    assert plan_of(replace(short, minutes=20, seeds=4), tmp_path)["seeds"] == 4


def test_too_little_time_leaves_out_controls_and_then_asks_for_more(
    pilot_options: PilotOptions, tmp_path: Path, measured: Measured
) -> None:
    # Less than the 16 seconds of five arms and 3 seeds, once 15 seconds for the page are set aside.
    plan = plan_of(replace(pilot_options, minutes=32 / 60, stages=("experiment",)), tmp_path)
    assert plan["left_out"]
    assert set(plan["left_out"]) <= {"self-halves", "wrong-caption"}
    assert plan["seeds"] >= 3
    with pytest.raises(UserError, match=r"too short for a pilot: it needs --minutes 1 for 3 seeds of 3 arms on 40"):
        run_pilot(replace(pilot_options, minutes=0.3, stages=("experiment",)), tmp_path)


def test_a_busy_machine_is_named(
    pilot_options: PilotOptions, tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "share_of_cores", lambda: 0.25)
    with pytest.raises(
        UserError, match=r"on all 40\. Other programs hold about 75% of the cores now; without them less"
    ):
        run_pilot(replace(pilot_options, minutes=1), tmp_path)
    assert not (tmp_path / "stages").exists()  # said before anything else runs


def test_the_plan_has_minutes_and_cost_and_runs_nothing(
    pilot_options: PilotOptions, tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "LEAST_CURVE_PAIRS", 20)
    with in_process():
        planned = plan_pilot(replace(pilot_options, minutes=20), tmp_path / "long")
    assert [row["name"] for row in planned["stages"]] == ["doctor", "preview", "bias", "experiment", "curve"]
    assert sum(row["minutes"] for row in planned["stages"]) < 20
    assert all(row["fits"] and row["core_hours"] > 0 for row in planned["stages"])
    with in_process():
        short = plan_pilot(replace(pilot_options, minutes=0.75), tmp_path / "short")
    assert {row["name"]: row["fits"] for row in short["stages"]}["curve"] is False
    assert not (tmp_path / "short" / "records").exists()


def test_a_curve_after_slow_trials_has_fewer(
    pilot_options: PilotOptions, tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "LEAST_CURVE_PAIRS", 20)
    with in_process():
        context = make_context(replace(pilot_options, minutes=20), tmp_path)
        # Two seconds a trial are measured; 24 trials of two workers fit 60 seconds, half as many at four seconds.
        fast = curve.curve_scope(context, "clip-c", 60)
        as_measured = curve.curve_scope(context, "clip-c", 60, trial_seconds=1.5)
        slow = curve.curve_scope(context, "clip-c", 60, trial_seconds=4)
    assert as_measured == fast
    assert slow["seeds"] < fast["seeds"]
    assert slow["seconds"] == 2 * fast["seconds"] * slow["seeds"] / fast["seeds"]


def test_seeds_of_the_curve_for_which_no_time_is_left_are_left_out(
    pilot_options: PilotOptions, tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, runs = [0.0], list[int]()

    def run(_: Study, planned: Sequence[PlannedTrial], **__: Any) -> None:
        runs.append(len(planned))
        clock[0] += 400  # more than expected

    monkeypatch.setattr(curve, "LEAST_CURVE_PAIRS", 20)
    monkeypatch.setattr(curve, "run_pending", run)
    with in_process():
        context = make_context(replace(pilot_options, minutes=20, seeds=9), tmp_path)
        scope = curve.curve_scope(context, "clip-c", 1200)
        monkeypatch.setattr(Timer, "seconds", property(lambda _: clock[0]))
        monkeypatch.setattr(Context, "seconds_left", property(lambda _: 1200 - clock[0]))
        assert scope["seeds"] == 9
        assert curve._run(context, scope)["seeds"] == 6  # pyright: ignore[reportPrivateUsage]
    assert runs == [2 * 3, 2 * 6]
    assert (kept := context.kept("curve")) is not None
    assert kept["seeds"] == 6
