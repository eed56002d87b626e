"""What the model will see: images at full size beside the same at the model's size."""

from typing import Any, Final

import numpy as np

from clipc.audit.doctor_data import DoctorData
from clipc.audit.thumbnails import data_uri, fitted
from clipc.catalog.images.decode import DecodeError
from clipc.compose.arrays import Bytes
from clipc.render.evaluation_view import Resizing, evaluation_view
from clipc.render.resample import resample_whole

_SHOWN: Final = 6
_WHOLE: Final = 360
_WINDOW: Final = 160
_WINDOW_PIXELS: Final = 12
"""A window shows at least so many of the model's pixels along a side."""


def model_views(data: DoctorData) -> list[dict[str, Any]]:
    """Up to six images as the model's evaluation shows them: those that lose most, and ordinary ones.

    Returns:
        For each its ``key``, ``caption``, ``width``, ``height``, ``scale`` (pixels of the image to one of the model's),
        ``loss`` (the share of variance that is removed), ``structure`` (the side of its smallest isolated structure in
        the model's pixels, or None), and three ``data:`` URIs: ``whole``, reduced to 360 pixels; ``window``, its finest
        place at full size; and ``model``, the same place as the model sees it. Empty where images may not be decoded.
    """
    details = data.details
    if not details:
        return []
    order = sorted(details, key=lambda row: (details[row].structure or np.inf, -details[row].loss))
    middle = [row for row in details if row not in order[: _SHOWN // 2]]
    spaced = [middle[i] for i in np.linspace(0, len(middle) - 1, _SHOWN // 2).astype(int)] if middle else []
    rows = list(dict.fromkeys([*order[: _SHOWN // 2], *spaced]))
    views = [view for row in rows if (view := _view(data, row)) is not None]
    data.progress("showing what the model sees", len(views), len(views))
    return views


def _view(data: DoctorData, row: int) -> dict[str, Any] | None:
    try:
        image = data.catalog.image(row)
    except (OSError, DecodeError):
        return None
    each, size = data.details[row], data.image_size
    height, width = image.shape[:2]
    side = min(height, width)
    extent = int(min(side, max(_WINDOW, round(_WINDOW_PIXELS * each.scale))))
    left, top = (width - side) // 2, (height - side) // 2
    x = int(np.clip(each.place[0] * width - extent / 2, left, left + side - extent))
    y = int(np.clip(each.place[1] * height - extent / 2, top, top + side - extent))
    model_window = _enlarged(evaluation_view(image, size, Resizing()), (x - left, y - top), extent, size / side)
    return {
        "key": data.catalog.keys[row],
        "caption": data.catalog.caption(row, 0),
        "width": width,
        "height": height,
        "scale": round(each.scale, 2),
        "loss": round(each.loss, 4),
        "structure": None if each.structure is None else round(each.structure, 1),
        "whole": data_uri(fitted(image, _WHOLE)),
        "window": data_uri(fitted(image[y : y + extent, x : x + extent], _WHOLE)),
        "model": data_uri(model_window, lossless=True),
    }


def _enlarged(view: Bytes, corner: tuple[int, int], extent: int, ratio: float) -> Bytes:
    """A window of the model's view, at least one pixel wide; browsers enlarge it without smoothing."""
    x0, y0 = (int(np.floor(value * ratio)) for value in corner)
    side = max(1, min(round(extent * ratio), len(view) - x0, len(view) - y0))
    part = view[y0 : y0 + side, x0 : x0 + side]
    if side >= _WINDOW:
        return resample_whole(part, (_WINDOW, _WINDOW)) if side > _WHOLE else part
    factor = -(-_WINDOW // side)
    return part.repeat(factor, axis=0).repeat(factor, axis=1)
