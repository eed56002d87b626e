"""clipc installed by the words of README.md and docs/install.md, and what it then does: ``make test-install``.

Every test changes one new environment further, in the order of this file: bare, with the starter, without a network.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.install, pytest.mark.timeout(3600)]

ROOT: Final = Path(__file__).resolve().parents[2]
RUN_BLOCK: Final = re.compile(r"<!-- run -->\n```bash\n(.*?)```", re.DOTALL)
OFFLINE: Final = {
    "PIP_NO_INDEX": "1",
    "HF_HUB_OFFLINE": "1",
    "https_proxy": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}


def shell(commands: str, folder: Path, environment: Path, variables: Mapping[str, str] | None = None) -> str:
    """Runs lines of a shell in an activated environment, and returns what they print."""
    cleared = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    home = {"HOME": str(environment.parent), "CLIPC_CACHE": str(environment.parent / "cache")}
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=cleared | {"PATH": path, **home} | dict(variables or {}),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, f"{commands}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, as the README has it."""
    folder = tmp_path_factory.mktemp("install") / "clipc"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def environment(clone: Path) -> Path:
    """A new environment, and clipc in it without any extra."""
    folder = clone.parent / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    shell("pip install --quiet .", clone, folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``pairs.csv``, as a new user has it."""
    folder, lines = tmp_path_factory.mktemp("data"), ["image,caption,colour"]
    generator = np.random.default_rng(0)
    colours = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200)}
    for i in range(60):
        name, colour = list(colours.items())[i % 3]
        pixels = np.clip(np.array(colour) + generator.integers(-40, 40, (8, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,a {name} plate with number {i},{name}")
    (folder / "pairs.csv").write_text("\n".join(lines), "utf-8")
    return folder


def test_the_readmes_commands_run_without_any_extra(environment: Path, data: Path) -> None:
    for block in RUN_BLOCK.findall((ROOT / "README.md").read_text("utf-8")):
        shell(block, data, environment)


def test_missing_extras_are_installed_by_the_command_of_the_message(environment: Path, clone: Path, data: Path) -> None:
    told = shell("clipc compose pairs.csv --rules factory --check", data, environment)
    command = told.rpartition("to check them: ")[2].splitlines()[0]
    shell(f"{command} --quiet", data, environment)
    assert "more are in Japanese" not in shell("clipc compose pairs.csv --rules factory --check", data, environment)


def test_the_starter_is_what_training_begins_with(environment: Path, clone: Path, data: Path) -> None:
    shell("pip install --quiet '.[starter]'", clone, environment)
    assert "starter-250" in shell("clipc train pairs.csv --out runs/starter", data, environment, OFFLINE)


def test_packages_can_be_carried_to_a_machine_without_a_network(environment: Path, clone: Path, data: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "install.md").read_text("utf-8"), re.DOTALL)
    gather, install = (
        next(b for b in blocks if b.startswith(words)) for words in ("pip wheel", "pip install --no-index")
    )
    shell(gather, clone, environment)
    elsewhere = environment.parent / "elsewhere"
    subprocess.run([sys.executable, "-m", "venv", str(elsewhere)], check=True)
    shutil.move(clone / "wheels", data / "wheels")
    shell(install.splitlines()[0], data, elsewhere, OFFLINE)
    assert "starter-250" in shell("clipc train pairs.csv --out runs/offline", data, elsewhere, OFFLINE)
