"""The evaluation transform of open_clip in ``uint8``, before normalisation."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

from clipc.compose.arrays import Bytes
from clipc.errors import unknown_name
from clipc.render.resample import resample_pillow

RESIZE_MODES: Final = ("shortest", "longest", "squash")
"""How open_clip makes an image square: by a centre crop, padding, or stretching."""

INTERPOLATIONS: Final = ("bicubic", "bilinear", "random")
"""open_clip's names; ``random`` has an effect in training only and means ``bicubic`` here."""


class Resizing(NamedTuple):
    """How images are made square; the defaults are open_clip's.

    Attributes:
        resize_mode: One of :data:`RESIZE_MODES`.
        interpolation: ``bicubic`` or ``bilinear``, both antialiased.
        fill_color: The padding colour of ``longest``, 0 to 255: one value, or one for each channel.
    """

    resize_mode: str = "shortest"
    interpolation: str = "bicubic"
    fill_color: int | tuple[int, ...] = 0

    @classmethod
    def of(cls, preprocess: Mapping[str, Any]) -> "Resizing":
        """The values of open_clip's ``preprocess_cfg`` on which views depend; equal results give equal views.

        Args:
            preprocess: The configuration; open_clip's defaults replace missing keys and None.

        Raises:
            UserError: open_clip knows no such mode or interpolation.
        """
        mode = preprocess.get("resize_mode") or "shortest"
        interpolation = preprocess.get("interpolation") or "bicubic"
        if mode not in RESIZE_MODES:
            raise unknown_name("resize_mode", mode, RESIZE_MODES)
        if interpolation not in INTERPOLATIONS:
            raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
        interpolation = "bicubic" if interpolation == "random" else interpolation
        fill = (preprocess.get("fill_color") or 0) if mode == "longest" else 0
        return cls(mode, interpolation, fill if isinstance(fill, int) else tuple(fill))


def evaluation_view(image: Bytes, size: int, resizing: Resizing) -> Bytes:
    """A decoded image after the evaluation transform.

    This is open_clip's ``image_transform(size, is_train=False, ...)`` before its normalisation. For ``shortest`` the
    exact centre is resized, while open_clip crops at whole pixels, which are up to half a pixel of the view away.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        size: The side S in pixels.
        resizing: Mode, interpolation and fill colour.

    Returns:
        RGB ``uint8``, shape (S, S, 3).
    """
    height, width = image.shape[:2]
    filter_ = Image.Resampling.BILINEAR if resizing.interpolation == "bilinear" else Image.Resampling.BICUBIC
    if resizing.resize_mode == "squash":
        return resample_pillow(image, None, (size, size), filter_)
    if resizing.resize_mode == "longest":
        ratio = max(height, width) / size
        w, h = max(1, round(width / ratio)), max(1, round(height / ratio))
        x, y = (size - w) // 2, (size - h) // 2
        view = np.empty((size, size, 3), np.uint8)
        view[:] = resizing.fill_color
        view[y : y + h, x : x + w] = resample_pillow(image, None, (w, h), filter_)
        return view
    side = min(height, width)
    x0, y0 = (width - side) / 2, (height - side) / 2
    return resample_pillow(image, (x0, y0, x0 + side, y0 + side), (size, size), filter_)
