"""Arrays that are computed once: kept in the cache, read from there memory-mapped; whole, or row by row."""

import logging
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no fcntl.
    fcntl = None

import numpy as np
import numpy.typing as npt

from clipc.errors import UserError
from clipc.files import cache_folder, report_disk_errors, whole_file

logger = logging.getLogger(__name__)


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
    path = _path(name, fingerprint, cache).with_suffix(".npy")
    if (cached := _memory_map(path)) is not None:
        return cached
    array = make()
    with suppress(UserError), whole_file(path) as new, new.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
    return array if (cached := _memory_map(path)) is None else cached


@dataclass(frozen=True)
class KeyedRows:
    """A growing array on disk, one row a key: rows that exist are never computed again, whoever asks for them.

    The folder holds ``values.bin``, row after row, and ``keys.bin``, the rows' keys. A key is written after its row is
    on the disk, so what an interrupted call leaves is complete up to its last key, and the next call goes on from
    there. Processes that write the same array wait for each other.

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
        if not len(self.missing(keys)):
            return
        with report_disk_errors(self.folder, "make room, or name another cache folder; what is done is kept"):
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock():
                missing, count = self.missing(keys), len(self._keys())
                with self._open("values.bin") as values, self._open("keys.bin") as index:
                    # Rows without a key are what an interrupted call left.
                    values.truncate(count * self.row_bytes)
                    index.truncate(count * 8)
                    values.seek(0, 2)
                    index.seek(0, 2)
                    for start in range(0, len(missing), at_once):
                        part = missing[start : start + at_once]
                        rows = np.ascontiguousarray(make(part), dtype=self.dtype)
                        assert rows.shape == (len(part), *self.shape)
                        for stream, content in ((values, rows), (index, keys[part])):
                            stream.write(content.tobytes())
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
                        logger.info(f"another process computes rows of {self.folder}; this one waits until it is done.")
                        fcntl.flock(file, fcntl.LOCK_EX)
            yield


def arrays_digest(*arrays: npt.NDArray[Any]) -> str:
    """A hash of arrays' contents, types and shapes, for a fingerprint."""
    digest = blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _path(name: str, fingerprint: str, cache: Path | None) -> Path:
    return cache_folder(cache) / "arrays" / f"{name}-{blake2b(fingerprint.encode(), digest_size=12).hexdigest()}"


def _memory_map(path: Path) -> npt.NDArray[Any] | None:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError):
        return None
