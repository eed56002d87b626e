"""Layouts on tensors: composes pictures that somebody's own transform has made already."""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from clipc.compose.layouts.tiles import Floats, Tiles
from clipc.errors import UserError

Boxes = npt.NDArray[np.int64]


def lay_tiles(first: torch.Tensor, second: torch.Tensor, tiles: Tiles) -> torch.Tensor:
    """Composes pictures row by row: each source's window, in its place.

    Places are rounded to whole pixels as the worker renderer rounds them. A window that is as large as its place, to
    less than a pixel, is copied without resampling (centre halves, CutMix); any other is taken at whole
    pixels and resized (bilinear, antialiased).

    Args:
        first: The first sources, floating point or ``uint8``, in any range, shape (n, 3, S, S).
        second: The second sources, of the same shape and type; a row that shows none is not read.
        tiles: Windows, places and opacities of the n rows; the views are the whole pictures.

    Returns:
        A new tensor like ``first``; rows without a second source equal it to the last bit. The given tensors
        are not written to.

    Raises:
        UserError: The pictures are not square, or the sources differ in shape or type.
    """
    if first.ndim != 4 or first.shape[2] != first.shape[3]:
        raise UserError(f"pictures must be square, shape (n, 3, S, S), not {tuple(first.shape)}.")
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        raise UserError(
            f"both sources must have one shape and type, not {tuple(first.shape)} {first.dtype} and "
            f"{tuple(second.shape)} {second.dtype}."
        )
    size = first.shape[-1]
    pictures = first.clone()
    places = np.rint(tiles.place * size).astype(np.int64)
    for side, source in enumerate((first, second)):
        windows = _windows(tiles.window[:, side] * np.float32(size), places[:, side], size)
        # Rows of equal geometry go through one tensor operation together.
        alike: dict[tuple[int | float, ...], list[int]] = {}
        geometry = zip(places[:, side].tolist(), windows.tolist(), tiles.opacity[:, side].tolist(), strict=True)
        for row, (place, window, opacity) in enumerate(geometry):
            x0, y0, x1, y1 = place
            if x0 < x1 and y0 < y1 and (side or place != window):
                alike.setdefault((*place, *window, opacity), []).append(row)
        for (*boxes, opacity), rows in alike.items():
            _lay(pictures, source, rows, boxes, opacity)
    return pictures


def _windows(boxes: Floats, places: Boxes, size: int) -> Boxes:
    """Windows at whole pixels, shape (n, 4): exactly as large as their places where that is what was meant."""
    low, high = boxes[:, :2], boxes[:, 2:]
    wanted = places[:, 2:] - places[:, :2]
    start = np.clip(np.rint((low + high - wanted) / 2), 0, size - wanted)
    as_large = np.abs(high - low - wanted).max(axis=1, keepdims=True) < 1
    edges = np.clip(np.rint(boxes), 0, size)
    # Even the thinnest window shows a pixel.
    edges[:, :2] = np.minimum(edges[:, :2], size - 1)
    edges[:, 2:] = np.maximum(edges[:, 2:], edges[:, :2] + 1)
    return np.where(as_large, np.concatenate([start, start + wanted], axis=1), edges).astype(np.int64)


def _lay(
    pictures: torch.Tensor, source: torch.Tensor, rows: list[int], boxes: list[int | float], opacity: float
) -> None:
    """Puts one window of some rows of the source into one place of the same rows of the pictures."""
    x0, y0, x1, y1, left, top, right, bottom = map(int, boxes)
    which = torch.tensor(rows, device=pictures.device)
    tile = source[which, :, top:bottom, left:right]
    number = torch.promote_types(tile.dtype, torch.float32)
    if (x1 - x0, y1 - y0) != (right - left, bottom - top):
        tile = F.interpolate(tile.to(number), (y1 - y0, x1 - x0), mode="bilinear", antialias=True, align_corners=False)
    if opacity < 1:
        tile = torch.lerp(pictures[which, :, y0:y1, x0:x1].to(number), tile.to(number), opacity)
    if not pictures.dtype.is_floating_point:
        tile = tile.to(number).round().clamp(0, 255)
    pictures[which, :, y0:y1, x0:x1] = tile.to(pictures.dtype)
