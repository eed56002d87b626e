"""Arrays that are computed once: kept in the cache, read from there memory-mapped; whole, or row by row."""

import logging
import os
import shutil
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no fcntl.
    fcntl = None

import numpy as np
import numpy.typing as npt

from clipc.checksums import append_checksum, without_checksum
from clipc.errors import UserError, first_line
from clipc.files import cache_folder, report_disk_errors, whole_file

logger = logging.getLogger(__name__)

_PARTS = ("values.bin", "keys.bin", "sums.bin")


def cached_array(
    name: str, fingerprint: str, make: Callable[[], npt.NDArray[Any]], cache: Path | None
) -> npt.NDArray[Any]:
    """An array from the cache, computed and stored at first use.

    A cache that cannot be written is ignored; a damaged file in it too, with a word.

    Args:
        name: What the array is, for its file name, such as ``caption-vectors``.
        fingerprint: Everything that the array depends on (fingerprints, settings, version), as text of any length.
        make: Computes the array.
        cache: The cache folder, or None for the default (:func:`cache_folder`).

    Returns:
        The array; if it could be stored, it is memory-mapped and read-only.
    """
    path = _path(name, f"with checksum {fingerprint}", cache).with_suffix(".npy")
    if (cached := _memory_map(path)) is not None:
        return cached
    array = make()
    with suppress(UserError), whole_file(path) as new, new.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
        stream.close()
        append_checksum(new)
    return array if (cached := _memory_map(path)) is None else cached


@dataclass(frozen=True)
class KeyedRows:
    """A growing array on disk, one row a key: rows that exist are never computed again, whoever asks for them.

    The folder holds ``values.bin``, row after row, ``keys.bin``, the rows' keys, and ``sums.bin``, the number of rows
    that were written together and the checksum of these and their keys. A key is written after its row is on the disk,
    so what an interrupted call leaves is complete up to its last key, and the next call goes on from there. Processes
    that write the same array wait for each other. A damaged array is set aside, with a word, and computed anew.

    Attributes:
        folder: The folder of the array.
        shape: The shape of one row.
        dtype: The type of the values.
    """

    folder: Path
    shape: tuple[int, ...]
    dtype: npt.DTypeLike = np.float16

    @classmethod
    def of(
        cls,
        name: str,
        fingerprint: str,
        shape: tuple[int, ...],
        cache: Path | None,
        dtype: npt.DTypeLike = np.float16,
    ) -> "KeyedRows":
        """The array of a name and a fingerprint in the cache; the other arguments are those of :func:`cached_array`."""
        return cls(_path(name, fingerprint, cache), shape, dtype)

    @property
    def row_bytes(self) -> int:
        """The size of one row in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def missing(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The position in ``keys`` of each key that has no row yet; of equal keys the first; ascending."""
        distinct, first = np.unique(keys, return_index=True)
        return np.sort(first[~np.isin(distinct, self._keys())]).astype(np.int64)

    def add(
        self,
        keys: npt.NDArray[np.uint64],
        make: Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]],
        *,
        at_once: int = 256,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Computes and appends the rows that are missing.

        Args:
            keys: The keys that must have a row afterwards, shape (n,).
            make: Computes the rows of keys, given their positions in ``keys``: (m,) to (m, ...).
            at_once: How many rows are computed before they are written.
            progress: Called with the number of new rows that are written, and of all new rows.

        Raises:
            UserError: The disk is full or cannot be written; the rows so far stay.
        """
        self._set_damage_aside()
        if not len(self.missing(keys)):
            return
        with report_disk_errors(self.folder, "make room, or name another cache folder; what is done is kept"):
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock():
                missing, count = self.missing(keys), len(self._keys())
                with (
                    self._open("values.bin") as values,
                    self._open("keys.bin") as index,
                    self._open("sums.bin") as sums,
                ):
                    # Rows without a key are what an interrupted call left.
                    values.truncate(count * self.row_bytes)
                    index.truncate(count * 8)
                    for stream in (values, index, sums):
                        stream.seek(0, 2)
                    self._cover(sums, count)
                    for start in range(0, len(missing), at_once):
                        part = missing[start : start + at_once]
                        rows = np.ascontiguousarray(make(part), dtype=self.dtype)
                        assert rows.shape == (len(part), *self.shape)
                        data, own = rows.tobytes(), keys[part].tobytes()
                        for stream, content in ((values, data), (index, own), (sums, _sum(len(part), data, own))):
                            stream.write(content)
                            stream.flush()
                            os.fsync(stream.fileno())
                        progress(start + len(part), len(missing))

    def read(self, keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """All rows, and which of them belong to these keys.

        Args:
            keys: Keys that have a row, shape (n,).

        Returns:
            The rows, memory-mapped and read-only, shape (rows, ...), and the row of each key, shape (n,).

        Raises:
            KeyError: A key has no row.
        """
        own = self._keys()
        order = np.argsort(own, kind="stable")
        place = np.searchsorted(own, keys, sorter=order)
        if not len(own) or (place >= len(own)).any() or (own[order[place]] != keys).any():
            raise KeyError("a key has no row")
        values: npt.NDArray[Any] = np.memmap(
            self.folder / "values.bin", self.dtype, mode="r", shape=(len(own), *self.shape)
        )
        return values, order[place].astype(np.int64)

    def _keys(self) -> npt.NDArray[np.uint64]:
        """The keys whose rows are complete."""
        try:
            keys = np.fromfile(self.folder / "keys.bin", np.uint64)
            return keys[: (self.folder / "values.bin").stat().st_size // self.row_bytes]
        except OSError:
            return np.zeros(0, np.uint64)

    def _cover(self, sums: Any, count: int) -> None:
        """Adds the checksum of rows that have none: of earlier versions, and where a call was interrupted before it."""
        covered = int(_sums(self.folder)[:, 0].sum())
        if covered < count:
            with (self.folder / "values.bin").open("rb") as values, (self.folder / "keys.bin").open("rb") as keys:
                values.seek(covered * self.row_bytes)
                keys.seek(covered * 8)
                rows = count - covered
                sums.write(_sum(rows, values.read(rows * self.row_bytes), keys.read(rows * 8)))

    def _set_damage_aside(self) -> None:
        """Renames the folder if rows in it are not those that were written; rows of earlier versions have no sums."""
        try:
            stamps = tuple((self.folder / name).stat().st_mtime_ns for name in _PARTS)
        except OSError:
            return
        if _is_damaged(self.folder, self.row_bytes, stamps):
            logger.warning("the kept rows in %s are damaged; they are computed anew.", self.folder)
            aside = self.folder.with_name(f"{self.folder.name}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(OSError):  # another process was faster
                self.folder.rename(aside)

    def _open(self, name: str) -> Any:
        path = self.folder / name
        return path.open("r+b" if path.exists() else "w+b")

    @contextmanager
    def _lock(self) -> Generator[None]:
        with (self.folder / ".lock").open("w") as file:
            if fcntl is not None:
                with suppress(OSError):  # Some network file systems have no locks.
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        logger.info("another trial or command is computing the same features; this one waits for them.")
                        fcntl.flock(file, fcntl.LOCK_EX)
            yield


def arrays_digest(*arrays: npt.NDArray[Any]) -> str:
    """A hash of arrays' contents, types and shapes, for a fingerprint."""
    digest = blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


