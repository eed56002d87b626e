"""What docs/drop-in.md shows works, to the letter: also the parts that need packages of others."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from clipc.demo import demo

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "drop-in.md"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache, in which the small demo set is drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and a small demo set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLIPC_CACHE", str(cache))
    monkeypatch.setattr(demo, "COUNTS", {"train": 140, "val": 70, "test": 70})
    return tmp_path


def run(language: str, holds: str) -> dict[str, Any]:
    """Runs the one block of a language that holds a text; returns its names."""
    found = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    (block,) = [body for body in found if holds in body]
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(block, DOCUMENT.name, "exec"), names)
    return names


def test_open_clips_loss(here: Path) -> None:
    names = run("python", "open_clip.ClipLoss()")
    assert 0 < names["loss"].item() < 10
    assert all(parameter.grad is not None for parameter in names["model"].parameters())
    assert names["images"].shape == (64, 3, 64, 64)
    assert names["texts"].shape == (64, names["tokenizer"].context_length)


def test_the_masked_loss(here: Path) -> None:
    names = run("python", "StackDataset")
    same, sources = names["same"], names["pairs"].sources(names["rows"])
    assert same.shape == (64, 64)
    assert same.diagonal().all()
    second = torch.nonzero(sources[:, 1] >= 0).flatten().tolist()
    assert 5 < len(second) < 40
    for i in second:
        for j in range(64):
            if sources[i, 1] == sources[j, 0]:
                assert same[i, j]
                assert same[j, i]
    assert torch.isfinite(names["loss"])


def test_a_batch_of_somebody_elses_data(here: Path) -> None:
    names = run("python", "class MyPairs")
    batch, ids = names["batch"], names["ids"]
    assert names["step"] == 4
    assert torch.equal(batch.sources[:, 0], ids)
    assert 5 < batch.treated < 40
    plain = batch.sources[:, 1] < 0
    assert torch.equal(batch.images[plain], names["images"][plain])
    assert torch.isfinite(names["loss"])


def test_a_collate_function(here: Path) -> None:
    names = run("python", "collate_fn=composed")
    assert names["sources"].shape == names["texts"].shape == (8, 2)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_open_clips_own_program(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = pytest.importorskip("open_clip_train.main", exc_type=ImportError)
    import open_clip

    open_clip.add_model_config(str(Path(demo.__file__).parents[1] / "models" / "configs"))
    monkeypatch.setattr(program, "get_data", program.get_data)  # Put back afterwards.
    monkeypatch.setattr(program, "setup_logging", lambda *_: None)  # It changes every logger there is.
    options = "--train-data demo --model nano --batch-size 64 --epochs 2 --workers 0 --warmup 1 --precision fp32"
    monkeypatch.setattr(sys, "argv", ["train_composed.py", *f"{options} --device cpu --logs logs --name run".split()])
    names = run("py", "own_get_data")
    assert torch.load(here / "logs" / "run" / "checkpoints" / "epoch_2.pt")["epoch"] == 2
    assert names["program"].get_data is names["get_data"]


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_hugging_faces_trainer(here: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    names = run("py", "TrainerCallback")
    state, pairs = names["trainer"].state, names["pairs"]
    assert state.global_step == 6
    assert 0 < state.log_history[-1]["train_loss"] < 10
    last = pairs.sources(range(5))
    pairs.set_epoch(1)
    assert torch.equal(last, pairs.sources(range(5)))
