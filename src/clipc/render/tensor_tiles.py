"""Layouts on tensors: composes images that the user's transform has already cropped and resized."""

import numpy as np
import torch
from torch.nn import functional as F

from clipc.compose.arrays import Float32s, Int64s
from clipc.compose.layouts.tiles import Tiles
from clipc.errors import UserError


def paste_tiles(first: torch.Tensor, second: torch.Tensor, tiles: Tiles) -> torch.Tensor:
    """Composes images row by row: pastes each source's window into its place.

    Places are rounded to whole pixels, as by the worker renderer. A window whose size differs from that of its place by
    less than a pixel is copied without resampling (centre halves, CutMix). Other windows are rounded to whole pixels
    and resized (bilinear, antialiased).

    Args:
        first: The first sources, floating point or ``uint8``, in any range, shape (n, 3, S, S).
        second: The second sources, of the same shape and type; rows without a second source are not read.
        tiles: Windows, places and opacities of the n rows; the views are the whole images.

    Returns:
        A new tensor like ``first``; rows without a second source equal it to the last bit. The inputs are
        not modified.

    Raises:
        UserError: The images are not square, or the sources differ in shape or type.
    """
    if first.ndim != 4 or first.shape[2] != first.shape[3]:
        raise UserError(f"images must be square, shape (n, 3, S, S), not {tuple(first.shape)}.")
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        raise UserError(
            f"both sources must have one shape and type, not {tuple(first.shape)} {first.dtype} and "
            f"{tuple(second.shape)} {second.dtype}."
        )
    size = first.shape[-1]
    images = first.clone()
    places = np.rint(tiles.place * size).astype(np.int64)
    for side, source in enumerate((first, second)):
        windows = _windows(tiles.window[:, side] * np.float32(size), places[:, side], size)
        # Rows of equal geometry go through one tensor operation together.
        rows_by_geometry: dict[tuple[int | float, ...], list[int]] = {}
        geometry = zip(places[:, side].tolist(), windows.tolist(), tiles.opacity[:, side].tolist(), strict=True)
        for row, (place, window, opacity) in enumerate(geometry):
            x0, y0, x1, y1 = place
            if x0 < x1 and y0 < y1 and (side or place != window):
                rows_by_geometry.setdefault((*place, *window, opacity), []).append(row)
        for (*boxes, opacity), rows in rows_by_geometry.items():
            _paste(images, source, rows, boxes, opacity)
    return images


def _windows(boxes: Float32s, places: Int64s, size: int) -> Int64s:
    """Windows in whole pixels, shape (n, 4); with the size of their places if the sizes differ by less than a pixel."""
    low, high = boxes[:, :2], boxes[:, 2:]
    place_size = places[:, 2:] - places[:, :2]
    start = np.clip(np.rint((low + high - place_size) / 2), 0, size - place_size)
    equal_size = np.abs(high - low - place_size).max(axis=1, keepdims=True) < 1
    edges = np.clip(np.rint(boxes), 0, size)
    # Every window has at least one pixel each way.
    edges[:, :2] = np.minimum(edges[:, :2], size - 1)
    edges[:, 2:] = np.maximum(edges[:, 2:], edges[:, :2] + 1)
    return np.where(equal_size, np.concatenate([start, start + place_size], axis=1), edges).astype(np.int64)


def _paste(
    images: torch.Tensor, source: torch.Tensor, rows: list[int], boxes: list[int | float], opacity: float
) -> None:
    """Pastes one window of several rows of the source into one place of the same rows of the images.

    ``boxes`` are x0, y0, x1, y1 of the place, then of the window.
    """
    x0, y0, x1, y1, left, top, right, bottom = map(int, boxes)
    index = torch.tensor(rows, device=images.device)
    tile = source[index, :, top:bottom, left:right]
    dtype = torch.promote_types(tile.dtype, torch.float32)
    if (x1 - x0, y1 - y0) != (right - left, bottom - top):
        tile = F.interpolate(tile.to(dtype), (y1 - y0, x1 - x0), mode="bilinear", antialias=True, align_corners=False)
    if opacity < 1:
        tile = torch.lerp(images[index, :, y0:y1, x0:x1].to(dtype), tile.to(dtype), opacity)
    if not images.dtype.is_floating_point:
        tile = tile.to(dtype).round().clamp(0, 255)
    images[index, :, y0:y1, x0:x1] = tile.to(images.dtype)
