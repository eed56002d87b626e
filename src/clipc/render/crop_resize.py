"""Crop and resize: boxes of kept pictures, resized into their places in a batch, one after the other on the CPU.

PyTorch's antialiased bicubic filter for ``uint8`` is the one of Pillow, several times as fast. It begins at whole
pixels only; what that moves a box by is made small, see :func:`_aligned`.
"""

from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from clipc.render.pixels import Pixels

_LEAD: Final = 4
"""How many pixels more than asked for may be made, to the left and above, for a better alignment."""
_REACH: Final = 2.0
"""How far the bicubic filter sees, in steps."""
_GREY: Final = (0.299, 0.587, 0.114)

_bicubic = torch.ops.aten._upsample_bicubic2d_aa.out  # F.interpolate cannot write into a given tensor


@dataclass(frozen=True, eq=False)
class Cuts:
    """What is cut of kept pictures and where it is laid; one row a tile.

    Attributes:
        picture: The number of the picture, ``int64``, shape (n,).
        box: x0, y0, x1, y1 in the picture as it is kept, in pixels; ``float64``, shape (n, 4).
        row: The picture of the batch that it is laid into, ``int64``, shape (n,).
        place: x0, y0, x1, y1 there, in pixels, never without area; ``int64``, shape (n, 4).
        mirrored: ``bool``, shape (n,).
        opacity: In [0, 1]; below 1 what lies there shines through; ``float32``, shape (n,).
        colour: Factors of brightness, contrast and saturation, 1 for no change; ``float32``, shape (n, 3).
    """

    picture: npt.NDArray[np.int64]
    box: npt.NDArray[np.float64]
    row: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    mirrored: npt.NDArray[np.bool_]
    opacity: npt.NDArray[np.float32]
    colour: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.picture)

    def __getitem__(self, rows: npt.NDArray[np.integer]) -> "Cuts":
        return Cuts(*(getattr(self, f.name)[rows] for f in fields(self)))


def lay_one_by_one(images: torch.Tensor, pixels: Pixels, cuts: Cuts) -> None:
    """Cuts and resizes (bicubic, antialiased), mirrors, changes colours, and lays tiles into a batch's pictures.

    Args:
        images: RGB ``uint8``, shape (B, S, S, 3), contiguous and on the CPU; written to in the places only.
        pixels: The pictures, on the CPU.
        cuts: What to lay; later ones over earlier ones.
    """
    if not len(cuts):
        return
    width, height = pixels.size[cuts.picture].T
    across = _aligned(cuts.box[:, 0], cuts.box[:, 2], cuts.place[:, 2] - cuts.place[:, 0], width)
    down = _aligned(cuts.box[:, 1], cuts.box[:, 3], cuts.place[:, 3] - cuts.place[:, 1], height)
    first = 3 * (pixels.start[cuts.picture] + down.first * width + across.first)
    room = torch.empty(3 * int((down.made * across.made).max()), dtype=torch.uint8)
    made, pictures = room.numpy(), images.numpy()
    coloured = (cuts.colour != 1).any(axis=1)
    numbers = (cuts.row, cuts.mirrored, cuts.opacity, coloured, first, 3 * width)
    numbers += (down.read, across.read, down.made, across.made, down.scale, across.scale, down.lead, across.lead)
    for i, (place, (row, mirrored, opacity, changed, at, stride, h, w, tall, wide, up, along, top, left)) in enumerate(
        zip(cuts.place.tolist(), zip(*(n.tolist() for n in numbers), strict=True), strict=True)
    ):
        x0, y0, x1, y1 = place
        source = pixels.values.as_strided((1, 3, h, w), (h * stride, 1, stride, 3), at)
        target = room.as_strided((1, 3, tall, wide), (3 * tall * wide, 1, 3 * wide, 3), 0)
        _bicubic(source, (tall, wide), False, up, along, out=target)
        if mirrored:  # NumPy turns pixels of three values round one by one, PyTorch many at a time
            whole = target.flip(3).permute(0, 2, 3, 1).numpy()[0]
            tile = whole[top : top + y1 - y0, wide - left - (x1 - x0) : wide - left]
        else:
            whole = made[: 3 * tall * wide].reshape(tall, wide, 3)
            tile = whole[top : top + y1 - y0, left : left + x1 - x0]
        if changed:
            tile = recoloured(torch.from_numpy(tile.astype(np.float32))[None], cuts.colour[i : i + 1])[0].numpy()
        under = pictures[row, y0:y1, x0:x1]
        under[:] = tile if opacity == 1 else _seen_through(under, tile, opacity)


