"""Arrays that are computed once and kept on disk."""

import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.catalog.cache import cache_folder


def kept_array(name: str, mark: str, make: Callable[[], npt.NDArray[Any]], cache: Path | None) -> npt.NDArray[Any]:
    """An array from the cache if it is there, else made and kept.

    A cache that cannot be written, or holds something damaged, is done without.

    Args:
        name: What it is, for people who look into the cache: ``caption-vectors``.
        mark: All that the array depends on (fingerprints, settings, version), as text of any length.
        make: Makes it.
        cache: The cache folder, or None for the usual one (:func:`~clipc.catalog.cache.cache_folder`).

    Returns:
        The array, read-only and memory-mapped where it was kept.
    """
    path = cache_folder(cache) / "arrays" / f"{name}-{blake2b(mark.encode(), digest_size=12).hexdigest()}.npy"
    if (kept := _load(path)) is not None:
        return kept
    made = make()
    try:
        _save(made, path)
    except OSError:
        return made
    return made if (kept := _load(path)) is None else kept


def digest(*arrays: npt.NDArray[Any]) -> str:
    """A hash of arrays' contents, types and shapes, for a mark."""
    total = blake2b(digest_size=16)
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _load(path: Path) -> npt.NDArray[Any] | None:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError):
        return None


def _save(array: npt.NDArray[Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(own, "wb") as file:
            np.save(file, array, allow_pickle=False)
        os.replace(own, path)
    finally:
        own.unlink(missing_ok=True)
