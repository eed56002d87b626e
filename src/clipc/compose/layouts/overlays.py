"""Layouts that show the whole first view, with the second view over it, through it, or not at all."""

from typing import Final

import numpy as np

from clipc.compose.arrays import Float32s, Positions
from clipc.compose.layouts.tiles import FULL, Tiles, Views, boxes, opaque

BOX_AREA: Final = (0.25, 0.75)
"""The smallest and largest area of the CutMix box, as a share of the image."""


def cutmix(shape_index: Positions, draws: Float32s, views: Views) -> Tiles:
    """A square box of the second view at the same place over the first view (CutMix, arXiv 1905.04899).

    CutMix draws the box's area from all of [0, 1] and crops the box at the image's edge. Here the area is uniform in
    :data:`BOX_AREA` and the box is inside the image, so that both sources are always visible.

    Args:
        shape_index: Index into the layout's ``shapes``, one per example; array of length n.
        draws: Random numbers in [0, 1) for the box's area, x and y, shape (n, 3) or wider.
        views: Not used.
    """
    side = np.sqrt(BOX_AREA[0] + draws[:, 0] * (BOX_AREA[1] - BOX_AREA[0]))
    corner = draws[:, 1:3] * (1 - side)[:, None]
    window = boxes(FULL, FULL, len(shape_index))
    window[:, 1] = np.concatenate([corner, corner + side[:, None]], axis=1)
    return Tiles(window, window, opaque(len(shape_index)))


def blend(shape_index: Positions, draws: Float32s, views: Views) -> Tiles:
    """The mean of the two views, as MixGen blends images (arXiv 2206.08358: MixUp with a weight of 1/2).

    Args:
        shape_index: Index into the layout's ``shapes``, one per example; array of length n.
        draws: Not used.
        views: Not used.
    """
    whole, opacity = boxes(FULL, FULL, len(shape_index)), opaque(len(shape_index))
    opacity[:, 1] = 0.5
    return Tiles(whole, whole, opacity)


def first_image(shape_index: Positions, draws: Float32s, views: Views) -> Tiles:
    """The first view alone, under the joint caption: caption-only composition, a control.

    Args:
        shape_index: Index into the layout's ``shapes``, one per example; array of length n.
        draws: Not used.
        views: Not used.
    """
    return Tiles.first_alone(len(shape_index))
