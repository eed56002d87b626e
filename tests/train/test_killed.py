"""A run that is killed without warning, again and again, ends where one that never was ends."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.recipe.recipe import Recipe, make_recipe
from clipc.recipe.run import Run
from clipc.train.checkpoint import checkpoint_steps, load_checkpoint
from clipc.train.train import train

KILLS = 50


@pytest.fixture
def recipe(tiny_model: str, tiny_source: Path) -> Recipe:
    """Short steps, so that validation, checkpoints and the ending fill most of the time."""
    return make_recipe(
        {
            "data": {"source": str(tiny_source)},
            "model": tiny_model,
            "batch_size": 8,
            "samples": 800,
            "threads": 1,
            "precision": "fp32",
            "device": "cpu",
            "validations": 25,
            "selection": "best",
            "checkpoint_seconds": 0.05,
            "policy": {"rho": 0.4},
        }
    )


def run_once(recipe: Recipe, folder: Path, catalog: Catalog) -> None:
    torch.set_num_threads(1)
    train(recipe, folder, catalog=catalog)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "open_clip_model.safetensors")


def complete(run: Run) -> None:
    """Whatever lies in a killed run under a final name is whole."""
    for step in checkpoint_steps(run.checkpoints):
        place = run.checkpoints / f"step-{step}"
        assert json.loads((place / "progress.json").read_text("utf-8"))["step"] == step
        assert load_file(place / "model.safetensors")
        assert torch.load(place / "optimizer.pt", weights_only=True)["state"]
    for model in (run.model, run.last_model):
        if model.exists():
            assert weights(model)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_fifty_kills_change_no_bit(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    # Forked from a process that has imported everything: a start takes no time, so that kills fall into the work.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["clipc.train.loop", __name__])

    def started(folder: Path) -> multiprocessing.process.BaseProcess:
        process = processes.Process(target=run_once, args=(recipe, folder, tiny_catalog))
        process.start()
        return process

    started(tmp_path / "warm").join()
    began = time.monotonic()
    never = started(tmp_path / "never")
    never.join()
    whole = time.monotonic() - began
    assert never.exitcode == 0

    chance, kills, halfway, runs = random.Random(0), 0, 0, 0
    while kills < KILLS:
        run = Run(tmp_path / f"killed-{runs}")
        runs += 1
        while run.finished is None:
            process = started(run.folder)
            process.join(chance.uniform(0.05, 0.7) * whole)
            if process.exitcode is None:
                os.kill(process.pid or 0, signal.SIGKILL)
                kills += 1
                process.join()
                halfway += any(run.folder.rglob("*.partial")) if run.folder.exists() else 0
                complete(run)
            else:
                assert process.exitcode == 0
        for model in ("model", "model-last"):
            expected, found = weights(tmp_path / "never" / model), weights(run.folder / model)
            assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
        assert run.finished["best"] == Run(tmp_path / "never").finished["best"]  # pyright: ignore
    print(f"{kills} kills in {runs} runs, {halfway} of them in the middle of writing")


@pytest.mark.soak
def test_a_full_disk_leaves_the_last_good_checkpoint(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", small]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("a disk of a given size needs the right to mount one")
    try:
        run, filler = Run(small / "run"), small / "filler"
        often = recipe.model_copy(update={"checkpoint_seconds": 0.001, "validations": 0})
        seen = 0

        def fill(what: str, done: int, total: int) -> None:
            nonlocal seen
            if what == "training" and done >= 400 and not filler.exists():
                seen = max(checkpoint_steps(run.checkpoints))
                filler.write_bytes(bytes(max(0, shutil.disk_usage(small).free - (1 << 19))))

        with pytest.raises(UserError, match="could not be written"):
            train(often, run.folder, catalog=tiny_catalog, progress=fill)
        state = load_checkpoint(run.checkpoints)
        assert state is not None
        assert state.step >= seen > 0
        complete(run)
        filler.unlink()
        train(often, run.folder, catalog=tiny_catalog)
        never = train(often, tmp_path / "never", catalog=tiny_catalog)
        expected, found = weights(never.last_model), weights(run.last_model)
        assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    finally:
        # Lazily: tensors that were loaded from there are still mapped.
        subprocess.run(["umount", "--lazy", small], check=True)
