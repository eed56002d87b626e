"""Layouts that show the whole first view, with the second view over it, through it, or not at all."""

from typing import Final

import numpy as np

from clipc.compose.arrays import Float32s, Positions
from clipc.compose.layouts.tiles import FULL, Tiles, Views, boxes, opaque

AREA: Final = (0.25, 0.75)
"""Smallest and largest area of CutMix's box, as a share of the image; its mean is 1/2."""


def cutmix(shape: Positions, draws: Float32s, views: Views) -> Tiles:
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


def blend(shape: Positions, draws: Float32s, views: Views) -> Tiles:
    """The mean of the two views, as MixGen blends images (arXiv 2206.08358: MixUp with a weight of 1/2).

    Args:
        shape: Numbers of shapes, shape (n,).
        draws: Not used.
        views: Not used.
    """
    whole, opacity = boxes(FULL, FULL, len(shape)), opaque(len(shape))
    opacity[:, 1] = 0.5
    return Tiles(whole, whole, opacity)


def first_image(shape: Positions, draws: Float32s, views: Views) -> Tiles:
    """The first view alone, whatever the caption says: caption-only composition, a control.

    Args:
        shape: Numbers of shapes, shape (n,).
        draws: Not used.
        views: Not used.
    """
    return Tiles.first_alone(len(shape))
