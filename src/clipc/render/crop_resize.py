"""Crop and resize: boxes of kept pictures, resized into their places in a batch, one after the other on the CPU.

PyTorch's antialiased bicubic filter for ``uint8`` is the one of Pillow, several times as fast. It begins at whole
pixels only; what that moves a box by is made small, see :func:`_aligned`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from clipc.render.colour import recoloured
from clipc.render.pixels import Pixels

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_LEAD: Final = 4
"""How many pixels more than asked for may be made, to the left and above, for a better alignment."""
_ENLARGED: Final = 0.5
"""Boxes of fewer pixels for each one made are left to Pillow."""
_REACH: Final = 2.0
"""How far the bicubic filter sees, in steps."""

# What F.interpolate calls; that takes a size or a scale and returns a new tensor, while here both matter and where the
# result lies.
_bicubic: Any = torch._C._nn._upsample_bicubic2d_aa  # pyright: ignore


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
    opacity: Floats
    colour: Floats

    def __len__(self) -> int:
        return len(self.picture)

    def __getitem__(self, rows: npt.NDArray[np.integer]) -> "Cuts":
        return Cuts(*(getattr(self, f.name)[rows] for f in fields(self)))


def lay_one_by_one(images: torch.Tensor, pixels: Pixels, cuts: Cuts) -> None:
    """Cuts and resizes (bicubic, antialiased), mirrors, changes colours, and lays tiles into a batch's pictures.

    Args:
        images: RGB ``uint8``, shape (B, S, S, 3), on the CPU; written to in the places only.
        pixels: The pictures, on the CPU.
        cuts: What to lay; later ones over earlier ones.
    """
    if not len(cuts):
        return
    pictures = images.numpy()
    coloured = (cuts.colour != 1).any(axis=1)
    looks = (cuts.place, cuts.row, cuts.opacity, coloured)
    for i, (tile, (x0, y0, x1, y1), row, opacity, other) in enumerate(
        zip(_tiles(pixels, cuts), *(column.tolist() for column in looks), strict=True)
    ):
        changed = recoloured(tile, cuts.colour[i]) if other else tile
        under = pictures[row, y0:y1, x0:x1]
        under[:] = changed if opacity == 1 else _seen_through(under, changed, opacity)


def _tiles(pixels: Pixels, cuts: Cuts) -> Iterator[Bytes]:
    """The tiles as they are before their colours change, each good until the next one is asked for."""
    values, size = pixels.values, pixels.size[cuts.picture]
    count = cuts.place[:, 2:] - cuts.place[:, :2]
    low, high = cuts.box[:, :2], cuts.box[:, 2:]
    across, down = (_aligned(low[:, k], high[:, k], count[:, k], size[:, k]) for k in (0, 1))
    start = pixels.start[cuts.picture]
    first = start + down.first * size[:, 0] + across.first
    enlarged = ((high - low) < _ENLARGED * count).any(axis=1)
    room = _Room(int((down.made * across.made).max()))
    steps = (down.read, across.read, down.made, across.made, down.scale, across.scale, down.lead, across.lead)
    columns = (enlarged, cuts.mirrored, 3 * first, 3 * size[:, 0], count[:, 0], count[:, 1], *steps)
    for i, (large, mirrored, at, line, width, height, rows, wide, tall, broad, up, along, top, left) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        if large:
            tile = _enlarged(pixels, int(cuts.picture[i]), cuts.box[i], (width, height))
            yield tile[:, ::-1] if mirrored else tile
            continue
        made, seen = room.of(tall, broad)
        read = values.as_strided((1, 3, rows, wide), (rows * line, 1, line, 3), at)
        _bicubic(read, (tall, broad), False, up, along, out=made)
        if mirrored:  # NumPy turns pixels of three values round one by one, PyTorch many at a time
            seen, left = made.flip(3).numpy()[0].transpose(1, 2, 0), broad - left - width
        yield seen[top : top + height, left : left + width]


def _enlarged(pixels: Pixels, picture: int, box: npt.NDArray[np.float64], size: tuple[int, int]) -> Bytes:
    """A tile of a picture that is much smaller: there whole pixels are too coarse to begin at."""
    start, (width, height) = int(pixels.start[picture]), pixels.size[picture].tolist()
    whole = pixels.values[3 * start : 3 * (start + width * height)].view(height, width, 3)
    edges = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    return np.asarray(Image.fromarray(whole.numpy()).resize(size, Image.Resampling.BICUBIC, edges))


class _Room:
    """Memory for one tile at a time, seen as pictures of different sizes."""

    def __init__(self, area: int) -> None:
        self._bytes = torch.empty(3 * area, dtype=torch.uint8)
        self._seen: dict[tuple[int, int], tuple[torch.Tensor, Bytes]] = {}

    def of(self, height: int, width: int) -> tuple[torch.Tensor, Bytes]:
        """The same pixels as a tensor of shape (1, 3, height, width) and as an array of shape (height, width, 3)."""
        found = self._seen.get((height, width))
        if found is None:
            pixels = self._bytes[: 3 * height * width].view(1, height, width, 3)
            found = self._seen[height, width] = pixels.permute(0, 3, 1, 2), pixels.numpy()[0]
        return found


class _Axis(NamedTuple):
    """How boxes are read along one axis; each of shape (n,).

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
    begin = low[:, None] - np.arange(_LEAD + 1) * (extent / count)[:, None]
    # The step of a box of a pixel or so must not be changed so much.
    whole = np.where(extent[:, None] < 2, np.floor(begin), np.rint(begin))
    whole = np.minimum(whole, size[:, None] - 1)
    missed = np.where(whole < 0, np.inf, np.abs(begin - whole))
    lead = missed.argmin(axis=1)
    first = whole[np.arange(len(low)), lead].astype(np.int64)
    step = (low + extent / 2 - first) / (lead + count / 2)
    made = lead + count
    seen = np.ceil(step * made + _REACH * np.maximum(step, 1)).astype(np.int64) + 1
    read = np.minimum(seen, size - first)
    # As many pixels made as read are copied, whatever the step: then one more is made.
    return _Axis(first, read, lead, made + ((read == made) & (step != 1)), 1 / step)


def _seen_through(under: Bytes, tile: Bytes, opacity: float) -> Bytes:
    mixed = under * np.float32(1 - opacity) + tile * np.float32(opacity)
    return np.rint(mixed, out=mixed).astype(np.uint8)
