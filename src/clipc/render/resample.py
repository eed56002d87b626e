"""The resampler: resizes a box of an image with Pillow's bicubic antialiased filter.

PyTorch's ``uint8`` filter equals Pillow's, is several times as fast, and takes any scale. But its input must start at a
whole pixel of the image, and a box rarely does. So the input starts up to four pixels of the *result* before the box:
at that one of them which is nearest to a whole pixel of the image. The surplus is cropped from the result. The scale is
then adjusted so that the centre of the box is exact; its edges are off by less than half a pixel of the image and of
the result. Where that is impossible (small boxes that are much enlarged), Pillow resizes.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from PIL import Image
from PIL.Image import Resampling
from torch.nn.functional import interpolate

from clipc.compose.arrays import Bytes, Float64s, Integers

Image8 = Bytes
"""An RGB image, ``uint8``, shape (height, width, 3)."""

_LEAD: Final = 4
"""The largest number of surplus pixels on the left and on the top of the result."""
_REACH: Final = 2.0
"""The radius of the bicubic filter, in pixels of the coarser of image and result."""
_MAX_OFFSET: Final = 0.05
"""The largest offset that is invisible, in pixels of the result."""


class ResampleSpec(NamedTuple):
    """The resampling of one box of an image.

    Attributes:
        box: x0, y0, x1, y1 of the box in pixels of the image.
        size: The width and height of the result in pixels.
        exact: Whether Pillow must resize the box.
        read: x0, y0, x1, y1 of the pixels that are PyTorch's input.
        scale: Pixels of the result per pixel of the image, vertical and horizontal.
        lead: The number of surplus pixels on the left and on the top of the result.
    """

    box: list[float]
    size: list[int]
    exact: bool
    read: list[int]
    scale: list[float]
    lead: list[int]


def resample_specs(boxes: Float64s, sizes: Integers, images: Integers) -> list[ResampleSpec]:
    """Plans how boxes are resized.

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
    distance = np.where(whole < 0, np.inf, np.abs(begin - whole))
    lead = distance.argmin(axis=2)
    offset, first = (np.take_along_axis(values, lead[..., None], axis=2)[..., 0] for values in (distance, whole))
    far = (offset > 0) & (offset >= np.minimum(step / 2, extent / 8))
    size_with_lead = lead + sizes
    step = np.where(far, 1, (low + extent / 2 - first) / (lead + sizes / 2))
    # The end of the filter's radius at the last pixel, computed as PyTorch does.
    reach = np.floor(step * (size_with_lead - 0.5) + _REACH * np.maximum(step, 1) + 0.5)
    last = np.minimum(images, first + reach)
    # At the edge of an image rounding must not lose a pixel.
    count = np.maximum(last - first, 1)
    scale = np.maximum(1 / step, (size_with_lead + 1e-6) / count)
    # PyTorch copies the input, whatever the scale, if input and output have equally many pixels.
    far |= (np.floor(count * scale) == count) & (np.abs(step - 1) * size_with_lead > _MAX_OFFSET)
    read = np.concatenate([first, last], axis=1).astype(np.int64)
    columns = (boxes, sizes, far.any(axis=1), read, scale[:, ::-1], lead)
    return list(map(ResampleSpec._make, zip(*(column.tolist() for column in columns), strict=True)))


def resample(image: Image8, spec: ResampleSpec, *, mirrored: bool = False) -> Image8:
    """Resizes a box of an image (bicubic, antialiased) without touching pixels outside it.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        spec: The resampling of a box (:func:`resample_specs`) of an image of that size.
        mirrored: Whether the result is mirrored.

    Returns:
        RGB ``uint8``, shape (height, width, 3), of the specified size.
    """
    _, (width, height), exact, (x0, y0, x1, y1), scale, (left, top) = spec
    if exact:
        tile = resample_pillow(image, spec.box, (width, height))
        return tile[:, ::-1] if mirrored else tile
    if not image.flags.writeable:  # as images are that lie in a file's bytes; PyTorch takes no such arrays
        image, x0, y0, x1, y1 = image[y0:y1, x0:x1].copy(), 0, 0, x1 - x0, y1 - y0
    # A channels-last view, for which the filter is fastest; NumPy would take three times as long to make it.
    line, pixel, channel = image.strides
    strides = (image.nbytes, channel, line, pixel)
    source = torch.from_numpy(image).as_strided((1, 3, y1 - y0, x1 - x0), strides, y0 * line + x0 * pixel)
    tiles = interpolate(source, scale_factor=scale, mode="bicubic", antialias=True)
    if mirrored:  # PyTorch mirrors RGB images much faster than NumPy.
        tiles, left = tiles.flip(3), tiles.shape[3] - left - width
    return tiles.numpy()[0].transpose(1, 2, 0)[top : top + height, left : left + width]


def resample_whole(image: Image8, size: tuple[int, int]) -> Image8:
    """Resizes a whole image.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        size: Width and height of the result in pixels.
    """
    height, width = image.shape[:2]
    (spec,) = resample_specs(np.array([[0.0, 0, width, height]]), np.array([size]), np.array([[width, height]]))
    return resample(image, spec)


def resample_pillow(
    image: Image8, box: Sequence[float] | None, size: tuple[int, int], filter_: Resampling = Resampling.BICUBIC
) -> Image8:
    """Resizes with Pillow itself: slower, but with results equal to those of other libraries to the last bit.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        box: x0, y0, x1, y1 inside the image; None for the whole image.
        size: Width and height of the result in pixels.
        filter_: Pillow's filter.
    """
    edges = None if box is None else (box[0], box[1], box[2], box[3])
    return np.asarray(Image.fromarray(image).resize(size, filter_, edges))
