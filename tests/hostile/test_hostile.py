"""Damaged, oversized and hostile inputs: each ends in a result or one sentence, in time, memory and silence.

What is found becomes a generator, or a case of one. ``PYTHONPATH=src pytest tests/hostile -m soak`` tries a thousand
cases and every kind in full; a failure names the kind and the two numbers by which :func:`judge` makes the case again.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import clipc.cli  # What the cases would import is imported here, once.
import clipc.export.export
import clipc.study.study
import clipc.train.train  # noqa: F401

from . import documents, images, names, own_files, tables
from .oracle import Generator, judge

TESTS: Final = Path(__file__).resolve().parents[1]

FREE = [*images.KINDS, *tables.KINDS, *names.KINDS, *documents.KINDS]
"""The kinds that need nothing but an empty folder."""


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What clipc wrote itself, to be damaged."""
    folder = tmp_path_factory.mktemp("bases")
    own_files.make_bases(folder)
    return folder


def _faults(generator: Generator, seeds: range, folder: Path) -> list[str]:
    faults: list[str] = []
    for number in seeds:
        verdict = judge(generator, [1, number], folder / "case")
        if verdict.faults:
            faults.append(f"{generator.__name__} [1, {number}]: {verdict.faults}\n{verdict.told[-1000:]}")
    return faults


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="forks, and reads /proc")


def hundred(folder: Path) -> list[str]:
    """The faults of a hundred cases, made in a folder."""
    (bases := folder / "bases").mkdir()
    own_files.make_bases(bases)
    # Names are cheap; large images, and runs that resume, are not. All are tried with more numbers by the soak tests.
    groups = [(names.KINDS, range(1, 7)), (documents.KINDS, range(1, 3)), (tables.KINDS, range(1, 4, 2))]
    groups += [(images.KINDS, range(1, 2)), (own_files.own_kinds(bases), range(1, 2)), (images.KINDS[:2], range(3, 4))]
    cases = [(kind, seed) for kinds, seeds in groups for kind in kinds for seed in seeds]
    assert len(cases) == 100
    return [fault for kind, seed in cases for fault in _faults(kind, range(seed, seed + 1), folder)]


@pytest.mark.timeout(900)  # half a minute of processor time; where other programs hold the cores, longer
def test_a_hundred_cases(tmp_path: Path) -> None:
    # In a process of their own: PyTorch's autograd refuses to work in forks of a process that has trained before.
    code = f"import sys; from pathlib import Path; from {__name__} import hundred; print(*hundred(Path(sys.argv[1])))"
    faults = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=TESTS, capture_output=True, text=True)
    assert (faults.returncode, faults.stdout.strip()) == (0, ""), faults.stderr[-2000:]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", [*FREE, *images.SLOW], ids=lambda kind: kind.__name__)
def test_every_kind(kind: Generator, tmp_path: Path) -> None:
    assert _faults(kind, range(3, 28 if kind not in images.SLOW else 12), tmp_path) == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("place", range(11))
def test_every_kind_of_own_files(place: int, tmp_path: Path, bases: Path) -> None:
    assert _faults(own_files.own_kinds(bases)[place], range(3, 33), tmp_path) == []
