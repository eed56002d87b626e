"""Small copies of images: to compare images by, and to show them on a page."""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import numpy as np
from PIL import Image

from clipc.catalog.catalog import Catalog
from clipc.catalog.images.decode import DecodeError
from clipc.compose.arrays import Bytes, Float32s
from clipc.progress import Progress
from clipc.render.parallel_map import parallel_map

_SIDE: Final = 16
_MIN_CONTRAST: Final = 1.0

_T = TypeVar("_T")


def of_rows(
    catalog: Catalog,
    rows: Sequence[int],
    work: Callable[[Bytes], _T],
    *,
    at_least: int | None = None,
    what: str = "examining images",
    progress: Progress,
) -> dict[int, _T]:
    """What a function makes of the images of some rows, on several threads; images that cannot be read are left out.

    Args:
        catalog: The pairs.
        rows: Rows of the catalog.
        work: A function of the decoded image, RGB ``uint8`` of shape (height, width, 3).
        at_least: A sufficient width and height in pixels; None decodes the whole image.
        what: What is done, for the progress.
        progress: Receives the number of images.
    """

    def one(row: int) -> _T | None:
        try:
            return work(catalog.image(row, None if at_least is None else (at_least, at_least)))
        except (OSError, DecodeError):
            return None

    values: dict[int, _T] = {}
    for done, (row, value) in enumerate(zip(rows, parallel_map(one, rows), strict=True), 1):
        if value is not None:
            values[row] = value
        if done % 32 == 0 or done == len(rows):
            progress(what, done, len(rows))
    return values


def small_copy(image: Bytes) -> Float32s:
    """16 x 16 pixels of an image in colour.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).

    Returns:
        ``float32``, shape (768,), values from 0 to 255.
    """
    small = Image.fromarray(image).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small).astype(np.float32).ravel()


def standardised(values: Float32s) -> Float32s:
    """A small copy without its brightness and contrast, in which near-identical images are nearly equal."""
    values = values - values.mean()
    return values / max(float(values.std()), _MIN_CONTRAST)


def mirrored(copy: Float32s) -> Float32s:
    """The :func:`small_copy` of the image mirrored left to right."""
    return copy.reshape(_SIDE, _SIDE, 3)[:, ::-1].ravel()


def data_uri(image: Bytes, *, quality: int = 80, lossless: bool = False) -> str:
    """An image as a ``data:`` URI: JPEG, or PNG where it must be exact."""
    buffer = io.BytesIO()
    if lossless:
        Image.fromarray(image).save(buffer, "PNG")
    else:
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def fitted(image: Bytes, side: int) -> Bytes:
    """An image reduced so that its longer side has at most ``side`` pixels; at least one pixel along each axis."""
    height, width = image.shape[:2]
    ratio = max(height, width, side) / side
    if ratio == 1:
        return image
    size = (max(1, round(width / ratio)), max(1, round(height / ratio)))
    return np.asarray(
        Image.fromarray(image).resize(size, Image.Resampling.BOX if ratio > 8 else Image.Resampling.LANCZOS)
    )


def row_list(rows: Iterable[int]) -> list[int]:
    """Distinct rows as a sorted list of plain integers."""
    return sorted({int(row) for row in rows})
