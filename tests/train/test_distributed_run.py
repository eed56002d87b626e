"""A whole run by several processes: the curve of one, also when a process dies on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clipc.catalog.catalog import Catalog
from clipc.recipe.recipe import Recipe, make_recipe, write_recipe
from clipc.recipe.run import Run
from clipc.train.checkpoint import checkpoint_steps
from clipc.train.train import train

SECONDS = 200


@pytest.fixture
def recipe(tiny_model: str, tiny_source: Path) -> Recipe:
    return make_recipe(
        {
            "data": {"source": str(tiny_source)},
            "model": tiny_model,
            "batch_size": 8,
            "samples": 8 * 250,
            "threads": 1,
            "precision": "fp32",
            "device": "cpu",
            "validations": 2,
            "checkpoint_seconds": 0.3,
            "policy": {"rho": 0.4},
        }
    )


def losses(run: Run) -> dict[int, float]:
    return {record["step"]: record["loss"] for record in run.metrics() if "loss" in record}


def children(process: subprocess.Popen[str]) -> list[int]:
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in found.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the processes of a job in /proc")
@pytest.mark.soak
def test_a_job_that_loses_a_process_starts_again_and_has_the_curve_of_one(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    alone = train(recipe, tmp_path / "alone", catalog=tiny_catalog)
    write_recipe(recipe, tmp_path / "recipe.yaml")
    run = Run(tmp_path / "many")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["--max-restarts", "1", "-m", "clipc", "train", str(tmp_path / "recipe.yaml"), "--out", str(run.folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*launcher, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as job:
        end = time.monotonic() + SECONDS
        while not checkpoint_steps(run.checkpoints) and job.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(children(job)[-1], signal.SIGKILL)
        told = job.communicate(timeout=SECONDS)[1]
    assert job.returncode == 0, told
    assert "another process of this job ended" in told or "restart" in told.lower()
    expected, found = losses(alone), losses(run)
    assert expected.keys() == found.keys()
    assert all(found[step] == pytest.approx(loss, abs=2e-4) for step, loss in expected.items())
    ours, theirs = run.finished, alone.finished
    assert ours is not None
    assert theirs is not None
    assert {name: ours[name] for name in ("treated", "shortened")} == {
        name: theirs[name] for name in ("treated", "shortened")
    }
    assert json.loads((run.folder / "environment.json").read_text("utf-8"))["processes"] == 2
