import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clipc.errors import UserError
from clipc.progress import Progress
from clipc.study.pool import Pool
from clipc.train.checkpoint import checkpoint_steps

PILOT = """
import sys
from pathlib import Path
from clipc.study.pilot import experiment
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pilot import run_pilot
from clipc.train.interrupt import Interrupted
from clipc.recipe.data import Data

if __name__ == "__main__":
    source, model, folder = sys.argv[1:]
    settled = {"pairs": 40, "arms": ["clip", "clip-c"], "seeds": 3, "renderer": "worker", "minutes": 1.0}
    experiment._settle = lambda *_: {**settled, "feature_minutes": 0.0, "pace": {}}
    overrides = (f"model={model}", "samples=960", "batch_size=8", "validations=2", "precision=fp32")
    overrides = (*overrides, "checkpoint_seconds=0.5")
    options = PilotOptions(data=Data(source=source), jobs=2, recipe="nano", overrides=overrides, pictures=False,
                           stages=("experiment",))
    try:
        tables = run_pilot(options, Path(folder))
    except Interrupted as stopped:
        print(stopped)
        sys.exit(130)
    print(len(tables["arms"]), "arms")
"""


@pytest.mark.soak
def test_a_stopped_pilot_goes_on(tiny_source: Path, tiny_model: str, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(PILOT)
    words = [sys.executable, str(script), str(tiny_source), tiny_model, str(tmp_path / "out")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    trials = tmp_path / "out" / "trials"
    while process.poll() is None and not any(checkpoint_steps(t / "checkpoints") for t in trials.glob("*")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)  # As schedulers do: to every process of it.
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in out
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 arms" in done.stdout
    assert len(list(trials.glob("*/eval/test.json"))) == 6


@pytest.mark.soak
def test_a_pilot_that_is_killed_again_and_again_ends_in_the_same_values(
    tiny_source: Path, tiny_model: str, tmp_path: Path
) -> None:
    script = tmp_path / "run.py"
    script.write_text(PILOT)

    def words(folder: str) -> list[str]:
        return [sys.executable, str(script), str(tiny_source), tiny_model, str(tmp_path / folder)]

    subprocess.run(words("whole"), check=True, capture_output=True)
    generator = random.Random(0)
    for _ in range(20):
        process = subprocess.Popen(words("killed"), stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(generator.uniform(0.5, 20))
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    subprocess.run(words("killed"), check=True, capture_output=True)

    def metrics(folder: str) -> dict[str, Any]:
        files = (tmp_path / folder / "records").glob("*.json")
        return {file.name: json.loads(file.read_text("utf-8"))["metrics"] for file in files}

    assert len(metrics("whole")) == 6
    assert metrics("killed") == metrics("whole")


def double(number: int, progress: Progress) -> int:
    if number < 0:
        raise UserError("a negative number.")
    if number == 99:
        os._exit(1)
    progress("counting", number, 10)
    return 2 * number


def test_pool_keeps_order_tells_progress_and_passes_errors_on() -> None:
    pool = Pool(1, 1)
    try:
        told: list[tuple[str, int, int]] = []
        assert pool.map(double, [(3,), (4,)], lambda *message: told.append(message)) == [6, 8]
        assert told == [("0", 3, 10), ("1", 4, 10)]
        with pytest.raises(UserError, match="a negative number"):
            pool.map(double, [(-1,)], lambda *_: None)
    finally:
        pool.close()


def test_whoever_is_told_may_fail() -> None:
    def told(*_: object) -> None:
        raise UserError("a record cannot be read.")

    pool = Pool(1, 1)
    try:
        with pytest.raises(UserError, match="a record cannot be read"):
            pool.map(double, [(number,) for number in range(5)], told)
    finally:
        pool.close()


def test_a_worker_that_dies_is_told() -> None:
    pool = Pool(1, 1)
    try:
        with pytest.raises(UserError, match="a worker process died"):
            pool.map(double, [(99,)], lambda *_: None)
    finally:
        pool.close()
