"""Entries: all captions of all pairs, numbered pair by pair; and candidate composites of two entries.

Rules are evaluated per entry, since their conditions on captions concern the caption that is used.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog


@dataclass(frozen=True, eq=False)
class Entries:
    """The entries of a catalog.

    Attributes:
        counts: The number of captions of each pair, ``int64``, shape (n,).
        first: The entry of each pair's first caption, ``int64``, shape (n,).
    """

    counts: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]

    @classmethod
    def of(cls, catalog: Catalog) -> "Entries":
        """The entries of a catalog."""
        counts = catalog.caption_counts
        return cls(counts, np.cumsum(counts) - counts)

    def __len__(self) -> int:
        return int(self.counts.sum())

    def rows(self) -> npt.NDArray[np.int64]:
        """The catalog row of each entry, shape (entries,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def choice(self, rows: npt.NDArray[np.integer], chance: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """The index of each pair's caption, for random numbers in [0, 1)."""
        return (chance * self.counts[rows]).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate composites, described by the entries (captions of pairs) that they join.

    Attributes:
        first: The first entries, ``int64``, shape (m,).
        second: The second entries, ``int64``, shape (m,).
        layout: Codes of :data:`~clipc.compose.layouts.tiles.LAYOUT_NAMES`, ``uint8``, shape (m,).
        swapped: Whether the captions' order is not the images', ``bool``, shape (m,).
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    layout: npt.NDArray[np.uint8]
    swapped: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)

    def take(self, which: npt.NDArray[np.intp]) -> "Candidates":
        """The candidates at some positions."""
        return Candidates(self.first[which], self.second[which], self.layout[which], self.swapped[which])
