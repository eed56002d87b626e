"""Images as users have them, made into what a model takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from clipc.catalog.images.decode import DecodeError, decode
from clipc.compose.arrays import Bytes
from clipc.errors import UserError
from clipc.render.evaluation_view import Resizing, evaluation_view

ImageInput = str | Path | Image.Image | npt.NDArray[np.uint8]
"""An image: a file's path, a PIL image of 8 bits, or an RGB or grey array, ``uint8``, shape (H, W, 3) or (H, W)."""

_PIL_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def image_batch(images: Sequence[ImageInput], size: int, resizing: Resizing) -> torch.Tensor:
    """Images of any size as a model sees them in evaluation.

    Args:
        images: The images.
        size: The side S, in pixels, of the square images that the model takes.
        resizing: How images are made square.

    Returns:
        RGB ``uint8``, shape (len(images), S, S, 3).

    Raises:
        UserError: An image cannot be read, or is of a kind that cannot be told apart; the message says which.
    """
    if isinstance(images, str | Path | Image.Image):
        raise UserError("encode_image takes several images at a time; put one into a list: encode_image([image]).")
    views = [evaluation_view(_pixels(image, number), size, resizing) for number, image in enumerate(images)]
    return torch.from_numpy(np.stack(views) if views else np.zeros((0, size, size, 3), dtype=np.uint8))


def _pixels(image: Any, number: int) -> Bytes:
    """RGB ``uint8``, shape (H, W, 3)."""
    if isinstance(image, str | Path):
        try:
            return decode(Path(image).read_bytes())
        except (OSError, DecodeError) as error:
            raise UserError(f"the image {image} cannot be read: {error}.") from error
    if isinstance(image, Image.Image):
        if image.mode not in _PIL_MODES:
            raise UserError(f"image {number} has the mode {image.mode}; convert it to RGB.")
        return np.asarray(image.convert("RGB"))
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        if image.ndim == 2:
            return np.repeat(image[..., None], 3, axis=2)
        if image.ndim == 3 and image.shape[2] == 3:
            return image
    found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise UserError(
        f"image {number} is {found}; give a path, a PIL image, or an RGB array of uint8, shape (height, width, 3)."
    )
