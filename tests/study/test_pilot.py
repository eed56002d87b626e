import json
import math
from pathlib import Path
from typing import Any

import pytest

from clipc.errors import UserError
from clipc.recipe.recipe import Data, make_recipe
from clipc.report.pilot import render_pilot
from clipc.report.words import not_shown_codes
from clipc.study import pilot as module
from clipc.study.options import ARMS, PilotOptions
from clipc.study.pilot import arm_recipe, pilot


@pytest.fixture(scope="module")
def options(tiny_source: Path, tiny_model: str) -> PilotOptions:
    overrides = (f"model={tiny_model}", "validations=2", "precision=fp32")
    return PilotOptions(data=Data(source=str(tiny_source)), jobs=2, overrides=overrides)


@pytest.fixture(scope="module")
def done(options: PilotOptions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A whole pilot on the tiny set; its length is set, so that no time goes into measuring the pace."""
    folder = tmp_path_factory.mktemp("pilot")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_settled", lambda *_: (160, "worker"))
        return folder, pilot(options, folder)


def test_all_arms_on_the_same_pairs_seeds_and_samples(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    assert [arm["name"] for arm in tables["arms"]] == list(ARMS)
    for arm in tables["arms"]:
        assert [trial["seed"] for trial in arm["trials"]] == [0, 1, 2]
        assert arm["composite_share"] == (0 if arm["name"] == "clip" else pytest.approx(0.3, abs=0.1))
    shares = {arm["name"]: arm["composite_share"] for arm in tables["arms"]}
    assert shares["augment"] == shares["clip-c"]


def test_tables_are_json_and_make_a_report(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    again = json.loads(json.dumps(tables, allow_nan=False))
    for lang in ("en", "ja"):
        page = render_pilot(again, lang=lang)
        assert "CLIP-C" in page
    codes = {code if isinstance(code, str) else code["code"] for code in tables["not_shown"]}
    assert codes <= set(not_shown_codes())
    assert {"small-test-set", "few-seeds", "from-scratch"} <= codes
    assert len(tables["samples"]) == 8


def test_differences_are_paired(done: tuple[Path, dict[str, Any]]) -> None:
    _, tables = done
    metrics = {arm["name"]: [trial["metrics"] for trial in arm["trials"]] for arm in tables["arms"]}
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
    stamps = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    monkeypatch.setattr(module, "_settled", lambda *_: (160, "worker"))
    again = pilot(options, folder)
    assert again["arms"] == tables["arms"]
    assert again["comparisons"] == tables["comparisons"]
    changed = {file.name for file, stamp in stamps.items() if file.stat().st_mtime_ns != stamp}
    assert changed <= {"spent.json"}


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"seeds": 2}, "at least 3 seeds"),
        ({"overrides": ("policy.rho=0",)}, "policy.rho is 0"),
        ({"overrides": ("seed=3",)}, "'seed=3' cannot be set for a pilot"),
        ({"overrides": ("batch_sise=3",)}, "did you mean 'batch_size'"),
    ],
)
def test_wrong_options(options: PilotOptions, tmp_path: Path, changes: dict[str, Any], hint: str) -> None:
    from dataclasses import replace

    with pytest.raises(UserError, match=hint):
        pilot(replace(options, **changes), tmp_path)


def test_arms_differ_in_what_is_done_to_treated_examples_alone() -> None:
    base = make_recipe({"samples": 10, "policy": {"rho": 0.2}})
    clip, augment, composed = (arm_recipe(base, arm, 1) for arm in ARMS)
    assert clip.policy.rho == 0
    assert augment.policy.rho == composed.policy.rho == 0.2
    assert (augment.policy.treatment, composed.policy.treatment) == ("augment", "compose")
    plain = {"policy": base.policy}
    assert clip.model_copy(update=plain) == augment.model_copy(update=plain) == composed.model_copy(update=plain)
