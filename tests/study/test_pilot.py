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
from clipc.report.words import words
from clipc.study import pilot as module
from clipc.study.design import Study, read_study
from clipc.study.pilot import PilotOptions, pilot_study, run_pilot
from clipc.study.pilot_tables import partners_limit
from clipc.study.recipes import arm_recipe

from .in_process import in_process

SETTLED = {"samples": 96, "batch_size": 8, "renderer": "worker"}


@pytest.fixture(scope="module")
def options(tiny_source: Path, tiny_model: str) -> PilotOptions:
    overrides = (f"model={tiny_model}", "validations=2", "precision=fp32")
    return PilotOptions(data=Data(source=str(tiny_source)), jobs=2, overrides=overrides)


@pytest.fixture(scope="module")
def done(options: PilotOptions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A whole pilot on the tiny set; its length is set, so that no time goes into measuring the pace."""
    folder = tmp_path_factory.mktemp("pilot")
    with pytest.MonkeyPatch.context() as patch, in_process():
        patch.setattr(module, "_shared_settings", lambda *_: SETTLED)
        patch.setattr(probe, "STRENGTHS", (0.1,))
        return folder, run_pilot(options, folder)


def test_all_arms_on_the_same_pairs_seeds_and_samples(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    assert (tables["baseline"], tables["controls"]) == ("clip", ["augment"])
    assert list(tables["verdict"]["arms"]) == ["clip-c"]
    shares: dict[str, tuple[float | None, float]] = {}
    for arm in tables["arms"]:
        (result,) = arm["results"]
        assert [trial["seed"] for trial in result["trials"]] == [0, 1, 2]
        shares[arm["name"]] = result["composite_share"], result["treated_share"]
    assert tables["settings"]["samples"] == 96
    assert shares["clip"] == (None, 0)
    assert shares["clip-c"][0] == shares["clip-c"][1] == pytest.approx(0.3, abs=0.15)
    assert shares["augment"] == (None, shares["clip-c"][1])  # treated alike, and no composite among them


def test_tables_are_json_and_make_a_report(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    again = json.loads(json.dumps(tables, allow_nan=False))
    for lang in ("en", "ja"):
        page = render_pilot(again, lang=lang)
        assert "CLIP-C" in page
    codes = {code if isinstance(code, str) else code["code"] for code in tables["not_shown"]}
    assert codes <= {key.removeprefix("not_shown.") for key in words("en").table if key.startswith("not_shown.")}
    assert {"small-test-set", "few-seeds", "from-scratch", "one-share", "short-training"} <= codes
    (composites,) = tables["composites"]
    assert composites["arm"] == "clip-c"
    assert len(composites["samples"]) == 8
    assert [(curve["arm"], curve["seed"]) for curve in tables["training"]] == [
        (arm, seed) for seed in range(3) for arm in ("clip", "augment", "clip-c")
    ]
    assert all(curve["loss"] and len(curve["validation"]) == 2 for curve in tables["training"])
    assert [arm["arm"] for arm in tables["composing_cost"]["arms"]] == ["clip-c"]


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
    assert len(list((folder / "records").glob("*.json"))) == 9
    stamps = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    monkeypatch.setattr(module, "_shared_settings", lambda *_: SETTLED)
    again = run_pilot(options, folder)
    assert again["arms"] == tables["arms"]
    assert again["comparisons"] == tables["comparisons"]
    changed = {file.name for file, stamp in stamps.items() if file.stat().st_mtime_ns != stamp}
    assert changed <= {"spent.json", "study.parquet"}


def test_the_budget_is_settled_once(options: PilotOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured at the first call, kept for those after it, and measured anew where something else is asked."""
    asked: list[dict[str, Any]] = []

    def run_study(study: Any, *_: Any, **__: Any) -> None:
        asked.append({name: study.set[name] for name in SETTLED})
        raise InterruptedError

    monkeypatch.setattr(module, "run_study", run_study)
    monkeypatch.setattr(module, "measure_pace", _pace)
    quick = replace(options, budget="quick", minutes=2.0)
    for pilot_options in (quick, quick, replace(quick, minutes=4.0)):
        with pytest.raises(InterruptedError), in_process():
            run_pilot(pilot_options, tmp_path)
    assert asked[0] == asked[1]
    assert asked[0]["batch_size"] == 8
    assert 80 < asked[0]["samples"] < asked[2]["samples"]
    with pytest.raises(UserError, match="fewer than ten batches"), in_process():
        run_pilot(replace(quick, minutes=0.2), tmp_path)


def _pace(*_: Any) -> Any:
    from clipc.study.budget import Pace

    return Pace(pairs_per_second=100, validation_seconds=0.1, fixed_seconds=1)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"seeds": 2}, "at least 3 seeds"),
        ({"overrides": ("policy.rho=0",)}, "nothing to compare"),
        ({"overrides": ("seed=3",)}, "'seed=3' cannot be set for a pilot"),
        ({"overrides": ("batch_sise=3",)}, "did you mean 'batch_size'"),
        ({"budget": "quik"}, "did you mean 'quick'"),
    ],
)
def test_wrong_options(options: PilotOptions, tmp_path: Path, changes: dict[str, Any], hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        run_pilot(replace(options, **changes), tmp_path)


def test_arms_differ_in_what_is_done_to_treated_examples_alone(options: PilotOptions) -> None:
    study = pilot_study(replace(options, overrides=(*options.overrides, "policy.rho=0.2")))
    clip, augment, composed = (arm_recipe(study, arm, 1, "all") for arm in study.expanded_arms)
    assert clip.policy.rho == 0
    assert augment.policy.rho == composed.policy.rho == 0.2
    assert (augment.policy.treatment, composed.policy.treatment) == ("augment", "compose")
    plain = {"policy": clip.policy}
    assert clip == augment.model_copy(update=plain) == composed.model_copy(update=plain)


def test_a_quick_pilot_leaves_out_the_controls_by_their_role(options: PilotOptions) -> None:
    full, quick = pilot_study(options), pilot_study(replace(options, budget="quick"))
    assert [arm.name for arm in quick.expanded_arms] == [full.baseline_name, *full.treatments]
    assert quick.controls == quick.shots == ()
    assert full.controls
    assert full.shots


def test_an_arm_more_is_a_line_of_the_study(
    options: PilotOptions, done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its own trials are run, since the others are there."""

    def with_another(name: str, words: Sequence[str]) -> Study:
        return read_study(name, [*words, "arms.often={policy.rho: 0.9, what: Nearly all are composites.}"])

    monkeypatch.setattr(module, "read_study", with_another)
    monkeypatch.setattr(probe, "STRENGTHS", (0.1,))
    monkeypatch.setattr(module, "_shared_settings", lambda *_: SETTLED)
    folder = tmp_path / "pilot"
    shutil.copytree(done[0], folder)
    with in_process():
        tables = run_pilot(replace(options, pictures=False), folder)
    assert len(list((folder / "records").glob("*.json"))) == 9 + 3
    assert list(tables["verdict"]["arms"]) == ["clip-c", "often"]
    assert [arm["arm"] for arm in tables["composing_cost"]["arms"]] == ["clip-c", "often"]
    assert [arm["policy"]["rho"] for arm in tables["composites"]] == [0.3, 0.9]
    assert "one-share" not in str(tables["not_shown"])
    page = render_pilot(tables)
    assert "Nearly all are composites." in page
    assert "Arms by verdict" in page


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
