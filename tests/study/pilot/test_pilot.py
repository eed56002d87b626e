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
from clipc.study.pilot import design, experiment
from clipc.study.pilot import pilot as module
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pilot import STAGES, run_pilot
from clipc.study.pilot.stages import curve
from clipc.study.pilot.stages.stage import StageResult
from clipc.study.pilot.tables import partners_limit
from clipc.study.worth.figures import RoiFigures

from ..in_process import in_process
from .tiny_pilot import ARMS, SETTLED


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
    pilot_options: PilotOptions, done: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tables = done
    assert len(list((folder / "records").glob("*.json"))) == 6 + 6
    stamps = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    monkeypatch.setattr(experiment, "_settle", lambda *_: SETTLED)
    again = run_pilot(pilot_options, folder)
    assert again["arms"] == tables["arms"]
    assert again["comparisons"] == tables["comparisons"]
    changed = {file.name for file, stamp in stamps.items() if file.stat().st_mtime_ns != stamp}
    assert changed <= {"spent.json", "study.parquet"}


def test_an_arm_more_is_a_line_of_the_study(
    pilot_options: PilotOptions, done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        tables = run_pilot(replace(pilot_options, pictures=False, stages=stages), folder)
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
    pilot_options: PilotOptions, done: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
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
    after = run_pilot(replace(pilot_options, figures=figures), folder)
    assert after["worth"]["roi"]["cost"] == 9000
    assert after["worth"]["equivalence"] == before["equivalence"]
    assert {file: file.stat().st_mtime_ns for file in (folder / "records").glob("*.json")} == records
    text = render_pilot(after, lang="ja", redact=True)
    assert "採用" in text
    assert "data:image" not in text


def test_a_stage_alone_is_run_again_and_the_others_are_read(
    pilot_options: PilotOptions, done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    tables = run_pilot(pilot_options, folder, stage="preview")
    assert ran == ["preview"]
    assert tables["arms"] == done[1]["arms"]
    with pytest.raises(UserError, match="did you mean 'preview'"):
        run_pilot(pilot_options, folder, stage="previw")


def test_other_attributes_run_the_audit_alone_again(
    pilot_options: PilotOptions, done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pilot"
    shutil.copytree(done[0], folder)
    stamps = {file: file.stat().st_mtime_ns for file in (folder / "stages").iterdir()}
    monkeypatch.setattr(experiment, "_settle", lambda *_: SETTLED)
    tables = run_pilot(replace(pilot_options, attributes=("column:label",)), folder)
    assert [table["name"] for table in tables["bias"]["attributes"]] == ["label"]
    assert {file.name for file, stamp in stamps.items() if file.stat().st_mtime_ns != stamp} == {"bias.json"}
    assert tables["comparisons"] == done[1]["comparisons"]
    assert ("no-audit" in tables["not_shown"]) == (tables["bias_gate"]["tested"] == 0)


def test_a_pilot_stops_where_going_on_makes_no_sense(
    pilot_options: PilotOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> StageResult:
        return StageResult(False, "stop", {"reason": "the doctor found leaks"})

    monkeypatch.setattr(module, "STAGES", {**STAGES, "doctor": refuse})
    monkeypatch.setattr(experiment, "_settle", lambda *_: SETTLED)
    with pytest.raises(UserError, match=r"stops after the stage doctor: the doctor found leaks.*--go-on"):
        run_pilot(replace(pilot_options, go_on=False), tmp_path)
    tables = run_pilot(replace(pilot_options, stages=("doctor", "preview")), tmp_path)
    assert [row["go_on"] for row in tables["stages"]] == [False, True]


@pytest.mark.soak
def test_a_pilot_on_kept_features_is_confirmed_with_pixels(
    cnn_folder: str, tiny_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stages, with the pace measured: few arms and seeds, and features that are computed once."""
    monkeypatch.setattr(curve, "LEAST_CURVE_PAIRS", 20)
    overrides = (f"model={cnn_folder}", "renderer=features", "tune.image=1", "tune.text=1", "precision=fp32")
    options = PilotOptions(
        data=Data(source=str(tiny_source), cache=tmp_path / "cache"),
        recipe="nano",
        overrides=(*overrides, "samples=64", "batch_size=8", "device=cpu"),
        arms=("clip", "clip-c-guarded"),
        seeds=3,
        jobs=1,
        minutes=30,
        go_on=True,
    )
    with in_process():
        tables = run_pilot(options, tmp_path / "pilot")
    assert [row["name"] for row in tables["stages"]] == [name for name in STAGES if name != "tune"]
    assert {row["arm"] for row in tables["confirmation"]} == {"clip", "clip-c-guarded"}
    assert all(0 <= row[kind] <= 1 for row in tables["confirmation"] for kind in ("features", "pixels"))
    (row,) = tables["untrained"]
    assert [entry["arm"] for entry in row["arms"]] == ["clip", "clip-c-guarded"]
    for lang in ("en", "ja"):
        assert words(lang)("pilot.confirmation.title") in render_pilot(tables, lang=lang)


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        (Policy(), "random-partners"),
        (Policy(partner="nearest"), "partners-tried"),
        (Policy(group="label"), "partners-tried"),
        (Policy(group="auto"), "partners-tried"),
        (Policy.model_validate({"rules": "factory"}), "partners-tried"),
    ],
)
def test_a_report_does_not_call_chosen_partners_random(policy: Policy, code: str, tiny_catalog: Catalog) -> None:
    assert partners_limit([policy], tiny_catalog) == code
    for lang in ("en", "ja"):
        assert any(key.endswith(f".{code}") for key in words(lang).table)
