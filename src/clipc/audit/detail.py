"""What an image loses when it is reduced to the model's size."""

from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from clipc.compose.arrays import Bytes, Float32s

FEW_PIXELS: Final = 4.0
"""A structure of fewer model pixels than this along a side is hardly recognised: a patch of a ViT has 14 to 32."""

_WORKING: Final = (8, 4, 2)
"""Structures are looked for in copies of so many pixels to each of the model's: noise averages out in the smaller ones,
tiny structures are there in the larger ones."""
_PEAK, _RARE = 10.0, 6.0
_MAX_AREA: Final = 0.005
_MIN_SIGMA: Final = 1.0
_MIN_EXTENT: Final = 3.0
"""Smaller structures are noise, dead pixels, or the strokes of lettering."""


class Detail(NamedTuple):
    """What one image loses.

    Attributes:
        scale: Pixels of the image to one of the model's, along a side; at most 1 where nothing is reduced.
        loss: The share of the image's variance that the reduction removes, in [0, 1]: by Parseval's theorem that of its
            spectral energy.
        structure: The side of the smallest isolated structure in pixels of the model's; None if there is none.
        place: Its centre as fractions of the image's width and height; the centre of the image if there is none.
    """

    scale: float
    loss: float
    structure: float | None
    place: tuple[float, float]


def detail(image: Bytes, size: int) -> Detail:
    """What the evaluation's view of an image loses: its centre square, reduced to ``size`` pixels.

    A structure is isolated if it stands out of its surroundings by ten standard deviations of the fine detail (by
    their median absolute deviation) while less than 0.5% of the area reaches six: a defect on a plate, but no grass. It
    is small if its half-height box has fewer than :data:`FEW_PIXELS` of the model's pixels along a side, as the
    geometric mean of width and height.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        size: The side of the model's images in pixels.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    scale = side / size
    if scale <= 1:
        return Detail(scale, 0.0, None, (0.5, 0.5))
    grey = np.asarray(Image.fromarray(image[top : top + side, left : left + side]).convert("L")).astype(np.float32)
    variance = float(grey.var())
    loss = float(np.square(grey - _reduced(grey, size)).mean()) / variance if variance > 1e-6 else 0.0
    sides = sorted({min(side, pixels * size) for pixels in _WORKING}, reverse=True)
    coarse = max(2, round(size / FEW_PIXELS))
    structures = [each for working in sides if (each := _isolated(_resized(grey, working), coarse)) is not None]
    if not structures:
        return Detail(scale, min(1.0, loss), None, (0.5, 0.5))
    strongest = max(structures, key=lambda each: each.strength)
    place = ((left + strongest.x * side) / width, (top + strongest.y * side) / height)
    return Detail(scale, min(1.0, loss), strongest.extent * size, place)


def _resized(grey: Float32s, side: int) -> Float32s:
    if grey.shape == (side, side):
        return grey
    return np.asarray(Image.fromarray(grey, "F").resize((side, side), Image.Resampling.BICUBIC))


def _reduced(grey: Float32s, size: int) -> Float32s:
    """The image as far as ``size`` pixels hold it, at its own size again."""
    return _resized(_resized(grey, size), grey.shape[0])


class _Structure(NamedTuple):
    """An isolated structure: its strength in standard deviations; its side and centre as fractions of the image."""

    strength: float
    extent: float
    x: float
    y: float


def _isolated(grey: Float32s, coarse: int) -> _Structure | None:
    """The strongest isolated structure among those that ``coarse`` pixels cannot hold; None if there is none."""
    from scipy.ndimage import label

    residual = np.abs(grey - _reduced(grey, coarse))
    sigma = max(_MIN_SIGMA, 1.4826 * float(np.median(residual)))
    peak = float(residual.max())
    if peak < _PEAK * sigma or float((residual > _RARE * sigma).mean()) > _MAX_AREA:
        return None
    y, x = np.unravel_index(int(residual.argmax()), residual.shape)
    labels, _ = label(residual > peak / 2)  # pyright: ignore[reportGeneralTypeIssues]
    rows, columns = np.nonzero(labels == labels[y, x])
    extent = float(np.sqrt((np.ptp(rows) + 1) * (np.ptp(columns) + 1)))
    if extent < _MIN_EXTENT:
        return None
    side = grey.shape[0]
    return _Structure(peak / sigma, extent / side, (float(x) + 0.5) / side, (float(y) + 0.5) / side)
