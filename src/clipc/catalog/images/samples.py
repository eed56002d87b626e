"""Image samples of any depth, and how they become RGB pixels of 8 bits."""

import importlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clipc.limits import PIXELS, SIDE

Intensity = Mapping[str, Sequence[float]]
"""For a type of samples (``"uint8"``, ``"uint16"``, ``"float32"``) the values that are shown as black and as white."""

ON_THE_SIDE = (5, 6, 7, 8)
"""EXIF's orientations that exchange width and height."""

_LEAST_WHITE = 32.0
_AT_ONCE = 1 << 20
"""The number of pixels that are converted at once: what floating-point numbers need is many times the image's size."""


class DecodeError(ValueError):
    """The bytes cannot be decoded as an image."""


class Samples(NamedTuple):
    """An image as it is stored, before its values are made 8-bit.

    Attributes:
        values: Grey (height, width) or RGB (height, width, 3).
        kind: What the image is, for messages: ``"a TIFF of 1 band of 16-bit signed integers"``.
        white: The value of white, where the type of the samples says it (black is 0), else None.
        missing: Which values stand for no data; shape of ``values``, or None.
        alpha: Opacity, 0 to 1, shape (height, width), or None.
        orientation: EXIF's, 1 (upright) to 8.
        notes: What was left out or assumed.
    """

    values: npt.NDArray[Any]
    kind: str = ""
    white: float | None = None
    missing: npt.NDArray[np.bool_] | None = None
    alpha: npt.NDArray[np.float32] | None = None
    orientation: int = 1
    notes: tuple[str, ...] = ()


@contextmanager
def damage_refused(what: str) -> Generator[None]:
    """Makes any error of a decoder a :class:`DecodeError`: damaged bytes make decoders raise all kinds of things."""
    try:
        yield
    except DecodeError:
        raise
    except Exception as error:
        raise DecodeError(f"{what} is damaged ({' '.join(str(error).split()) or type(error).__name__})") from None


def show(samples: Samples, intensity: Intensity | None = None) -> npt.NDArray[np.uint8]:
    """The pixels of an image: RGB ``uint8`` of shape (height, width, 3), upright, on white where it is transparent.

    Args:
        samples: The image.
        intensity: The ranges of a set of images; by default unsigned integers are scaled from their type's range,
            floating-point values from 0..1 or 0..255.

    Raises:
        DecodeError: The values have no fixed range, and ``intensity`` has none for their type.
    """
    values = samples.values
    if not intensity and values.dtype == np.uint8 and values.ndim == 3 and samples.alpha is None:
        return rotate(values, samples.orientation)
    kind = values.dtype.name
    low, high = intensity[kind] if intensity and kind in intensity else (0.0, _white(samples))
    height, width = values.shape[:2]
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _AT_ONCE // width)
    for at in range(0, height, rows):
        pixels[at : at + rows] = _pixels(samples, slice(at, at + rows), low, high)
    return rotate(pixels, samples.orientation)


def _pixels(samples: Samples, rows: slice, low: float, high: float) -> npt.NDArray[np.uint8]:
    """Some rows of an image as pixels, not yet rotated, with one or three channels."""
    values = samples.values[rows]
    if (kind := values.dtype.name) in ("uint8", "uint16"):
        table = _table(kind, low, high)
        pixels = values if table is None else table[values]
    else:
        pixels = _scaled(np.asarray(values, np.float64), low, high)
    if samples.missing is not None:
        pixels = np.where(samples.missing[rows], np.uint8(0), pixels)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if samples.alpha is not None:
        alpha = samples.alpha[rows, :, None]
        pixels = np.rint(pixels * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return pixels


def _white(samples: Samples) -> float:
    """The value of white for an image on its own."""
    if samples.white is not None:
        return samples.white
    values = samples.values
    usable = np.isfinite(values) if samples.missing is None else np.isfinite(values) & ~samples.missing
    low, high = np.min(values, initial=0.0, where=usable), np.max(values, initial=0.0, where=usable)
    if values.dtype.kind == "f" and low >= 0:
        if high <= 1:
            return 1.0
        if _LEAST_WHITE <= high <= 255:
            return 255.0
    raise DecodeError(
        f"{samples.kind}, whose values have no fixed range: --intensity auto scales all images of the set alike, "
        "or export it as 8 bits"
    )


@lru_cache(maxsize=16)
def _table(kind: str, low: float, high: float) -> npt.NDArray[np.uint8] | None:
    """The pixel for each value of an unsigned type; None where they are the same."""
    top = int(np.iinfo(kind).max)
    if kind == "uint8" and (low, high) == (0, 255):
        return None
    return _scaled(np.arange(top + 1, dtype=np.float64), low, high)


def _scaled(values: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.uint8]:
    with np.errstate(over="ignore"):
        scaled = (values - low) * (255.0 / (high - low))
    return np.clip(np.rint(np.nan_to_num(scaled, nan=0.0)), 0, 255).astype(np.uint8)


def rotate(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """The image rotated and flipped according to EXIF's orientation (1 to 8)."""
    if orientation in ON_THE_SIDE:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def size_shown(width: int, height: int, orientation: int, most: int = PIXELS) -> tuple[int, int]:
    """Width and height of an image after EXIF rotation.

    Args:
        width: As stored.
        height: As stored.
        orientation: EXIF's.
        most: The largest number of pixels.

    Raises:
        DecodeError: The image is empty, has more pixels, or a side longer than :data:`~clipc.limits.SIDE`.
    """
    if width < 1 or height < 1:
        raise DecodeError(f"the image's size is {width}x{height}")
    if max(width, height) > SIDE:
        raise DecodeError(f"the image is too large: {width}x{height} has a side longer than {SIDE:,}")
    if width * height > most:
        raise DecodeError(f"the image is too large: {width}x{height} is more than {most // 1_000_000} megapixels")
    return (height, width) if orientation in ON_THE_SIDE else (width, height)


def extra_package(module: str, what: str, install: Callable[[], str]) -> Any:
    """An optional package.

    Raises:
        DecodeError: It is not installed; the message says what needs it and how it is installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise DecodeError(f"{what}, for which clipc needs another package: {install()}") from None
