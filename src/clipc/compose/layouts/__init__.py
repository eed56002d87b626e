"""Layouts: how two views become one image."""

from typing import Final

from clipc.compose.layouts.halves import centre_halves, region, squeezed_halves
from clipc.compose.layouts.layout import HALVES, SHAPES, Layout
from clipc.compose.layouts.overlays import blend, cutmix, first_image
from clipc.compose.layouts.tiles import BOX, FIRST_IMAGE, OVERLAY
from clipc.extension import load

LAYOUTS: Final = {
    "centre-halves": Layout(HALVES, centre_halves),
    "squeezed-halves": Layout(HALVES, squeezed_halves),
    "region": Layout(HALVES, region),
    "cutmix": Layout((SHAPES[BOX],), cutmix),
    "blend": Layout((SHAPES[OVERLAY],), blend),
    "first-image": Layout((SHAPES[FIRST_IMAGE],), first_image),
}
"""The built-in layouts by their names in a policy; ``region`` joins halves that keep a given region visible."""


def find_layout(name: str) -> Layout:
    """A built-in layout, or the layout that a user wrote.

    Args:
        name: One of :data:`LAYOUTS`, or ``module:object``.

    Raises:
        UserError: The user's layout cannot be loaded.
    """
    return LAYOUTS[name] if name in LAYOUTS else load(name, Layout, "a clipc.Layout")
