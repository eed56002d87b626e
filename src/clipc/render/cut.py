"""Cutting a box out of a picture at another size: what Pillow gives, several times as fast."""

from math import ceil, inf
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

Pixels = npt.NDArray[np.uint8]

# interpolate() takes a size or a scale, and here both matter: its own kernel takes both.
_resized: Final = torch.ops.aten._upsample_bicubic2d_aa.default
_TRIES: Final = 16
_NEAR, _FAR = 1 / 16, 1 / 8
"""How far off a cut lies, in pixels of the result, where no better start is looked for, and at the most."""


def cut(pixels: Pixels, box: tuple[float, float, float, float], size: tuple[int, int]) -> Pixels:
    """Resizes a box of an image (bicubic, antialiased); what is not shown is not touched.

    PyTorch's kernel for bytes is several times as fast as Pillow's and takes any scale, but starts at a whole pixel,
    where a box hardly ever does. So the start is moved back by whole pixels of the *result* until it nearly falls on
    a whole pixel of the image, and what is too much is cut off. No pixel is then off its place by more than an
    eighth of a pixel of the result; where no start is that good (images much enlarged), Pillow does the work.

    Args:
        pixels: The image, RGB ``uint8``, shape (height, width, 3).
        box: x0, y0, x1, y1 in the image, not rounded.
        size: Width and height of the result in pixels.

    Returns:
        RGB ``uint8``, shape (size[1], size[0], 3).
    """
    x0, y0, x1, y1 = box
    across, down = _run(x0, x1, size[0], pixels.shape[1]), _run(y0, y1, size[1], pixels.shape[0])
    if across is None or down is None:
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box))
    source = torch.from_numpy(_window(pixels, across, down).transpose(0, 3, 1, 2))
    asked, scale = (down.made, across.made), (1 / down.step, 1 / across.step)
    made = _resized(source, asked, False, *scale).numpy()
    rows, columns = slice(down.skipped, down.skipped + size[1]), slice(across.skipped, across.skipped + size[0])
    return made[0, :, rows, columns].transpose(1, 2, 0)


class _Run(NamedTuple):
    """What is read of one axis.

    Attributes:
        first: The first pixel, before the image (negative) where its edge is to be repeated.
        last: The pixel after the last one.
        step: Pixels of the image to one of the result.
        skipped: How many pixels of the result come before the first that is wanted.
        made: How many are made in all.
    """

    first: int
    last: int
    step: float
    skipped: int
    made: int


def _run(low: float, high: float, count: int, limit: int) -> _Run | None:
    """The pixels to read for ``count`` ones of the result between ``low`` and ``high``; None where none do."""
    step = (high - low) / count
    nearest, skipped = inf, 0
    for tried in range(_TRIES):
        start = low - tried * step
        off = abs(start - round(start))
        if off < nearest:
            nearest, skipped = off, tried
            if off <= _NEAR * step:
                break
    if nearest > _FAR * step:
        return None
    first, last, made = round(low - skipped * step), min(limit, ceil(high + 2 * max(step, 1))), skipped + count
    # The kernel takes as many pixels as there are for a copy, whatever the scale.
    return _Run(first, last, step, skipped, made + (made == last - first and step != 1))


def _window(pixels: Pixels, across: _Run, down: _Run) -> Pixels:
    """A copy of a part of an image, as a batch of one; its edges are repeated where it begins before them."""
    left, top = max(0, -across.first), max(0, -down.first)
    # With this axis made at once it counts as channels-last, which the kernel is quickest with.
    batch = np.empty((1, down.last - down.first, across.last - across.first, 3), dtype=np.uint8)
    window = batch[0]
    window[top:, left:] = pixels[down.first + top : down.last, across.first + left : across.last]
    if left:
        window[top:, :left] = window[top:, left : left + 1]
    if top:
        window[:top] = window[top]
    return batch
