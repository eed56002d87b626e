"""The resampler: a box of an image at another size, as Pillow's bicubic antialiased filter gives it.

PyTorch's filter for bytes is that of Pillow, several times as fast, and takes any scale; but it begins at a whole pixel
of the image, where a box hardly ever does. So it begins up to four pixels of the *result* before the box, wherever one
falls nearest to a whole pixel of the image, and what is too much is cut off. The rest is taken up by the scale: the
middle of the box is where it should be, and its edges are off by less than half a pixel of the image or of the result,
whichever is less. Where that cannot be (boxes of a few pixels, much enlarged), Pillow does the work.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn.functional import interpolate

Image8 = npt.NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""

_LEAD: Final = 4
"""How many pixels more than asked for may be made, to the left and above."""
_REACH: Final = 2.0
"""How far the bicubic filter sees, in steps."""
_UNSEEN: Final = 0.05
"""How many pixels of the result it may be off without anybody seeing it."""


class Window(NamedTuple):
    """How a box of an image is read.

    Attributes:
        box: The box.
        size: Width and height of the result.
        exact: Whether only Pillow can do it.
        read: x0, y0, x1, y1 of the pixels that are read.
        scale: Pixels of the result to one of the image, down and across.
        lead: How many pixels are made too much, to the left and above.
    """

    box: list[float]
    size: list[int]
    exact: bool
    read: list[int]
    scale: list[float]
    lead: list[int]


def windows(
    boxes: npt.NDArray[np.float64], sizes: npt.NDArray[np.integer], images: npt.NDArray[np.integer]
) -> list[Window]:
    """How boxes are read, all at once.

    Args:
        boxes: x0, y0, x1, y1 inside the images, shape (n, 4).
        sizes: Widths and heights of the results, shape (n, 2).
        images: Widths and heights of the images, shape (n, 2).
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    extent = high - low
    step = extent / sizes
    begin = low[..., None] - np.arange(_LEAD + 1) * step[..., None]
    whole = np.rint(begin)
    missed = np.where(whole < 0, np.inf, np.abs(begin - whole))
    lead = missed.argmin(axis=2)
    off, first = (np.take_along_axis(of, lead[..., None], axis=2)[..., 0] for of in (missed, whole))
    far = (off > 0) & (off >= np.minimum(step / 2, extent / 8))
    made = lead + sizes
    step = np.where(far, 1, (low + extent / 2 - first) / (lead + sizes / 2))
    # The last pixel that the filter sees, as it counts itself.
    seen = np.floor(step * (made - 0.5) + _REACH * np.maximum(step, 1) + 0.5)
    last = np.minimum(images, first + seen)
    # At the edge of an image rounding must not make one pixel too few.
    count = np.maximum(last - first, 1)
    scale = np.maximum(1 / step, (made + 1e-6) / count)
    # As many pixels made as read are copied, whatever the scale.
    far |= (np.floor(count * scale) == count) & (np.abs(step - 1) * made > _UNSEEN)
    read = np.concatenate([first, last], axis=1).astype(np.int64)
    columns = (boxes, sizes, far.any(axis=1), read, scale[:, ::-1], lead)
    return list(map(Window._make, zip(*(column.tolist() for column in columns), strict=True)))


def resample(image: Image8, window: Window, *, mirrored: bool = False) -> Image8:
    """Resizes a box of an image (bicubic, antialiased); what the result does not need is not touched.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        window: One of :func:`windows`, for an image of that size.
        mirrored: Whether left and right change places.

    Returns:
        RGB ``uint8``, of the window's size.
    """
    _, (width, height), exact, (x0, y0, x1, y1), scale, (left, top) = window
    if exact:
        made = resample_exactly(image, window.box, (width, height))
        return made[:, ::-1] if mirrored else made
    # With the axis of the batch made by reshape it counts as channels-last, which the filter is quickest with.
    source = image.reshape(1, *image.shape)[:, y0:y1, x0:x1]
    source = torch.from_numpy((source if source.flags.writeable else source.copy()).transpose(0, 3, 1, 2))
    tiles = interpolate(source, scale_factor=scale, mode="bicubic", antialias=True)
    if mirrored:  # NumPy turns pixels of three values round one by one, PyTorch many at a time.
        tiles, left = tiles.flip(3), tiles.shape[3] - left - width
    return tiles.numpy()[0].transpose(1, 2, 0)[top : top + height, left : left + width]


def resample_whole(image: Image8, size: tuple[int, int]) -> Image8:
    """A whole image at another size.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        size: Width and height of the result in pixels.
    """
    height, width = image.shape[:2]
    (window,) = windows(np.array([[0.0, 0, width, height]]), np.array([size]), np.array([[width, height]]))
    return resample(image, window)


def resample_exactly(
    image: Image8,
    box: Sequence[float] | None,
    size: tuple[int, int],
    filter_: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image8:
    """The same as Pillow does it, to the last bit, for whoever must show what others show; slower.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        box: x0, y0, x1, y1 inside the image; None for all of it.
        size: Width and height of the result in pixels.
        filter_: One of Pillow's.
    """
    edges = None if box is None else (box[0], box[1], box[2], box[3])
    return np.asarray(Image.fromarray(image).resize(size, filter_, edges))
