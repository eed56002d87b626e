"""Arrays that are computed once: kept in the cache, read from there memory-mapped."""

from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.errors import UserError
from clipc.files import cache_folder, whole_file


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


def _memory_map(path: Path) -> npt.NDArray[Any] | None:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError):
        return None
