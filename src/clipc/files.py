"""Careful use of the disk: files and folders that are there whole or as they were, checksums, cached arrays, cores."""

import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.errors import UserError

_ADVICE: Final = "make room, or name another folder: what was there before is as it was"


@contextmanager
def writing(place: Path, advice: str = _ADVICE) -> Generator[None]:
    """Tells in one sentence that the disk is full or cannot be written, whichever library found out.

    Args:
        place: What is written in the block.
        advice: What to do about it.

    Raises:
        UserError: The block failed because of the disk; other errors are passed on.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not _is_of_the_disk(error):
            raise
        raise UserError(f"{place} could not be written ({error}); {advice}.") from error


@contextmanager
def whole_file(file: Path, advice: str = _ADVICE) -> Generator[Path]:
    """A file to write in place of ``file``: it takes its place, flushed to the disk, once the block has ended well.

    Args:
        file: The file to make or to replace; folders above it are made. A link stays one.
        advice: As for :func:`writing`.

    Yields:
        The new file's name, beside the old one.

    Raises:
        UserError: The disk is full or cannot be written; the old file is as it was.
    """
    file = Path(os.path.realpath(file))
    with writing(file, advice):
        if file.exists() and not file.is_file():  # such as /dev/stdout
            yield file
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f".{file.name}.{os.getpid()}.partial")
        try:
            yield new
            _flush(new)
            new.replace(file)
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Writes a text file in UTF-8, whole.

    Raises:
        UserError: As for :func:`whole_file`.
    """
    with whole_file(file) as new:
        new.write_text(text, "utf-8")


def write_json(file: Path, value: Any) -> None:
    """Writes a JSON file, whole.

    Raises:
        UserError: As for :func:`whole_file`.
    """
    write_text(file, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def whole_folder(folder: Path, advice: str = _ADVICE) -> Generator[Path]:
    """An empty folder to write into, which takes the place of ``folder`` once the block has ended well.

    What was in ``folder`` goes. Until then it stays, whatever happens; :func:`standing` finds it even if the process is
    killed while the two change places. A symbolic link stays one, and the folder it points to is replaced.

    Args:
        folder: The folder to make or to replace; folders above it are made.
        advice: As for :func:`writing`.

    Yields:
        The new folder, beside the old one.

    Raises:
        UserError: The disk is full or cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    new, old = _sibling(folder, "partial"), _sibling(folder, "old")
    with writing(folder, advice):
        try:
            settle(folder)
            _remove(new)
            new.mkdir(parents=True)
            yield new
            for path in (*new.rglob("*"), new):
                _flush(path)
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
            _flush(folder.parent)
            if old.exists():
                # What is being removed is never called old, so that nobody takes it for a whole one.
                old.rename(new)
        except Exception:
            settle(folder)
            _remove(new)
            raise
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


def checksum(file: Path) -> str:
    """A hash of a file's content, 32 hexadecimal digits."""
    with file.open("rb") as stream:
        return file_digest(stream, lambda: blake2b(digest_size=16)).hexdigest()


def cache_folder(given: Path | None = None) -> Path:
    """Where clipc keeps what it can make again: the given folder, ``$CLIPC_CACHE``, or the user's cache folder."""
    if given is not None:
        return given
    if own := os.environ.get("CLIPC_CACHE"):
        return Path(own)
    common = os.environ.get("XDG_CACHE_HOME")
    return (Path(common) if common and os.path.isabs(common) else Path.home() / ".cache") / "clipc"


def cached_array(
    name: str, fingerprint: str, make: Callable[[], npt.NDArray[Any]], cache: Path | None
) -> npt.NDArray[Any]:
    """An array from the cache if it is there, else made and kept.

    A cache that cannot be written, or holds something damaged, is done without.

    Args:
        name: What it is, for people who look into the cache: ``caption-vectors``.
        fingerprint: All that the array depends on (fingerprints, settings, version), as text of any length.
        make: Makes it.
        cache: The cache folder, or None for the usual one (:func:`cache_folder`).

    Returns:
        The array, read-only and memory-mapped where it was kept.
    """
    path = cache_folder(cache) / "arrays" / f"{name}-{blake2b(fingerprint.encode(), digest_size=12).hexdigest()}.npy"
    if (kept := _mapped(path)) is not None:
        return kept
    made = make()
    with suppress(UserError), whole_file(path) as new, new.open("wb") as stream:
        np.save(stream, made, allow_pickle=False)
    return made if (kept := _mapped(path)) is None else kept


def arrays_digest(*arrays: npt.NDArray[Any]) -> str:
    """A hash of arrays' contents, types and shapes, for a fingerprint."""
    total = blake2b(digest_size=16)
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def cores() -> int:
    """How many processor cores this process may use, 1 or more."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _mapped(path: Path) -> npt.NDArray[Any] | None:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError):
        return None


def _sibling(folder: Path, what: str) -> Path:
    folder = Path(os.path.abspath(folder))  # "." has no name
    return folder.parent / f".{folder.name}.{what}"


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_of_the_disk(error: Exception) -> bool:
    # safetensors, tokenizers and torch tell a full disk by exceptions of their own.
    signs = ("os error", "Os {", "PytorchStreamWriter", "inline_container", "iostream")
    return isinstance(error, OSError) or any(sign in str(error) for sign in signs)
