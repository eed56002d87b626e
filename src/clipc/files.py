"""Atomic writes of files and folders, errors of the disk, checksums, cached arrays, and the number of cores."""

import errno
import json
import os
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, Final, Literal

from clipc.errors import UserError

_UNCHANGED: Final = "what was there before is unchanged"
_ROOM: Final = "make room, or name another folder"
_REMEDIES: Final = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EIO: "check the disk, or name another folder",
    errno.EROFS: "name a folder that can be written",
    errno.EACCES: "allow reading and writing there, or name another folder",
    errno.EPERM: "allow reading and writing there, or name another folder",
    errno.ENOTDIR: "a file is where a folder should be; name another folder",
    errno.EEXIST: "a file is where a folder should be; name another folder",
    errno.EISDIR: "a folder is where a file should be; name another file",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What the user can do about an error of the disk."""
_PHRASES: Final = ("os error", "Os {", "PytorchStreamWriter", "inline_container", "iostream", "usable temporary")
"""Parts of the messages of errors that safetensors, tokenizers, torch and tempfile raise on a full disk."""


class DiskError(UserError):
    """An error of the disk; a writer whose block failed names its own file or folder in place of a part of it."""

    def __init__(self, place: object, reason: str, remedy: str) -> None:
        """Makes the sentence of the place, the reason, and what the user can do."""
        super().__init__(f"{place} ({reason}); {remedy}.")
        self.reason, self.remedy = reason, remedy


def disk_error(error: Exception, place: Path | None = None, advice: str | None = None) -> DiskError | None:
    """The sentence for an error of the disk; None for any other error.

    Args:
        error: The error.
        place: The file or folder that is written; by default the one that the error names.
        advice: What the user can do; by default it follows from the error.
    """
    if isinstance(error, DiskError):
        return error if place is None else DiskError(_written(place), error.reason, advice or error.remedy)
    if isinstance(error, OSError):
        if error.errno not in _REMEDIES and place is None and not any(phrase in str(error) for phrase in _PHRASES):
            return None
        reason, remedy, name = error.strerror or str(error), _REMEDIES.get(error.errno or 0, _ROOM), error.filename
    elif not isinstance(error, UserError) and any(phrase in str(error) for phrase in _PHRASES):
        reason, remedy, name = " ".join(str(error).split()), _ROOM, None
    else:
        return None
    if place is None:
        return DiskError(f"{name or 'a file or standard output'} could not be read or written", reason, remedy)
    return DiskError(_written(place), reason, advice or f"{remedy}; {_UNCHANGED}")


def _written(place: Path) -> str:
    return f"{place} could not be written"


@contextmanager
def report_disk_errors(place: Path, advice: str | None = None) -> Generator[None]:
    """Turns the errors that libraries raise on a full or read-only disk into a :class:`UserError`.

    Args:
        place: The file or folder that the block writes.
        advice: What the user can do; by default it follows from the error.

    Raises:
        UserError: The block failed because of the disk; other errors are raised as they are.
    """
    try:
        yield
    except Exception as error:
        if (sentence := disk_error(error, place, advice)) is None:
            raise
        raise sentence from error


def check_writable(path: Path, what: Literal["file", "folder"]) -> None:
    """Checks before long work that its result can be written; nothing is created.

    Args:
        path: The file or folder to write.
        what: Which of both it is.

    Raises:
        UserError: There is a file in the place of a folder or a folder in the place of a file, or no right to write.
    """
    if os.path.exists(path) and os.path.isdir(path) != (what == "folder"):
        raise UserError(
            f"{path} is a file; name a folder." if what == "folder" else f"{path} is a folder; name a file in it."
        )
    place = next((part for part in (path, *path.absolute().parents) if os.path.exists(part)), Path())
    if place != path and not os.path.isdir(place):
        raise UserError(f"{path} cannot be written, because {place} is a file; name another {what}.")
    if not os.access(place, os.W_OK | (os.X_OK if os.path.isdir(place) else 0)):
        raise UserError(f"{path} cannot be written: {place} is read-only, or not yours; name another {what}.")


@contextmanager
def whole_file(file: Path, advice: str | None = None) -> Generator[Path]:
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
def whole_folder(folder: Path, advice: str | None = None) -> Generator[Path]:
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
            if folder.exists() and not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
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


def read_text(file: Path, most: int, errors: str = "strict") -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Args:
        file: The file.
        most: The largest number of bytes.
        errors: What is done with bytes that are no UTF-8, as for ``bytes.decode``.

    Raises:
        ValueError: It is larger, no UTF-8, or no regular file: reading a pipe or a device could wait forever.
        OSError: It cannot be read.
    """
    with open(file, "rb", opener=lambda path, flags: os.open(path, flags | getattr(os, "O_NONBLOCK", 0))) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise ValueError("it is no regular file")
        data = stream.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return data.decode("utf-8-sig", errors)


def checksum(file: Path) -> str:
    """A hash of a file's content, 32 hexadecimal digits."""
    with file.open("rb") as stream:
        return file_digest(stream, lambda: blake2b(digest_size=16)).hexdigest()


def expand_home(path: str) -> str:
    """A path with ``~`` or ``~user`` at its beginning replaced as by a shell, unless it exists as it is written."""
    return os.path.expanduser(path) if path.startswith("~") and not os.path.lexists(path) else path


def cache_folder(folder: Path | None = None) -> Path:
    """The cache folder: the argument, else ``$CLIPC_CACHE``, else ``clipc`` in the user's cache folder."""
    if folder is not None:
        return Path(expand_home(str(folder)))
    if variable := os.environ.get("CLIPC_CACHE"):
        return Path(expand_home(variable))
    user_cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(user_cache) if user_cache and os.path.isabs(user_cache) else Path.home() / ".cache") / "clipc"


def cores() -> int:
    """How many processor cores this process may use, 1 or more."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _sibling(folder: Path, suffix: str) -> Path:
    folder = Path(os.path.abspath(folder))  # "." has no name
    return folder.parent / f".{folder.name}.{suffix}"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
