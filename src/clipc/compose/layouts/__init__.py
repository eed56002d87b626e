"""Layouts: how two views become one image, one file each."""

from typing import Final

from clipc.compose.layouts.blend import BLEND
from clipc.compose.layouts.centre_halves import CENTRE_HALVES
from clipc.compose.layouts.cutmix import CUTMIX
from clipc.compose.layouts.first_image import FIRST_IMAGE_ALONE
from clipc.compose.layouts.layout import Layout
from clipc.compose.layouts.region import REGION
from clipc.compose.layouts.squeezed_halves import SQUEEZED_HALVES
from clipc.extension import load

LAYOUTS: Final = {
    "centre-halves": CENTRE_HALVES,
    "squeezed-halves": SQUEEZED_HALVES,
    "region": REGION,
    "cutmix": CUTMIX,
    "blend": BLEND,
    "first-image": FIRST_IMAGE_ALONE,
}
"""The built-in layouts by their names in a policy."""


def find_layout(name: str) -> Layout:
    """A built-in layout, or the user's own.

    Args:
        name: One of :data:`LAYOUTS`, or ``module:object``.

    Raises:
        UserError: The user's own cannot be loaded.
    """
    return LAYOUTS[name] if name in LAYOUTS else load(name, Layout, "a clipc.Layout")
