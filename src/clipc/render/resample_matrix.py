"""Crop and resize as matrix products: many tiles at once, on any device.

Cropping, resizing and mirroring are linear maps along each axis. So a tile is ``D X A'`` with the image X, the vertical
matrix D and the horizontal matrix A. Boxes need not start at whole pixels.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.compose.arrays import Float32s
from clipc.render.colour import colour_maps
from clipc.render.cuts import Cuts
from clipc.render.pixels import Pixels

_REACH: Final = 2.0
"""The radius of the bicubic filter, in pixels of the coarser of image and tile."""
_CURVE: Final = -0.5
"""The bicubic filter's parameter, as in Pillow."""
_MAX_GATHERED: Final = 1 << 23
"""The largest number of source pixels gathered at a time: about 300 MB on a GPU."""


def paste_cuts_batched(images: torch.Tensor, pixels: Pixels, cuts: Cuts) -> None:
    """Does the same as :func:`~clipc.render.cuts.paste_cuts`, for many tiles of one size at a time.

    Args:
        images: RGB ``uint8``, shape (B, S, S, 3); only the destination boxes are written.
        pixels: The stored images, on the same device.
        cuts: The cuts; their destination boxes must not overlap.
    """
    for group, (width, height, turns) in _by_size(cuts, pixels):
        tiles = torch.rot90(_tiles(pixels, group, width, height), turns, (1, 2))
        height, width = tiles.shape[1:3]
        if (group.colour != 1).any():
            tiles = _adjust_colour(tiles, group.colour)
        whole = _to_device(np.column_stack([group.row, group.place[:, :2]]), images.device)
        rows, x0, y0 = whole.T
        across = x0[:, None] + torch.arange(width, device=images.device)
        down = y0[:, None] + torch.arange(height, device=images.device)
        where = (rows[:, None, None], down[:, :, None], across[:, None, :])
        if (group.opacity != 1).any():
            opacity = _to_device(group.opacity, images.device)[:, None, None, None]
            tiles = torch.lerp(images[where].to(torch.float32), tiles, opacity).round_()
        images[where] = tiles.to(torch.uint8)


def _by_size(cuts: Cuts, pixels: Pixels) -> Iterator[tuple[Cuts, tuple[int, int, int]]]:
    """Yields cuts of the same width, height and turn, with these, in chunks that fit into memory."""
    kinds = np.column_stack([cuts.size, cuts.turns_after_mirroring])
    sizes, kind = np.unique(kinds, axis=0, return_inverse=True)
    for number, (width, height, turns) in enumerate(sizes.tolist()):
        rows = np.flatnonzero(kind.reshape(-1) == number)
        extent = np.minimum(np.ceil(cuts.box[rows, 2:] - cuts.box[rows, :2]) + 6, pixels.size[cuts.image[rows]])
        step = max(1, int(_MAX_GATHERED / extent.max(axis=0).prod()))
        for first in range(0, len(rows), step):
            yield cuts[rows[first : first + step]], (width, height, turns)


def _tiles(pixels: Pixels, cuts: Cuts, width: int, height: int) -> torch.Tensor:
    """The tiles of cuts of one size, rounded; ``float32``, shape (n, height, width, 3)."""
    device = pixels.values.device
    size = pixels.size[cuts.image]
    count = np.array([width, height])
    low, high = cuts.box[:, :2], cuts.box[:, 2:]
    step = np.maximum(high - low, 1e-3) / count
    reach = _REACH * np.maximum(step, 1)
    first = np.clip(np.floor(low - reach), 0, size - 1).astype(np.int64)
    last = np.clip(np.ceil(high + reach), first + 1, size).astype(np.int64)
    taps_across, taps_down = (last - first).max(axis=0).tolist()
    whole = np.column_stack([pixels.start[cuts.image], size[:, 0], first, last - first - 1])
    start, stride, x, y, last_x, last_y = _to_device(whole, device).T[:, :, None]
    # Positions relative to the gathered pixels are small, so single precision is enough for them.
    fractions = np.column_stack([low - first, step, last - first, cuts.mirrored]).astype(np.float32)
    low_x, low_y, step_x, step_y, end_x, end_y, mirrored = _to_device(fractions, device).T[:, :, None, None]
    columns = x + torch.arange(taps_across, device=device).minimum(last_x)
    rows = y + torch.arange(taps_down, device=device).minimum(last_y)
    where = (start + rows * stride)[:, :, None] + columns[:, None, :]
    dtype = torch.float16 if device.type == "cuda" else torch.float32  # 0 to 255 are exact in both.
    source = pixels.values.view(-1, 3)[where].transpose(2, 3).to(dtype, memory_format=torch.contiguous_format)
    n = len(cuts)
    across = _weights(low_x, step_x, end_x, width, taps_across, mirrored).to(dtype)
    down = _weights(low_y, step_y, end_y, height, taps_down, torch.zeros_like(mirrored)).to(dtype)
    lines = torch.bmm(down, source.view(n, taps_down, 3 * taps_across)).view(n, 3 * height, taps_across)
    tiles = torch.bmm(lines, across.transpose(1, 2)).view(n, height, 3, width)
    return tiles.transpose(2, 3).to(torch.float32).round_().clamp_(0, 255)


def _to_device(values: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copies numbers to a device without waiting for its queued work."""
    return torch.from_numpy(values).to(device, non_blocking=True)


def _adjust_colour(tiles: torch.Tensor, factors: Float32s) -> torch.Tensor:
    """Changes the colours of tiles, ``float32``, shape (n, height, width, 3); the result is rounded."""
    matrices, shares = (_to_device(part, tiles.device) for part in colour_maps(factors))
    colours = tiles.flatten(1, 2)
    offset = shares * colours.mean(dim=(1, 2))
    return torch.baddbmm(offset[:, None, None], colours, matrices).round_().clamp_(0, 255).view_as(tiles)


def _weights(
    low: torch.Tensor, step: torch.Tensor, end: torch.Tensor, count: int, taps: int, mirrored: torch.Tensor
) -> torch.Tensor:
    """The weights of input pixels for each output pixel: the bicubic filter, widened if the box is shrunk.

    Args:
        low: The start of each box, in pixels from the first input pixel; shape (n, 1, 1).
        step: Input pixels per output pixel, shape (n, 1, 1).
        end: The number of input pixels inside the image, shape (n, 1, 1).
        count: The number of output pixels.
        taps: The number of input pixels.
        mirrored: 1 for a mirrored tile, else 0; shape (n, 1, 1).

    Returns:
        Shape (n, count, taps); each row sums to 1.
    """
    output = torch.arange(count, device=low.device)[:, None]
    source = torch.arange(taps, device=low.device)
    output = torch.where(mirrored > 0, count - 1 - output, output)
    x = ((source + 0.5 - low - (output + 0.5) * step) / step.clamp(min=1)).abs()
    near = ((_CURVE + 2) * x - (_CURVE + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _CURVE
    weights = torch.where(x < 1, near, torch.where(x < _REACH, far, 0)) * (source < end)
    return weights / weights.sum(dim=2, keepdim=True)
