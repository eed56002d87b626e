"""Benchmarks run, on little data."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak  # A benchmark measures for a while, even on little data.

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def quick(name: str, *arguments: str) -> str:
    command = [sys.executable, str(FOLDER / name), "--quick", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_plan() -> None:
    told = quick("plan.py")
    assert re.search(r"^ +1,000 .* GB \(", told, re.MULTILINE)
    assert "index a tar of 100 JPEGs" in told
    assert re.search(r"^six rules ", told, re.MULTILINE)


@pytest.mark.peer
def test_step_has_the_peers_losses(tiny_source: Path) -> None:
    told = quick("step.py", "--source", str(tiny_source))
    losses = re.findall(r"^(?:clipc|open_clip_train) .*?((?: \d+\.\d{6})+)$", told, re.MULTILINE)
    ours, theirs = ([float(loss) for loss in line.split()] for line in losses)
    assert len(ours) == 3
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert re.search(r"^ratio \d", told, re.MULTILINE)


@pytest.mark.peer
def test_loader() -> None:
    assert "open_clip" in quick("loader.py")


def test_ahead(tiny_source: Path) -> None:
    assert "2 threads" in quick("ahead.py", "--source", str(tiny_source), "--size", "32", "--counts", "2")


def test_composing(tiny_source: Path) -> None:
    assert re.search(r"composing 30% of the examples costs [+-]\d", quick("composing.py", "--source", str(tiny_source)))


def test_tuning() -> None:
    assert "lora" in quick("tuning.py")


@pytest.mark.peer
def test_search_is_exact() -> None:
    assert "equal to FAISS flat 1.0000" in quick("search.py")
