"""Squeezed halves: both views whole, each squeezed into half of the image."""

from typing import Final

from clipc.compose.arrays import Positions
from clipc.compose.layouts.centre_halves import HALF_PLACES
from clipc.compose.layouts.layout import HALVES, Layout
from clipc.compose.layouts.tiles import FULL, Floats, Tiles, Views, boxes, opaque


def squeezed_halves(shape: Positions, draws: Floats, views: Views) -> Tiles:
    """Each view squeezed to half its width or height: nothing is cut away, but objects change their proportions.

    Args:
        shape: Numbers of shapes, shape (n,).
        draws: Not used.
        views: Not used.
    """
    return Tiles(boxes(FULL, FULL, len(shape)), HALF_PLACES[shape], opaque(len(shape)))


SQUEEZED_HALVES: Final = Layout(HALVES, squeezed_halves)
