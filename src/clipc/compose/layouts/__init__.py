"""Layouts: how two views become one picture, one file each."""

from collections.abc import Callable
from typing import Final, NamedTuple

from clipc.compose.layouts.blend import blend
from clipc.compose.layouts.centre_halves import centre_halves
from clipc.compose.layouts.cutmix import cutmix
from clipc.compose.layouts.first_image import first_image
from clipc.compose.layouts.region import region
from clipc.compose.layouts.squeezed_halves import squeezed_halves
from clipc.compose.layouts.tiles import (
    BOX,
    FIRST_IMAGE,
    LEFT_RIGHT,
    OVERLAY,
    TOP_BOTTOM,
    Codes,
    Floats,
    Tiles,
    Views,
)


class Layout(NamedTuple):
    """A way to join two views.

    Attributes:
        tiles: From codes (n,), draws (n, 4) in [0, 1) and views to tiles.
        codes: The codes that its composites have in a plan; halves have one for each axis.
    """

    tiles: Callable[[Codes, Floats, Views], Tiles]
    codes: tuple[int, ...]


_AXES = (LEFT_RIGHT, TOP_BOTTOM)
LAYOUTS: Final = {
    "centre-halves": Layout(centre_halves, _AXES),
    "squeezed-halves": Layout(squeezed_halves, _AXES),
    "region": Layout(region, _AXES),
    "cutmix": Layout(cutmix, (BOX,)),
    "blend": Layout(blend, (OVERLAY,)),
    "first-image": Layout(first_image, (FIRST_IMAGE,)),
}
"""The layouts that a policy can name."""
