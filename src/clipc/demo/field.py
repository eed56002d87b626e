"""Drawing with fields, arrays of one value per pixel: the functions that draw everything in the demo set."""

from collections.abc import Sequence
from functools import lru_cache
from math import cos, sin, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Field = npt.NDArray[np.floating[Any]]
"""One number per pixel, shape (n, n), or one colour per pixel, shape (3, n, n); always ``float32``."""


def axes(n: int) -> tuple[Field, Field]:
    """Image coordinates of an n x n grid, each of shape (n, n): -1 at the left and top, 1 at the right and bottom."""
    centres = (np.arange(n, dtype=np.float32) + 0.5) * (2 / n) - 1
    u, v = np.meshgrid(centres, centres)
    return u, v


def rotate(u: Field, v: Field, angle: float) -> tuple[Field, Field]:
    """The same points in coordinates whose axes are rotated by ``angle`` (radians)."""
    c, s = cos(angle), sin(angle)
    return u * c + v * s, v * c - u * s


def ramp(t: Field) -> Field:
    """A smooth step: 0 below 0, 1 above 1, ``t^2 (3 - 2t)`` between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def norm(x: Field, y: Field) -> Field:
    """The distance of points (x, y) from the origin, elementwise."""
    # NumPy's hypot, which guards against overflow, takes twenty times as long.
    return np.sqrt(x * x + y * y)


def wrap(t: Field, period: float) -> Field:
    """``t`` modulo ``period``, shifted to the range from minus half a period to half a period."""
    return t - np.floor(t * (1 / period) + 0.5) * period


def grain(rng: np.random.Generator, *shape: int) -> Field:
    """Independent noise of mean 0 and variance 1; triangular, because normal draws take several times as long."""
    first, second = rng.random((2, *shape), dtype=np.float32)
    return (first - second) * sqrt(6)


def lines(t: Field, period: float, width: float, soft: float) -> Field:
    """Parallel lines, 1 on a line and 0 between lines.

    Args:
        t: The coordinate across the lines.
        period: The distance from line to line, in units of ``t``, as the next ones.
        width: The width of a line.
        soft: The width of the transition at a line's edge.
    """
    distance = np.abs(wrap(t, period))
    return np.clip((width / 2 - distance) / soft + 0.5, 0, 1)


def clouds(rng: np.random.Generator, n: int, across: int, down: int | None = None) -> Field:
    """Smooth noise between about -1 and 1: random values on a coarse grid, interpolated.

    Args:
        rng: The generator of the coarse values.
        n: The side of the field in pixels.
        across: Coarse cells from left to right.
        down: Coarse cells from top to bottom; by default as many as ``across``.
    """
    down = down or across
    coarse = rng.uniform(-1, 1, (down + 3, across + 3)).astype(np.float32)
    return _spline(n, down) @ coarse @ _spline(n, across).T


@lru_cache(maxsize=64)
def _spline(n: int, cells: int) -> Field:
    """Catmull-Rom weights of ``cells + 3`` knots at each of n pixels, shape (n, cells + 3)."""
    position = (np.arange(n) + 0.5) * cells / n
    cell = position.astype(np.int64)
    t = position - cell
    weights = np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]) / 2
    matrix = np.zeros((n, cells + 3), dtype=np.float32)
    for knot in range(4):
        matrix[np.arange(n), cell + knot] = weights[knot]
    return matrix


def pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    """A Pillow image's values, shape (height, width) or (height, width, 3)."""
    # NumPy's own conversion makes Pillow copy the bytes three times.
    values = np.frombuffer(image.tobytes(), dtype=np.uint8)
    return values.reshape((image.height, image.width, 3) if image.mode == "RGB" else (image.height, image.width))


def blur(field: Field, radius: float) -> Field:
    """Blurs a field of shape (n, n), 0 to 1, with a Gaussian of ``radius`` pixels; n is even.

    The result has 256 levels and half the resolution, which is enough for soft shapes and four times as fast.
    """
    levels = Image.fromarray((np.clip(field[::2, ::2], 0, 1) * 255).astype(np.uint8))
    soft = pixels(levels.filter(ImageFilter.GaussianBlur(radius / 2))) * np.float32(1 / 255)
    return soft.repeat(2, axis=0).repeat(2, axis=1)


def strokes(n: int, paths: Sequence[tuple[npt.NDArray[np.float64], float]], soft: float) -> Field:
    """Draws polylines: 1 on a line and 0 beside it, shape (n, n).

    Args:
        n: The side of the field in pixels.
        paths: Each line's points, shape (k, 2) as (column, row) in pixels, and its width in pixels.
        soft: The blur of the lines' edges, in pixels.
    """
    image = Image.new("L", (n, n))
    drawing = ImageDraw.Draw(image)
    for points, width in paths:
        drawing.line([(float(x), float(y)) for x, y in points], fill=255, width=max(1, round(width)), joint="curve")
    return pixels(image.filter(ImageFilter.GaussianBlur(soft))) * np.float32(1 / 255)


def rgb(red: float, green: float, blue: float) -> Field:
    """One colour, shape (3, 1, 1), which broadcasts over a field."""
    return np.array([red, green, blue], dtype=np.float32)[:, None, None]


def blend(under: Field, over: Field, alpha: Field) -> Field:
    """Alpha blending: the colours ``over`` on the colours ``under``, with ``alpha`` from 0 to 1 for each pixel."""
    mixture = (over - under) * alpha
    mixture += under
    return mixture
