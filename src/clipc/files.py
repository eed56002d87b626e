"""Atomic writes of files and folders, checksums, cached arrays, and the number of cores."""

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

_ADVICE: Final = "make room, or name another folder; what was there before is unchanged"


@contextmanager
def report_disk_errors(place: Path, advice: str = _ADVICE) -> Generator[None]:
    """Turns the errors that libraries raise on a full or read-only disk into a :class:`UserError`.

    Args:
        place: The file or folder that the block writes.
        advice: What the user can do.

    Raises:
        UserError: The block failed because of the disk; other errors are raised as they are.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # safetensors, tokenizers and torch raise errors of their own on a full disk.
        phrases = ("os error", "Os {", "PytorchStreamWriter", "inline_container", "iostream")
        if not isinstance(error, OSError) and not any(phrase in str(error) for phrase in phrases):
            raise
        raise UserError(f"{place} could not be written ({error}); {advice}.") from error


@contextmanager
def whole_file(file: Path, advice: str = _ADVICE) -> Generator[Path]:
    """Writes a file atomically: the block writes a temporary file, which is synced and then renamed to ``file``.

    Args:
        file: The file to create or replace; parent folders are created. A symbolic link stays one.
        advice: As for :func:`report_disk_errors`.

    Yields:
        The temporary file, in the same folder.

    Raises:
        UserError: The disk is full or cannot be written; the old file is unchanged.
    """
    file = Path(os.path.realpath(file))
    with report_disk_errors(file, advice):
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
    """Writes a text file in UTF-8 atomically.

    Raises:
        UserError: As for :func:`whole_file`.
    """
    with whole_file(file) as new:
        new.write_text(text, "utf-8")


def write_json(file: Path, value: Any) -> None:
    """Writes a JSON file atomically.

    Raises:
        UserError: As for :func:`whole_file`.
    """
    write_text(file, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def whole_folder(folder: Path, advice: str = _ADVICE) -> Generator[Path]:
    """Writes a folder atomically: the block fills a temporary folder, which then replaces ``folder``.

    If the process is killed between the two renames, :func:`complete_folder` finds the old folder. A symbolic link
    stays one, and the folder it points to is replaced.

    Args:
        folder: The folder to create or replace; parent folders are created.
        advice: As for :func:`report_disk_errors`.

    Yields:
        The temporary folder, beside the old one.

    Raises:
        UserError: The disk is full or cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    new, old = _sibling(folder, "partial"), _sibling(folder, "old")
    with report_disk_errors(folder, advice):
        try:
            restore_folder(folder)
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            yield new
            for path in (*new.rglob("*"), new):
                _flush(path)
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
            _flush(folder.parent)
            if old.exists():
                old.rename(new)  # So that a partly removed folder is never taken for a complete one.
        except Exception:
            restore_folder(folder)
            shutil.rmtree(new, ignore_errors=True)
            raise
    shutil.rmtree(new, ignore_errors=True)


def complete_folder(folder: Path) -> Path:
    """The last complete version: ``folder`` itself, unless a process was killed while replacing it."""
    old = _sibling(folder, "old")
    return old if old.is_dir() and not folder.exists() else folder


def restore_folder(folder: Path) -> None:
    """Renames the last complete version to ``folder``, after a process was killed; only for the folder's writer."""
    complete = complete_folder(folder)
    if complete != folder:
        complete.rename(folder)


def checksum(file: Path) -> str:
    """A hash of a file's content, 32 hexadecimal digits."""
    with file.open("rb") as stream:
        return file_digest(stream, lambda: blake2b(digest_size=16)).hexdigest()


def cache_folder(folder: Path | None = None) -> Path:
    """The cache folder: the argument, else ``$CLIPC_CACHE``, else ``clipc`` in the user's cache folder."""
    if folder is not None:
        return folder
    if variable := os.environ.get("CLIPC_CACHE"):
        return Path(variable)
    user_cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(user_cache) if user_cache and os.path.isabs(user_cache) else Path.home() / ".cache") / "clipc"


def cached_array(
    name: str, fingerprint: str, make: Callable[[], npt.NDArray[Any]], cache: Path | None
) -> npt.NDArray[Any]:
    """An array from the cache, computed and stored at first use.

    A cache that cannot be written, or a damaged file in it, is ignored.

    Args:
        name: What the array is, for its file name, such as ``caption-vectors``.
        fingerprint: Everything that the array depends on (fingerprints, settings, version), as text of any length.
        make: Computes the array.
        cache: The cache folder, or None for the default (:func:`cache_folder`).

    Returns:
        The array; if it could be stored, it is memory-mapped and read-only.
    """
    path = cache_folder(cache) / "arrays" / f"{name}-{blake2b(fingerprint.encode(), digest_size=12).hexdigest()}.npy"
    if (cached := _memory_map(path)) is not None:
        return cached
    array = make()
    with suppress(UserError), whole_file(path) as new, new.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
    return array if (cached := _memory_map(path)) is None else cached


def arrays_digest(*arrays: npt.NDArray[Any]) -> str:
    """A hash of arrays' contents, types and shapes, for a fingerprint."""
    digest = blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def cores() -> int:
    """How many processor cores this process may use, 1 or more."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _memory_map(path: Path) -> npt.NDArray[Any] | None:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError):
        return None


def _sibling(folder: Path, suffix: str) -> Path:
    folder = Path(os.path.abspath(folder))  # "." has no name
    return folder.parent / f".{folder.name}.{suffix}"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
