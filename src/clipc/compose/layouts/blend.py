"""Blend: the mean of both views."""

from typing import Final

from clipc.compose.arrays import Positions
from clipc.compose.layouts.layout import SHAPES, Layout
from clipc.compose.layouts.tiles import FULL, OVERLAY, Floats, Tiles, Views, boxes, opaque


def blend(shape: Positions, draws: Floats, views: Views) -> Tiles:
    """The mean of the two views, as MixGen blends images (arXiv 2206.08358: MixUp with a weight of 1/2).

    Args:
        shape: Numbers of shapes, shape (n,).
        draws: Not used.
        views: Not used.
    """
    whole, opacity = boxes(FULL, FULL, len(shape)), opaque(len(shape))
    opacity[:, 1] = 0.5
    return Tiles(whole, whole, opacity)


BLEND: Final = Layout((SHAPES[OVERLAY],), blend)