@lru_cache(maxsize=64)
def _is_damaged(folder: Path, row_bytes: int, stamps: tuple[int, ...]) -> bool:
    """Whether rows differ from their checksums; looked at again when the files' times (``stamps``) have changed."""
    try:
        values, keys = (np.memmap(folder / name, np.uint8, mode="r").data for name in _PARTS[:2])
    except (OSError, ValueError):  # nothing was written yet
        return False
    begin = 0
    for rows, crc in _sums(folder).tolist():
        end = begin + rows
        if end * 8 > len(keys) or end * row_bytes > len(values):
            return True
        of_values = zlib.crc32(values[begin * row_bytes : end * row_bytes])
        if zlib.crc32(keys[begin * 8 : end * 8], of_values) != crc:
            return True
        begin = end
    return False


def _sum(rows: int, values: bytes, keys: bytes) -> bytes:
    return np.array([rows, zlib.crc32(keys, zlib.crc32(values))], np.uint64).tobytes()


def _sums(folder: Path) -> npt.NDArray[np.uint64]:
    """Numbers of rows and their checksums, shape (blocks, 2)."""
    try:
        sums = np.fromfile(folder / "sums.bin", np.uint64)
    except OSError:
        sums = np.zeros(0, np.uint64)
    return sums[: len(sums) // 2 * 2].reshape(-1, 2)


def _path(name: str, fingerprint: str, cache: Path | None) -> Path:
    return cache_folder(cache) / "arrays" / f"{name}-{blake2b(fingerprint.encode(), digest_size=12).hexdigest()}"


def _memory_map(path: Path) -> npt.NDArray[Any] | None:
    if not path.is_file():
        return None
    try:
        without_checksum(np.memmap(path, np.uint8, mode="r").data)
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        logger.warning("the cached array %s is damaged (%s); it is computed anew.", path, first_line(error))
        return None
