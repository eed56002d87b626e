import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipc.catalog.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.evaluate import probe
from clipc.recipe.data import Data
from clipc.report.pilot import render_pilot
from clipc.report.sections.plan import plan_sentences
from clipc.report.sections.stages import stage_sentence
from clipc.report.words import words
from clipc.study.design import Study, read_study
from clipc.study.pilot import design, experiment, rollout
from clipc.study.pilot import pilot as module
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pace import FeaturePace, Pace
from clipc.study.pilot.pilot import STAGES, run_pilot
from clipc.study.pilot.stages import curve
from clipc.study.pilot.stages import experiment as stage
from clipc.study.pilot.stages.stage import StageResult
from clipc.study.pilot.tables import partners_limit
from clipc.study.worth.figures import RoiFigures

from ..in_process import in_process

ARMS = ["clip", "clip-c-guarded"]
PACE = {"pairs_per_second": 96.0, "validation_seconds": 0.0, "fixed_seconds": 1.0}
SETTLED = {"pairs": 40, "arms": ARMS, "seeds": 3, "renderer": "worker", "pace": PACE}
SETTLED |= {"minutes": 1.0, "feature_minutes": 0.0}


@pytest.fixture(scope="module")
def options(tiny_source: Path, tiny_model: str) -> PilotOptions:
    overrides = (f"model={tiny_model}", "samples=96", "batch_size=8", "validations=2", "precision=fp32")
    data, stages = Data(source=str(tiny_source)), tuple(name for name in STAGES if name != "confirm")
    return PilotOptions(data=data, jobs=2, recipe="nano", overrides=overrides, stages=stages, go_on=True)


