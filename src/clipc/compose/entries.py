"""Entries (captions of pairs), and candidate composites of two entries.

All captions of all pairs are numbered, pair by pair; an entry is such a number. Rules are evaluated for entries
instead of pairs, because a composite shows only one caption of a pair.
"""

from dataclasses import dataclass

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Bytes, Float64s, Int32s, Int64s, Integers, Positions


@dataclass(frozen=True, eq=False)
class Entries:
    """The entries of a catalog.

    Attributes:
        counts: The number of captions of each pair, ``int64``, shape (n,).
        first: The entry of each pair's first caption, ``int64``, shape (n,).
    """

    counts: Int64s
    first: Int64s

    @classmethod
    def of(cls, catalog: Catalog) -> "Entries":
        """The entries of a catalog."""
        counts = catalog.caption_counts
        return cls(counts, np.cumsum(counts) - counts)

    def __len__(self) -> int:
        return int(self.counts.sum())

    def rows(self) -> Int64s:
        """The catalog row of each entry, ``int64``, shape (entries,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def choice(self, rows: Integers, chance: Float64s) -> Int32s:
        """A random caption of each pair.

        Args:
            rows: Catalog rows, shape (m,).
            chance: Random numbers in [0, 1), shape (m,).

        Returns:
            The index of the caption among the pair's captions, ``int32``, shape (m,).
        """
        return (chance * self.counts[rows]).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate composites of two entries each.

    Attributes:
        first: The first entries, ``int64``, shape (m,).
        second: The second entries, ``int64``, shape (m,).
        layout: Codes of shapes, as in a plan's ``layout`` column, ``uint8``, shape (m,).
        swapped: Whether the captions' order is the reverse of the images', ``bool``, shape (m,).
    """

    first: Int64s
    second: Int64s
    layout: Bytes
    swapped: Bools

    def __len__(self) -> int:
        return len(self.first)

    def take(self, which: Positions) -> "Candidates":
        """The candidates at some positions."""
        return Candidates(self.first[which], self.second[which], self.layout[which], self.swapped[which])
