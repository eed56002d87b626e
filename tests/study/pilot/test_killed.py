import json
import subprocess
import sys
from pathlib import Path

import pytest

from .killed_pilot import KILLS


@pytest.mark.soak
def test_a_pilot_killed_at_random_moments_ends_in_the_same_values(
    tiny_source: Path, cnn_folder: str, tmp_path: Path
) -> None:
    words = ["-m", "study.pilot.killed_pilot", str(tiny_source), cnn_folder, str(tmp_path)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert sum(result["killed"].values()) == KILLS
    assert result["different"] == []
