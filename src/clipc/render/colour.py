"""Changes of brightness, contrast and saturation, as linear maps."""

from typing import Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

_LUMA: Final = np.array([0.299, 0.587, 0.114])
"""How bright red, green and blue look, as in Rec. 601; without saturation every colour becomes this grey."""


def colour_maps(factors: Floats) -> tuple[Floats, Floats]:
    """Changes of brightness, then of contrast around the mean, then of saturation, as one linear map each.

    Args:
        factors: For brightness, contrast and saturation, shape (n, 3); in their precision the maps are made.

    Returns:
        Matrices that a colour is multiplied with from the left, shape (n, 3, 3), and the shares of a tile's mean
        (over pixels and colours) that are then added, shape (n,).
    """
    brightness, contrast, saturation = factors.T[:, :, None, None]
    luma = _LUMA.astype(factors.dtype)[:, None]
    mixed = saturation * np.eye(3, dtype=factors.dtype) + (1 - saturation) * luma
    return brightness * contrast * mixed, (brightness * (1 - contrast))[:, 0, 0]


def recoloured(image: Bytes, factors: npt.NDArray[np.float32]) -> Bytes:
    """Changes brightness, contrast and saturation by given factors, in single precision, as it is done on a GPU.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        factors: For brightness, contrast and saturation, shape (3,).
    """
    (matrix,), (share,) = colour_maps(factors[None])
    colours = image.reshape(-1, 3).astype(np.float32)
    changed = colours @ matrix
    changed += np.float32(share * colours.mean() + 0.5)  # What is cut off below is so rounded.
    return np.clip(changed, 0, 255, out=changed).astype(np.uint8).reshape(image.shape)
