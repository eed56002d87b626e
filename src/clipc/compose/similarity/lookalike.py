"""Look-alikes: copies and near-copies of an image, which would show the same thing twice in a composite."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Integers
from clipc.compose.similarity.near_pairs import near_matches

MAX_DISTANCE: Final = 4
"""Images whose 64-bit difference hashes differ in at most this many bits count as look-alikes."""

_SAMPLE = 200_000
_MAX_LOOKALIKE_RATE = 1 / 1000
_NO_DISTANCE = -1


@dataclass(frozen=True, eq=False)
class Lookalikes:
    """Tests whether two rows of a catalog have equal or nearly equal images.

    Attributes:
        content: Hashes of the encoded images, ``uint64``, shape (n,).
        dhash: Difference hashes, ``uint64``, shape (n,); any number if there is none.
        has_dhash: Whether an image has a difference hash, ``bool``, shape (n,).
        distance: The largest number of differing bits of look-alikes; negative if difference hashes are not used.
    """

    content: npt.NDArray[np.uint64]
    dhash: npt.NDArray[np.uint64]
    has_dhash: Bools
    distance: int

    def __call__(self, rows: Integers, others: Integers) -> Bools:
        """Whether ``rows[i]`` looks like ``others[i]``; a row looks like itself.

        Args:
            rows: Rows of the catalog, shape (m,).
            others: Rows of the catalog, shape (m,).

        Returns:
            ``bool``, shape (m,).
        """
        same = self.content[rows] == self.content[others]
        if self.distance >= 0:
            near = np.bitwise_count(self.dhash[rows] ^ self.dhash[others]) <= self.distance
            if not self.has_dhash.all():
                near &= self.has_dhash[rows] & self.has_dhash[others]
            same |= near
        return same

    def any_of(self, rows: Integers, others: Integers) -> Bools:
        """Whether each of ``rows`` looks like any of ``others``, without comparing all pairs.

        Args:
            rows: Rows of the catalog, shape (m,).
            others: Rows of the catalog, shape (k,).

        Returns:
            ``bool``, shape (m,).
        """
        found = np.isin(self.content[rows], self.content[others])
        if self.distance < 0:
            return found
        hashed, known = rows[self.has_dhash[rows]], others[self.has_dhash[others]]
        mine, theirs = np.unique(self.dhash[hashed]), np.unique(self.dhash[known])
        pairs, _ = near_matches(mine, theirs, self.distance)
        return found | (self.has_dhash[rows] & np.isin(self.dhash[rows], mine[pairs[:, 0]]))


def lookalikes(catalog: Catalog) -> Lookalikes:
    """The test for look-alikes among a catalog's images.

    Images are look-alikes if their bytes are equal, or if their difference hashes differ in at most
    :data:`MAX_DISTANCE` bits. In collections of similar images (steel, x-rays, icons) different images can be that
    near. The distance is then lowered until at most one in a thousand random pairs of images count as look-alikes;
    in small collections, until an image has at most half a look-alike on average. If even equal hashes are more
    frequent, hashes are not used.

    Args:
        catalog: The pairs; its ``dhash`` column may be missing.
    """
    content = _hashes(catalog.table["content"])
    if "dhash" not in catalog.table.column_names:
        no_dhash = np.zeros(len(catalog), np.uint64)
        return Lookalikes(content, no_dhash, np.zeros(len(catalog), np.bool_), _NO_DISTANCE)
    column = catalog.table["dhash"]
    has_dhash: Any = column.is_valid().to_numpy()
    dhash = _hashes(column.fill_null(0))
    return Lookalikes(content, dhash, has_dhash, _max_distance(content[has_dhash], dhash[has_dhash]))


def _hashes(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    return column.to_numpy().astype(np.uint64, copy=False)


def _max_distance(content: npt.NDArray[np.uint64], dhash: npt.NDArray[np.uint64]) -> int:
    n = len(dhash)
    if n < 2:
        return MAX_DISTANCE
    if n * (n - 1) // 2 <= _SAMPLE:
        a, b = np.triu_indices(n, 1)
    else:
        generator = np.random.Generator(np.random.Philox(key=0))
        a = generator.integers(0, n, _SAMPLE)
        b = (a + generator.integers(1, n, _SAMPLE)) % n
    # Exact copies are left out, since the distances between different images are wanted.
    differ = content[a] != content[b]
    bits = np.bitwise_count(dhash[a] ^ dhash[b])[differ]
    within = np.cumsum(np.bincount(bits, minlength=65)[: MAX_DISTANCE + 1]) / len(a)
    return int((within <= max(_MAX_LOOKALIKE_RATE, 0.5 / (n - 1))).sum()) - 1
