"""A whole tiny pilot, run once, and a pace that is given."""

from pathlib import Path
from typing import Any

import pytest

from clipc.evaluate import probe
from clipc.recipe.data import Data
from clipc.study.pilot import experiment
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pace import FeaturePace, Pace
from clipc.study.pilot.pilot import STAGES, run_pilot
from clipc.study.pilot.stages import curve
from clipc.study.pilot.stages import experiment as stage
from clipc.study.pilot.stages.stage import Context

from ..in_process import in_process
from .tiny_pilot import SETTLED, Measured


@pytest.fixture(scope="session")
def pilot_options(tiny_source: Path, tiny_model: str) -> PilotOptions:
    overrides = (f"model={tiny_model}", "samples=96", "batch_size=8", "validations=2", "precision=fp32")
    data, stages = Data(source=str(tiny_source)), tuple(name for name in STAGES if name != "confirm")
    return PilotOptions(data=data, jobs=2, recipe="nano", overrides=overrides, stages=stages, go_on=True)


@pytest.fixture(scope="session")
def done(pilot_options: PilotOptions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A whole pilot on the tiny set, of two of its arms; its scope is set, so that no pace is measured."""
    folder = tmp_path_factory.mktemp("pilot")
    with pytest.MonkeyPatch.context() as patch, in_process():
        patch.setattr(experiment, "_settle", lambda *_: SETTLED)
        patch.setattr(curve, "LEAST_CURVE_PAIRS", 20)
        patch.setattr(probe, "STRENGTHS", (0.1,))
        return folder, run_pilot(pilot_options, folder)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Trials of 96 samples take two seconds; no trial runs, and no time passes."""

    def run_study(*_: Any, **__: Any) -> None:
        raise InterruptedError

    measured = Measured(Pace(pairs_per_second=96, validation_seconds=0, fixed_seconds=1))
    monkeypatch.setattr(stage, "run_study", run_study)
    monkeypatch.setattr(Context, "seconds_left", property(lambda self: 60 * self.options.minutes))
    monkeypatch.setattr(experiment, "measure_trials", measured)
    monkeypatch.setattr(experiment, "measure_features", lambda *_: FeaturePace())
    monkeypatch.setattr(experiment, "share_of_cores", lambda: 1.0)
    return measured
