"""Entries: every caption of every pair, numbered pair by pair.

Rules see one entry at a time, since what they read in a caption holds for the caption that is shown.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog


@dataclass(frozen=True, eq=False)
class Entries:
    """The numbers of the captions of a catalog.

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
        """Which caption each pair shows, for numbers in [0, 1)."""
        return (chance * self.counts[rows]).astype(np.int32)
