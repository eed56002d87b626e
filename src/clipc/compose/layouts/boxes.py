"""Reads boxes that an expert drew, and converts them to fractions of the image."""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from clipc.compose.arrays import Float32s, Integers
from clipc.errors import UserError


def read_boxes(values: Sequence[Any], sizes: Integers, *, column: str, keys: Sequence[str]) -> Float32s:
    """Boxes x0, y0, x1, y1 as fractions of the image's sides.

    A box is four numbers, in a list or as text ("12, 30, 80, 96"). If all four are at most 1, they are fractions;
    otherwise they are pixels of the image as it is shown.

    Args:
        values: The box of each pair; None or empty text for none.
        sizes: Width and height of the images in pixels, shape (n, 2).
        column: The column's name, for messages.
        keys: The pairs' keys, for messages.

    Returns:
        ``float32``, shape (n, 4), in [0, 1]; NaN for a pair without a box.

    Raises:
        UserError: A value is not a box, or its box is not inside the image.
    """
    boxes = np.full((len(values), 4), np.nan, dtype=np.float64)
    for row, value in enumerate(values):
        if value is None or value == "":
            continue
        numbers = _numbers(value)
        if numbers is None:
            raise UserError(
                f"column {column!r} of pair {keys[row]!r} holds {value!r}, which is no box; write x0,y0,x1,y1 in "
                "pixels or as fractions of width and height."
            )
        boxes[row] = numbers
    in_pixels = (boxes > 1).any(axis=1)
    boxes[in_pixels] /= np.tile(sizes[in_pixels], 2)
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(
            (boxes[:, :2] >= boxes[:, 2:]).any(axis=1) | (boxes < -0.01).any(axis=1) | (boxes > 1.01).any(axis=1)
        )
    if len(wrong):
        row = int(wrong[0])
        width, height = sizes[row].tolist()
        raise UserError(
            f"column {column!r} of pair {keys[row]!r} holds the box {values[row]!r}, which is not a box x0,y0,x1,y1 "
            f"inside its image of {width} x {height} pixels."
        )
    return np.clip(boxes, 0, 1).astype(np.float32)


def _numbers(value: Any) -> list[float] | None:
    try:
        if isinstance(value, str):
            text = value.strip()
            value = json.loads(text) if text.startswith("[") else re.split(r"[,;\s]+", text)
        numbers = [float(number) for number in value]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == 4 and np.isfinite(numbers).all() else None
