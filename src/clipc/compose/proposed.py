"""Proposed composites: pairs of captions whose lawfulness is in question."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Proposed:
    """Composites that may come into a plan, by the entries (captions of pairs) that they would show.

    Attributes:
        first: Entries that come first, ``int64``, shape (m,).
        second: Entries that come second, ``int64``, shape (m,).
        layout: Codes of :data:`~clipc.compose.layouts.layout.SHAPES`, ``uint8``, shape (m,).
        swapped: The drawn order of the captions, ``bool``, shape (m,).
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    layout: npt.NDArray[np.uint8]
    swapped: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)

    def take(self, which: npt.NDArray[np.intp]) -> "Proposed":
        """Some of them."""
        return Proposed(self.first[which], self.second[which], self.layout[which], self.swapped[which])
