"""Folders that are there whole, or as they were before."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from clipc.errors import UserError


@contextmanager
def whole_folder(folder: Path) -> Generator[Path]:
    """An empty folder to write into, which takes the place of ``folder`` once the block has ended well.

    What was in ``folder`` goes. Until then it stays, whatever happens; :func:`standing` finds it even if the process is
    killed while the two change places. A symbolic link stays one, and the folder it points to is replaced.

    Args:
        folder: The folder to make or to replace; folders above it are made.

    Yields:
        The new folder, beside the old one.

    Raises:
        UserError: The disk is full or cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    new, old = _sibling(folder, "partial"), _sibling(folder, "old")
    try:
        settle(folder)
        _remove(new)
        new.mkdir(parents=True)
        yield new
        _flush(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        _flush_one(folder.parent)
        if old.exists():
            # What is being removed is never called old, so that nobody takes it for a whole one.
            old.rename(new)
    except Exception as error:
        settle(folder)
        _remove(new)
        if isinstance(error, UserError) or not _is_of_the_disk(error):
            raise
        raise UserError(
            f"{folder} could not be written ({error}); make room, or name another folder: what was there before is as "
            "it was."
        ) from error
    _remove(new)


def standing(folder: Path) -> Path:
    """Where the last whole one lies: ``folder`` itself, unless a process was killed while it was being replaced."""
    old = _sibling(folder, "old")
    return old if old.is_dir() and not folder.exists() else folder


def settle(folder: Path) -> None:
    """Puts back what a process left aside that was killed while it replaced the folder; only its writer may do so."""
    kept = standing(folder)
    if kept != folder:
        kept.rename(folder)


def _sibling(folder: Path, what: str) -> Path:
    folder = Path(os.path.abspath(folder))  # "." has no name
    return folder.parent / f".{folder.name}.{what}"


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        _flush_one(path)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_of_the_disk(error: Exception) -> bool:
    # safetensors and tokenizers tell a full disk by exceptions of their own, with the system's number in the text.
    return isinstance(error, OSError) or "os error" in str(error) or "Os {" in str(error)
