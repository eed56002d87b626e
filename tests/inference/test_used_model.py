"""The model that a name means."""

from pathlib import Path
from typing import Any

import pytest

from clipc.errors import UserError
from clipc.files import write_json
from clipc.inference.used_model import UsedModel
from clipc.recipe.run import Run


def pilot(folder: Path, run: Path, verdict: str) -> None:
    """A finished pilot whose trials of both arms are copies of one run, the second seed better on validation."""
    import shutil

    for number, name in enumerate(("clip-0", "clip-1", "clipc-0", "clipc-1")):
        shutil.copytree(run, folder / "trials" / name)
        trial = Run(folder / "trials" / name)
        trial.write_json("finished.json", {**(trial.finished or {}), "best": {"mean_recall": number % 2}})

    def arm(name: str) -> dict[str, Any]:
        trials = [{"seed": seed, "runs": [f"{name}-{seed}"]} for seed in (0, 1)]
        return {"name": name, "results": [{"size": 40, "trials": trials}]}

    tables = {"baseline": "clip", "verdict": {"arms": {"clipc": verdict}}, "arms": [arm("clip"), arm("clipc")]}
    result = {"go_on": True, "code": "gain", "values": {"winner": "clipc"}, "tables": tables, "minutes": 1.0}
    write_json(folder / "stages" / "experiment.json", {"asked": {}, "result": result})


@pytest.mark.parametrize(
    ("verdict", "arm"), [("gain", "clipc"), ("shared", "clipc"), ("none", "clip"), ("loss", "clip")]
)
def test_a_pilot_is_plain_clip_unless_an_arm_gained(tiny_run: Path, tmp_path: Path, verdict: str, arm: str) -> None:
    pilot(tmp_path, tiny_run, verdict)
    used = UsedModel.open(str(tmp_path))
    assert used.arm == arm
    assert used.run is not None
    assert used.run.folder.name == f"{arm}-1"


def test_an_unfinished_pilot_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    with pytest.raises(UserError, match="has compared no arms yet"):
        UsedModel.open(str(tmp_path))


def test_a_pilot_without_its_trials_is_a_sentence(tiny_run: Path, tmp_path: Path) -> None:
    import shutil

    pilot(tmp_path, tiny_run, "gain")
    shutil.rmtree(tmp_path / "trials")
    with pytest.raises(UserError, match="no model of clipc is in"):
        UsedModel.open(str(tmp_path))


def test_a_run_and_its_model_folder_are_one_model(tiny_run: Path) -> None:
    run, model = UsedModel.open(str(tiny_run)), UsedModel.open(f"local-dir:{tiny_run / 'model'}")
    assert run.fingerprint == model.fingerprint
    assert run.run is not None
    assert model.run is not None
    assert run.run.folder.resolve() == model.run.folder.resolve()
    assert run.arm is None


def test_no_model_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model"):
        UsedModel.open(str(tmp_path))
