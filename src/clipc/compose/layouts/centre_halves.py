"""Centre halves: the paper's image composition."""

from typing import Final

import numpy as np

from clipc.compose.arrays import Positions
from clipc.compose.layouts.layout import HALVES, Layout
from clipc.compose.layouts.tiles import Floats, Tiles, Views, opaque

_CENTRES: Final = np.array([[(0.25, 0.0, 0.75, 1.0)] * 2, [(0.0, 0.25, 1.0, 0.75)] * 2], dtype=np.float32)
HALF_PLACES: Final = np.array(
    [[(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)], [(0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)]], dtype=np.float32
)
"""Places of the first and second half, side by side and one above the other; shape (2, 2, 4)."""


def centre_halves(shape: Positions, draws: Floats, views: Views) -> Tiles:
    """The centre half of each view, joined along the cut axis (CLIP-C, arXiv 2407.01408).

    Args:
        shape: Numbers of shapes, shape (n,).
        draws: Not used.
        views: Not used.
    """
    return Tiles(_CENTRES[shape], HALF_PLACES[shape], opaque(len(shape)))


CENTRE_HALVES: Final = Layout(HALVES, centre_halves)
