"""Files and folders are there whole or as they were, whenever the process that writes them is killed."""

import errno
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clipc.errors import UserError
from clipc.files import (
    check_writable,
    complete_folder,
    disk_error,
    expand_home,
    restore_folder,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)

WRITER = """
import sys
from pathlib import Path
from clipc.files import whole_folder
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
    assert (complete_folder(folder) / "a").read_text() == "one"
    restore_folder(folder)
    assert complete_folder(folder) == folder
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
        found = {name: (complete_folder(folder) / name).read_text() for name in "abc"}
        assert len(set(found.values())) == 1
        assert len(found["a"].split()) == 100


def test_the_folder_one_is_in_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "model", "1")
    monkeypatch.chdir(tmp_path / "model")
    assert (complete_folder(Path()) / "a").read_text() == "1"


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "above" / "a.json"
    write_json(file, {"name": "部品"})
    assert file.read_text("utf-8") == '{\n "name": "部品"\n}\n'
    with pytest.raises(ValueError, match="stop"), whole_file(file) as new:
        raise ValueError(new.write_text("half") and "stop")
    with pytest.raises(UserError, match=r"a\.json could not be written .*No space.* make room"), whole_file(file):
        raise OSError(28, "No space left on device")
    assert "部品" in file.read_text("utf-8")
    assert [path.name for path in file.parent.iterdir()] == ["a.json"]
    with pytest.raises(UserError, match=r"b could not be written .*(File exists|Not a directory)"):
        write_text(file / "b", "text")


def test_a_link_to_a_file_and_a_device_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "text"
    write_text(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()


def test_a_folder_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UserError, match=r"notes could not be written \(Not a directory\)"):
        write(tmp_path / "notes", "one")
    assert (tmp_path / "notes").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_the_place_is_the_whole_that_was_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught, whole_folder(tmp_path / "export") as new, whole_folder(new / "onnx"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value).startswith(f"{tmp_path / 'export'} could not be written (No space left on device);")
    with pytest.raises(UserError, match=r"^mine$"), whole_folder(tmp_path / "export"):
        raise UserError("mine")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "make room"), (errno.EACCES, "allow reading and writing"), (errno.ENOTDIR, "a file is where")],
)
def test_errors_of_the_disk_are_told_from_others(number: int, remedy: str) -> None:
    said = str(disk_error(OSError(number, os.strerror(number), "/a/b")))
    assert said.startswith("/a/b could not be read or written")
    assert remedy in said
    assert "Errno" not in said
    assert disk_error(ValueError("x")) is None
    assert disk_error(ConnectionResetError(errno.ECONNRESET, "reset")) is None


def test_what_cannot_be_written_is_found_beforehand(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UserError, match=r"file is a file; name a folder\."):
        check_writable(file, "folder")
    with pytest.raises(UserError, match=r"is a folder; name a file in it\."):
        check_writable(tmp_path, "file")
    for what in ("file", "folder"):
        with pytest.raises(UserError, match=rf"because .*file is a file; name another {what}\."):
            check_writable(file / "a" / "b", what)
        check_writable(tmp_path / "new" / "a", what)
    check_writable(file, "file")
    check_writable(Path("/dev/stdout"), "file")
    check_writable(Path("new"), "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_found_beforehand(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(UserError, match="closed is read-only, or not yours"):
        check_writable(tmp_path / "closed" / "a", "folder")


def test_a_tilde_is_home_unless_it_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert expand_home("~/a") == "/home/me/a"
    assert expand_home("a~") == "a~"
    (tmp_path / "~data").mkdir()
    assert expand_home("~data") == "~data"
    assert expand_home("~nobody-of-this-name/a") == "~nobody-of-this-name/a"
