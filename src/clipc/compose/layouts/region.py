"""Region: the half of each view that keeps an expert's region."""

from typing import Final

import numpy as np

from clipc.compose.arrays import Positions
from clipc.compose.layouts.centre_halves import centre_halves
from clipc.compose.layouts.layout import HALVES, Layout
from clipc.compose.layouts.tiles import Floats, Tiles, Views


def region(shape: Positions, draws: Floats, views: Views) -> Tiles:
    """Halves as large as centre halves, moved so that each keeps its region as far as it fits.

    The window moves along both axes, and out of the view if the region is there, but never out of the
    image. A source without a region shows its centre half.

    Args:
        shape: Numbers of shapes, shape (n,).
        draws: Not used.
        views: The images' edges and the regions.
    """
    tiles = centre_halves(shape, draws, views)
    low, high = tiles.window[..., :2], tiles.window[..., 2:]
    size = high - low
    first, last = views.region[..., :2], views.region[..., 2:]
    # A region that fits may be anywhere inside the window, so the window moves as little as possible;
    # it is centred on one that does not fit.
    fits = last - first <= size
    nearest = np.clip(low, last - size, first)
    start = np.where(fits, nearest, (first + last - size) / 2)
    start = np.clip(start, views.bounds[..., :2], views.bounds[..., 2:] - size)
    has_region = np.isfinite(views.region).all(axis=-1, keepdims=True)
    start = np.where(has_region, start, low)
    return Tiles(np.concatenate([start, start + size], axis=-1).astype(np.float32), tiles.place, tiles.opacity)


REGION: Final = Layout(HALVES, region)
