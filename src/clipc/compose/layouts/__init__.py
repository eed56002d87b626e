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
    AXES,
    BOX,
    FIRST_IMAGE,
    LAYOUT_NAMES,
    OVERLAY,
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

    @property
    def has_axes(self) -> bool:
        """Whether its composites are halves, which a policy or a rule may turn."""
        return self.codes == _HALVES

    def drawn_from(self, axis: str) -> tuple[int, ...]:
        """The codes that composites get, for a policy's ``axis``."""
        return tuple(code for code in self.codes if LAYOUT_NAMES[code] == axis) or self.codes


_HALVES: Final = tuple(AXES.values())
LAYOUTS: Final = {
    "centre-halves": Layout(centre_halves, _HALVES),
    "squeezed-halves": Layout(squeezed_halves, _HALVES),
    "region": Layout(region, _HALVES),
    "cutmix": Layout(cutmix, (BOX,)),
    "blend": Layout(blend, (OVERLAY,)),
    "first-image": Layout(first_image, (FIRST_IMAGE,)),
}
"""The layouts that a policy can name."""