@pytest.fixture(scope="module")
def done(options: PilotOptions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A whole pilot on the tiny set, of two of its arms; its scope is set, so that no pace is measured."""
    folder = tmp_path_factory.mktemp("pilot")
    with pytest.MonkeyPatch.context() as patch, in_process():
        patch.setattr(experiment, "_settle", lambda *_: SETTLED)
        patch.setattr(curve, "LEAST_CURVE_PAIRS", 20)
        patch.setattr(probe, "STRENGTHS", (0.1,))
        return folder, run_pilot(options, folder)


def test_all_arms_on_the_same_pairs_and_seeds(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    assert (tables["baseline"], tables["controls"]) == ("clip", [])
    assert list(tables["verdict"]["arms"]) == ["clip-c-guarded"]
    shares: dict[str, tuple[float | None, float]] = {}
    for arm in tables["arms"]:
        (result,) = arm["results"]
        assert [trial["seed"] for trial in result["trials"]] == [3, 4, 5]
        shares[arm["name"]] = result["composite_share"], result["treated_share"]
    assert tables["settings"]["samples"] == 96
    assert shares["clip"] == (None, 0)
    assert shares["clip-c-guarded"][0] == pytest.approx(0.3, abs=0.15)


def test_tables_are_json_and_make_a_report(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    again = json.loads(json.dumps(tables, allow_nan=False))
    for lang in ("en", "ja"):
        page, say = render_pilot(again, lang=lang), words(lang)
        assert "CLIP-C" in page
        assert say("not_shown.untested-self-halves") in page
        assert say("pilot.plan.title") in page
    codes = {code if isinstance(code, str) else code["code"] for code in tables["not_shown"]}
    assert codes <= {key.removeprefix("not_shown.") for key in words("en").table if key.startswith("not_shown.")}
    assert {"small-test-set", "few-seeds", "from-scratch", "one-share", "short-training"} <= codes
    (composites,) = tables["composites"]
    assert composites["arm"] == "clip-c-guarded"
    assert len(composites["samples"]) == 8
    assert [(curve["arm"], curve["seed"]) for curve in tables["training"]] == [
        (arm, seed) for seed in (3, 4, 5) for arm in ARMS
    ]
    assert all(curve["loss"] and len(curve["validation"]) == 2 for curve in tables["training"])
    assert [arm["arm"] for arm in tables["composing_cost"]["arms"]] == ["clip-c-guarded"]
    assert tables["untrained"] == []  # random weights have no features to probe


def test_what_was_settled_is_said(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    plan = tables["plan"]
    assert plan["epochs"] == pytest.approx(96 / 40)
    assert plan["left_out"] == ["self-halves", "wrong-caption", "clip-c"]
    assert (plan["trials"], plan["seeds_asked"], plan["pairs"], plan["all_pairs"]) == (6, False, 40, 40)
    text = " ".join(plan_sentences(plan, words("en")))
    for part in (
        "seen 2.4 times",
        "undertrained",
        "6 trials, 2 at a time",
        "left out: Halves of one picture, Wrong captions, CLIP-C",
    ):
        assert part in text
    fewer = " ".join(plan_sentences({**plan, "pairs": 20, "epochs": 50.0, "left_out": []}, words("en")))
    assert "20 of 40 training pairs are used" in fewer
    assert "undertrained" not in fewer


def test_differences_are_paired(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    metrics = {arm["name"]: [trial["metrics"] for trial in arm["results"][0]["trials"]] for arm in tables["arms"]}
    for row in tables["comparisons"]:
        pairs = zip(metrics[row["arm"]], metrics[row["against"]], strict=True)
        per_seed = [a[row["metric"]] - b[row["metric"]] for a, b in pairs]
        assert row["per_seed"] == per_seed
        assert row["difference"] == pytest.approx(sum(per_seed) / 3)
        assert all(end is None or math.isfinite(end) for end in row["interval"])


def test_asked_again_nothing_is_run_again(
    options: PilotOptions, done: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tables = done
    assert len(list((folder / "records").glob("*.json"))) == 6 + 6
    stamps = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    monkeypatch.setattr(experiment, "_settle", lambda *_: SETTLED)
    again = run_pilot(options, folder)
    assert again["arms"] == tables["arms"]
    assert again["comparisons"] == tables["comparisons"]
    changed = {file.name for file, stamp in stamps.items() if file.stat().st_mtime_ns != stamp}
    assert changed <= {"spent.json", "study.parquet"}


def test_an_arm_more_is_a_line_of_the_study(
    options: PilotOptions, done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its own trials are run, since the others are there."""

    def with_another(name: str, words: Sequence[str]) -> Study:
        return read_study(name, [*words, "arms.often={policy.rho: 0.9, what: Nearly all are composites.}"])

    monkeypatch.setattr(design, "read_study", with_another)
    monkeypatch.setattr(probe, "STRENGTHS", (0.1,))
    monkeypatch.setattr(experiment, "_settle", lambda *_: {**SETTLED, "arms": [*ARMS, "often"]})
    folder = tmp_path / "pilot"
    shutil.copytree(done[0], folder)
    with in_process():
        stages = ("preview", "experiment")
        tables = run_pilot(replace(options, pictures=False, stages=stages), folder)
    assert len(list((folder / "records").glob("*.json"))) == 6 + 6 + 3
    assert list(tables["verdict"]["arms"]) == ["clip-c-guarded", "often"]
    assert [arm["arm"] for arm in tables["composing_cost"]["arms"]] == ["clip-c-guarded", "often"]
    assert [arm["policy"]["rho"] for arm in tables["composites"]] == [0.3, 0.9]
    assert "one-share" not in str(tables["not_shown"])
    page = render_pilot(tables)
    assert "Nearly all are composites." in page
    assert "Arms by verdict" in page


def test_every_stage_says_what_came_out(done: tuple[Path, dict[str, Any]]) -> None:
    folder, tables = done
    assert [row["name"] for row in tables["stages"]] == ["doctor", "preview", "bias", "experiment", "curve"]
    for row in tables["stages"]:
        for lang in ("en", "ja"):
            assert stage_sentence(row["name"], row, words(lang)) != row["code"]
        assert (folder / "stages" / f"{row['name']}.json").is_file()
    assert tables["meaning"]["composites"] > 0
    assert tables["bias_gate"]["amplified"] <= tables["bias_gate"]["tested"]


def test_the_curve_draws_subsets_of_its_own_for_each_seed(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    (line, other) = next(iter(tables["curves"]))["lines"]
    assert [point["x"] for point in line["points"]] == [20, 40]
    assert [(line["name"], other["name"]), [point["n"] for point in other["points"]]] == [tuple(ARMS), [3, 3]]
    assert {curve["metric"] for curve in tables["curves"]} == {m["key"] for m in tables["metrics"] if m["main"]}


def test_the_verdict_rests_on_the_trials_and_figures_come_later(
    options: PilotOptions, done: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tables = done
    before = tables["worth"]
    assert before["metric"]["key"] == "zero_shot/label/top1"
    assert (before["baseline"], before["arm"], before["candidates"]) == ("clip", "clip-c-guarded", 1)
    assert before["equivalence"]["sizes"] == sorted({point["x"] for point in tables["curves"][0]["lines"][0]["points"]})
    assert before["roi"] is None
    assert "figures" in before["composition"]["missing"]
    records = {file: file.stat().st_mtime_ns for file in (folder / "records").glob("*.json")}
    figures = RoiFigures.model_validate({"pair": 400, "expert": {"hour": 9000, "rules": 1}})
    monkeypatch.setattr(experiment, "_settle", lambda *_: SETTLED)
    after = run_pilot(replace(options, figures=figures), folder)
    assert after["worth"]["roi"]["cost"] == 9000
    assert after["worth"]["equivalence"] == before["equivalence"]
    assert {file: file.stat().st_mtime_ns for file in (folder / "records").glob("*.json")} == records
    text = render_pilot(after, lang="ja", redact=True)
    assert "採用" in text
    assert "data:image" not in text


def test_a_stage_alone_is_run_again_and_the_others_are_read(
    options: PilotOptions, done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pilot"
    shutil.copytree(done[0], folder)
    ran: list[str] = []

    def counted(name: str) -> Any:
        def run(context: Any, results: Any) -> StageResult:
            ran.append(name)
            return STAGES[name](context, results)

        return run

    monkeypatch.setattr(module, "STAGES", {name: counted(name) for name in STAGES})
    tables = run_pilot(options, folder, stage="preview")
    assert ran == ["preview"]
    assert tables["arms"] == done[1]["arms"]
    with pytest.raises(UserError, match="did you mean 'preview'"):
        run_pilot(options, folder, stage="previw")


def test_a_pilot_stops_where_going_on_makes_no_sense(
    options: PilotOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> StageResult:
        return StageResult(False, "stop", {"reason": "the doctor found leaks"})

    monkeypatch.setattr(module, "STAGES", {**STAGES, "doctor": refuse})
    with pytest.raises(UserError, match=r"stops after the stage doctor: the doctor found leaks.*--go-on"):
        run_pilot(replace(options, go_on=False), tmp_path)
    tables = run_pilot(replace(options, stages=("doctor", "preview")), tmp_path)
    assert [row["go_on"] for row in tables["stages"]] == [False, True]


class TestRollout:
    def test_a_step_takes_the_next_share_with_the_winner_and_the_rules(
        self, options: PilotOptions, done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "pilot"
        shutil.copytree(done[0], folder)
        asked: list[PilotOptions] = []
        outcome = {"meaning": {}, "bias_gate": {}, "verdict": {"arms": {"clip-c-guarded": "none"}}}

        def run(options: PilotOptions, *_: Any, **__: Any) -> dict[str, Any]:
            asked.append(options)
            return outcome

        monkeypatch.setattr(rollout, "run_pilot", run)
        monkeypatch.setattr(rollout, "LEAST_STEP_PAIRS", 10)
        catalog = options.data.open()
        step = rollout.next_step(options, folder, catalog=catalog, approved_by="expert")["steps"][-1]
        assert (step["share"], step["pairs"], step["passed"], step["approved_by"]) == (0.3, 12, True, "expert")
        assert (asked[0].arms, asked[0].data.pairs) == (("clip", "clip-c-guarded"), 12)
        other = replace(options, overrides=(*options.overrides, "policy.rules=factory"))
        with pytest.raises(UserError, match="the rules are not those that the pilot ran under"):
            rollout.next_step(other, folder, catalog=catalog, approved_by="expert")
        outcome["bias_gate"] = {"amplified": 2}
        assert rollout.next_step(options, folder, catalog=catalog, approved_by="x")["steps"][-1]["code"] == "bias"
        with pytest.raises(UserError, match="the step of 100% failed"):
            rollout.next_step(options, folder, catalog=catalog, approved_by="x")
        with pytest.raises(UserError, match="there is no finished pilot"):
            rollout.next_step(options, tmp_path / "other", catalog=catalog, approved_by="x")

    @pytest.mark.parametrize(
        ("verdict", "passed"), [("gain", True), ("none", True), ("loss", False), ("mixed", False), ("waiting", False)]
    )
    def test_no_evidence_is_no_failure_and_a_loss_is(self, verdict: str, passed: bool) -> None:
        assert rollout.judged({"verdict": {"arms": {"a": verdict}}}, "a")["passed"] is passed


class Measured:
    """Stands for the measurement of the pace: counts how often it is asked for."""

    def __init__(self, pace: Pace) -> None:
        self.pace, self.count = pace, 0

    def __call__(self, *_: Any) -> Pace:
        self.count += 1
        return self.pace


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Trials of 96 samples take two seconds; no trial runs."""

    def run_study(*_: Any, **__: Any) -> None:
        raise InterruptedError

    measured = Measured(Pace(pairs_per_second=96, validation_seconds=0, fixed_seconds=1))
    monkeypatch.setattr(stage, "run_study", run_study)
    monkeypatch.setattr(experiment, "measure_trials", measured)
    monkeypatch.setattr(experiment, "measure_features", lambda *_: FeaturePace())
    return measured


def plan_of(options: PilotOptions, folder: Path) -> dict[str, Any]:
    plans: list[Any] = []
    with pytest.raises(InterruptedError), in_process():
        run_pilot(options, folder, announce=lambda name, facts: plans.append(facts) if name == "plan" else None)
    return plans[0]


def test_the_scope_is_settled_once(options: PilotOptions, tmp_path: Path, measured: Measured) -> None:
    """Measured at the first call, kept for those after it, and measured anew where something else is asked."""
    short = replace(options, minutes=1.5)
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
    options: PilotOptions, tmp_path: Path, measured: Measured
) -> None:
    # Less than the 16 seconds of five arms and 3 seeds, once 15 seconds for the page are set aside.
    plan = plan_of(replace(options, minutes=32 / 60), tmp_path)
    assert plan["left_out"]
    assert set(plan["left_out"]) <= {"self-halves", "wrong-caption"}
    assert plan["seeds"] >= 3
    with pytest.raises(UserError, match=r"too short for a pilot: it needs --minutes 1 for 3 seeds of 3 arms on 40"):
        run_pilot(replace(options, minutes=0.3), tmp_path)


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        (Policy(), "random-partners"),
        (Policy(partner="nearest"), "one-way-of-partners"),
        (Policy(group="label"), "one-way-of-partners"),
        (Policy(group="auto"), "one-way-of-partners"),
        (Policy.model_validate({"rules": "factory"}), "one-way-of-partners"),
    ],
)
def test_a_report_does_not_call_chosen_partners_random(policy: Policy, code: str, tiny_catalog: Catalog) -> None:
    assert partners_limit([policy], tiny_catalog) == code
    for lang in ("en", "ja"):
        assert any(key.endswith(f".{code}") for key in words(lang).table)
