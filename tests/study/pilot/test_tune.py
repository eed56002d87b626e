"""Tuning before the experiment: as many tries for each arm, and what was found holds for all later stages."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipc.evaluate import probe
from clipc.recipe.recipe import read_recipe
from clipc.report.pilot import render_pilot
from clipc.report.words import words
from clipc.study.pilot import experiment
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pilot import make_context, plan_pilot, run_pilot
from clipc.study.pilot.stages.tune import ranges_of

from ..in_process import in_process
from .tiny_pilot import ARMS, SETTLED, Measured


@pytest.fixture(scope="module")
def tuned(pilot_options: PilotOptions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A pilot of two arms that are tuned with two tries each."""
    pytest.importorskip("optuna")
    folder = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as patch, in_process():
        patch.setattr(experiment, "_settle", lambda *_: SETTLED)
        patch.setattr(probe, "STRENGTHS", (0.1,))
        return folder, run_pilot(replace(pilot_options, tune=2, stages=("preview", "experiment")), folder)


def test_each_arm_gets_as_many_tries_and_keeps_the_best(tuned: tuple[Path, dict[str, Any]]) -> None:
    _, tables = tuned
    assert [row["name"] for row in tables["stages"]] == ["preview", "tune", "experiment"]
    assert [(row["arm"], row["tried"], row["wanted"]) for row in tables["search"]] == [(name, 2, 2) for name in ARMS]
    for row, arm in zip(tables["search"], tables["arms"], strict=True):
        assert row["settings"].items() <= arm["changes"].items()
        assert ("policy.rho" in row["settings"]) == (arm["name"] != "clip")
    assert "one-recipe" not in tables["not_shown"]
    for lang in ("en", "ja"):
        page = render_pilot(tables, lang=lang)
        assert words(lang)("study.search.title") in page
        assert words(lang)("pilot.stage.tune.tuned", tries=2, arms=2) in page


def test_what_was_tuned_holds_for_smaller_sizes_whose_batches_are_smaller(
    pilot_options: PilotOptions, tuned: tuple[Path, dict[str, Any]]
) -> None:
    folder, tables = tuned
    context = make_context(replace(pilot_options, tune=2, stages=("preview", "experiment")), folder)
    scope = experiment.experiment_scope(context)
    assert scope["settings"] == {row["arm"]: row["settings"] for row in tables["search"]}
    design, _ = experiment.scoped(context, {**scope, "pairs": 16, "settings": {"clip": {"batch_size": 8}}})
    assert design.recipes["clip"].batch_size == 4


def test_tries_take_the_time_of_seeds(pilot_options: PilotOptions, tmp_path: Path, measured: Measured) -> None:
    with in_process():
        plain = plan_pilot(replace(pilot_options, minutes=2), tmp_path / "plain")
        tuning = plan_pilot(replace(pilot_options, minutes=2, tune=4), tmp_path / "tuning")
    assert tuning["seeds"] < plain["seeds"]
    assert [row["name"] for row in tuning["stages"]][2:5] == ["bias", "tune", "experiment"]
    assert "4 settings" in " ".join(words("en")("pilot.plan.tries", n=tuning["tries"]).split())


def test_an_arm_without_composites_has_no_rate() -> None:
    assert set(ranges_of(read_recipe("nano", {"policy.rho": 0}))) == {"batch_size", "temperature"}
    assert set(ranges_of(read_recipe("nano", {"policy.rho": 0.5, "loss": "siglip"}))) == {
        *("batch_size", "policy.rho", "policy.until"),
    }
