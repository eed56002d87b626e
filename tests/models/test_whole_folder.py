"""A folder is there whole or as it was, whenever the process that writes it is killed."""

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clipc.errors import UserError
from clipc.models.whole_folder import settle, standing, whole_folder

WRITER = """
import sys
from pathlib import Path
from clipc.models.whole_folder import whole_folder
folder, number = Path(sys.argv[1]), 0
while True:
    number += 1
    with whole_folder(folder) as new:
        for name in "abc":
            (new / name).write_text(f"{number} " * 100)
    if number == 1:
        print("first", flush=True)
"""


def write(folder: Path, text: str) -> None:
    with whole_folder(folder) as new:
        (new / "a").write_text(text)
        (new / "inner").mkdir()
        (new / "inner" / "b").write_text(text)


def test_new_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "model"
    for text in ("one", "two"):
        write(folder, text)
        assert (folder / "inner" / "b").read_text() == text
        assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_failure_leaves_the_older_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(folder, "one")
    with pytest.raises(ValueError, match="two"), whole_folder(folder) as new:
        raise ValueError((new / "a").write_text("two") and "two")
    with pytest.raises(UserError, match=r"could not be written .*No space.* make room"), whole_folder(folder):
        raise OSError(28, "No space left on device")
    assert (folder / "a").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_file_too_large_for_the_disk_is_the_users_to_know(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(UserError, match="could not be written"), whole_folder(tmp_path / "model") as new:
            save_file({"w": np.zeros(100_000, np.float32)}, new / "w.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_killed_between_the_two_renames_the_older_one_stands(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(folder, "one")
    folder.rename(tmp_path / ".model.old")
    assert (standing(folder) / "a").read_text() == "one"
    settle(folder)
    assert standing(folder) == folder
    assert (folder / "a").read_text() == "one"
    folder.rename(tmp_path / ".model.old")
    write(folder, "two")
    assert (folder / "a").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real", "one")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "two"


def test_killed_at_any_moment_it_is_whole(tmp_path: Path) -> None:
    folder, chance = tmp_path / "model", random.Random(0)
    for _ in range(12):
        arguments = [sys.executable, "-c", WRITER, str(folder)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, env={**os.environ}) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(chance.random() * 0.05)
            writer.kill()
        found = {name: (standing(folder) / name).read_text() for name in "abc"}
        assert len(set(found.values())) == 1
        assert len(found["a"].split()) == 100


def test_the_folder_one_is_in_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "model", "1")
    monkeypatch.chdir(tmp_path / "model")
    assert (standing(Path()) / "a").read_text() == "1"
