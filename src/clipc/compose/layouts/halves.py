"""Layouts of halves: each view fills one half of the image, side by side or one above the other."""

from typing import Final

import numpy as np

from clipc.compose.arrays import Float32s, Positions
from clipc.compose.layouts.tiles import FULL, Tiles, Views, boxes, opaque

_CENTRES: Final = np.array([[(0.25, 0.0, 0.75, 1.0)] * 2, [(0.0, 0.25, 1.0, 0.75)] * 2], dtype=np.float32)
_PLACES: Final = np.array(
    [[(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)], [(0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)]], dtype=np.float32
)
"""Places of the first and second half, by shape (side by side, one above the other); array of shape (2, 2, 4)."""


def centre_halves(shape_index: Positions, draws: Float32s, views: Views) -> Tiles:
    """The centre half of each view, joined along the cut axis (CLIP-C, arXiv 2407.01408).

    Args:
        shape_index: Index into the layout's ``shapes``, one per example; array of length n.
        draws: Not used.
        views: Not used.
    """
    return Tiles(_CENTRES[shape_index], _PLACES[shape_index], opaque(len(shape_index)))


def squeezed_halves(shape_index: Positions, draws: Float32s, views: Views) -> Tiles:
    """Each view squeezed to half its width or height: nothing is cut away, but the aspect ratio changes.

    Args:
        shape_index: Index into the layout's ``shapes``, one per example; array of length n.
        draws: Not used.
        views: Not used.
    """
    return Tiles(boxes(FULL, FULL, len(shape_index)), _PLACES[shape_index], opaque(len(shape_index)))


def region(shape_index: Positions, draws: Float32s, views: Views) -> Tiles:
    """Halves of the size of centre halves, moved so that each shows its region, or as much of it as fits.

    The window may move along both axes. It may leave the view to reach the region, but never the image. A source
    without a region shows its centre half.

    Args:
        shape_index: Index into the layout's ``shapes``, one per example; array of length n.
        draws: Not used.
        views: The views, whose ``bounds`` and ``region`` are used.
    """
    tiles = centre_halves(shape_index, draws, views)
    low = tiles.window[..., :2]
    size = tiles.window[..., 2:] - low
    first, last = views.region[..., :2], views.region[..., 2:]
    # If the region fits into the window, the window moves as little as possible; otherwise the window is centred on it.
    start = np.where(last - first <= size, np.clip(low, last - size, first), (first + last - size) / 2)
    start = np.clip(start, views.bounds[..., :2], views.bounds[..., 2:] - size)
    start = np.where(np.isfinite(views.region).all(axis=-1, keepdims=True), start, low)
    return Tiles(np.concatenate([start, start + size], axis=-1).astype(np.float32), tiles.place, tiles.opacity)
