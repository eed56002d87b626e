"""CutMix: a box of the second view pasted over the first view, with half the image each on average."""

from typing import Final

import numpy as np

from clipc.compose.arrays import Positions
from clipc.compose.layouts.layout import SHAPES, Layout
from clipc.compose.layouts.tiles import BOX, FULL, Floats, Tiles, Views, boxes, opaque

AREA: Final = (0.25, 0.75)
"""Smallest and largest area of the box, as a share of the image; its mean is 1/2."""


def cutmix(shape: Positions, draws: Floats, views: Views) -> Tiles:
    """A square box of the second view at the same place over the first view (CutMix, arXiv 1905.04899).

    CutMix draws the area from all of [0, 1] and cuts boxes off at the edge; here the area is uniform in
    :data:`AREA` and the box is inside, so that both sources of the joint caption are always visible.

    Args:
        shape: Numbers of shapes, shape (n,).
        draws: Numbers in [0, 1): area, x and y; shape (n, 3) or wider.
        views: Not used.
    """
    side = np.sqrt(AREA[0] + draws[:, 0] * (AREA[1] - AREA[0]))
    corner = draws[:, 1:3] * (1 - side)[:, None]
    window = boxes(FULL, FULL, len(shape))
    window[:, 1] = np.concatenate([corner, corner + side[:, None]], axis=1)
    return Tiles(window, window, opaque(len(shape)))


CUTMIX: Final = Layout((SHAPES[BOX],), cutmix)