def recoloured(tiles: torch.Tensor, factors: npt.NDArray[np.float32]) -> torch.Tensor:
    """Changes brightness, then contrast around the tile's mean, then saturation, of whole tiles at once.

    All three are linear, so together they are one 3 x 3 matrix and an offset.

    Args:
        tiles: RGB in 0..255, floating point, shape (n, height, width, 3).
        factors: For brightness, contrast and saturation, shape (n, 3).

    Returns:
        Whole numbers in 0..255, of the same shape and type.
    """
    brightness, contrast, saturation = factors.T
    eye, grey = np.eye(3, dtype=np.float32), np.tile(np.array(_GREY, dtype=np.float32)[:, None], (1, 3))
    mixed = saturation[:, None, None] * eye + (1 - saturation)[:, None, None] * grey
    matrix = torch.from_numpy((brightness * contrast)[:, None, None] * mixed).to(tiles)
    share = torch.from_numpy(brightness * (1 - contrast)).to(tiles)
    flat = tiles.flatten(1, 2)
    offset = flat.mean(dim=(1, 2)) * share
    return torch.baddbmm(offset[:, None, None], flat, matrix).round_().clamp_(0, 255).view_as(tiles)


class _Axis(NamedTuple):
    """How boxes are read along one axis: whole numbers but for ``scale``; each of shape (n,).

    Attributes:
        first: The first pixel read.
        read: How many are read.
        lead: How many pixels are made too much before the tile.
        made: How many are made.
        scale: Pixels made for each pixel read.
    """

    first: npt.NDArray[np.int64]
    read: npt.NDArray[np.int64]
    lead: npt.NDArray[np.int64]
    made: npt.NDArray[np.int64]
    scale: npt.NDArray[np.float64]


def _aligned(
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    count: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
) -> _Axis:
    """Boxes along one axis for a filter that begins at whole pixels.

    A few pixels are made before the box, as many as let it begin nearest to where it should; what remains is taken
    up by the step, so that the middle of the box is exactly where it should be, and its edges nearly.

    Args:
        low: Where the boxes begin, in pixels, shape (n,).
        high: Where they end.
        count: How many pixels are made of them.
        size: The pictures' sizes, in pixels.
    """
    extent = np.maximum(high - low, 1e-3)
    lead = np.arange(_LEAD + 1)
    begin = low[:, None] - lead * (extent / count)[:, None]
    # The step of a box of a pixel or so must not be changed so much.
    whole = np.where(extent[:, None] < 2, np.floor(begin), np.rint(begin))
    whole = np.minimum(whole, size[:, None] - 1)
    missed = np.where(whole < 0, np.inf, np.abs(begin - whole))
    best = missed.argmin(axis=1)
    first = whole[np.arange(len(low)), best]
    step = (low + extent / 2 - first) / (best + count / 2)
    seen = np.ceil(step * (best + count) + _REACH * np.maximum(step, 1)) + 1
    read = np.minimum(size - first, seen).astype(np.int64)
    made = best + count
    # As many pixels made as read are copied, whatever the step: then read one more, or make one more.
    equal = (read == made) & (step != 1)
    more = equal & (first + read < size)
    return _Axis(first.astype(np.int64), read + more, best, made + (equal & ~more), 1 / step)


def _seen_through(
    under: npt.NDArray[np.uint8], tile: npt.NDArray[np.uint8 | np.float32], opacity: float
) -> npt.NDArray[np.uint8]:
    mixed = under * np.float32(1 - opacity) + tile * np.float32(opacity)
    return np.rint(mixed, out=mixed).astype(np.uint8)
