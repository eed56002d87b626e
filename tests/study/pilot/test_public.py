"""A public model beside the arms: measured untouched, once, and part of the model's verdict."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipc.catalog.catalog import Catalog
from clipc.evaluate.evaluation import evaluate
from clipc.models.model import ClipModel
from clipc.report.pilot import render_pilot
from clipc.report.words import words
from clipc.study.pilot import experiment
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pilot import run_pilot

from .tiny_pilot import ARMS, SETTLED

Done = tuple[Path, dict[str, Any]]


@pytest.fixture
def again(done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished pilot, in which nothing is trained again."""
    monkeypatch.setattr(experiment, "_settle", lambda *_: SETTLED)
    return Path(shutil.copytree(done[0], tmp_path / "pilot"))


def test_a_public_model_stands_beside_the_arms_and_counts_in_the_verdict(
    pilot_options: PilotOptions, done: Done, again: Path, tiny_model: str, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    model = ClipModel.create(tiny_model).eval()
    model.save(tmp_path / "public")
    expected = evaluate(model, tiny_catalog, templates="general", probe=False).metrics
    tables = run_pilot(replace(pilot_options, public=f"local-dir:{tmp_path / 'public'}"), again)
    assert tables["comparisons"] == done[1]["comparisons"]
    main = [m["key"] for m in tables["metrics"] if m["main"]]
    assert {row["metric"]: row["mean"] for row in tables["untrained"]} == pytest.approx({m: expected[m] for m in main})
    assert all(row["low"] <= row["mean"] <= row["high"] for row in tables["untrained"])
    assert all([arm["arm"] for arm in row["arms"]] == ARMS for row in tables["untrained"])
    (row,) = tables["worth"]["alternatives"]
    assert (row["name"], row["against"]) == ("public-model", pytest.approx(expected["zero_shot/label/top1"]))
    for lang in ("en", "ja"):
        page = render_pilot(tables, lang=lang)
        assert words(lang)("pilot.untrained.public_name") in page
        assert "public" not in render_pilot(tables, lang="ja", redact=True)


def test_a_public_model_is_measured_once(
    pilot_options: PilotOptions, again: Path, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ClipModel.create(tiny_model).save(tmp_path / "public")
    options = replace(pilot_options, public=str(tmp_path / "public"))
    first = run_pilot(options, again)
    monkeypatch.setattr(ClipModel, "load", None)
    assert run_pilot(options, again)["untrained"] == first["untrained"]


def test_a_pilot_goes_on_without_a_public_model_that_cannot_be_reached(
    pilot_options: PilotOptions, again: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"local-dir:{tmp_path / 'nothing'}"
    with caplog.at_level(logging.WARNING, "clipc"):
        tables = run_pilot(replace(pilot_options, public=name), again)
    (line,) = [record.getMessage() for record in caplog.records if "public" in record.getMessage()]
    assert line.startswith(f"the pilot goes on without the public model {name}: ")
    assert "no-public-model" in tables["not_shown"]
    assert tables["worth"]["model"]["reasons"] == ["no-alternative"]
    for lang in ("en", "ja"):
        assert words(lang)("not_shown.no-public-model") in render_pilot(tables, lang=lang)
