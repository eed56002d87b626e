"""First image: the control that composes captions only."""

from typing import Final

from clipc.compose.arrays import Positions
from clipc.compose.layouts.layout import SHAPES, Layout
from clipc.compose.layouts.tiles import FIRST_IMAGE, FULL, NOWHERE, Floats, Tiles, Views, boxes, opaque


def first_image(shape: Positions, draws: Floats, views: Views) -> Tiles:
    """The first view alone, whatever the caption says: caption-only composition, a control.

    Args:
        shape: Numbers of shapes, shape (n,).
        draws: Not used.
        views: Not used.
    """
    alone = boxes(FULL, NOWHERE, len(shape))
    return Tiles(alone, alone, opaque(len(shape)))


FIRST_IMAGE_ALONE: Final = Layout((SHAPES[FIRST_IMAGE],), first_image)
