"""Changes of brightness, contrast and saturation, as linear maps."""

import numpy as np
import numpy.typing as npt

from clipc.compose.arrays import Bytes, Float32s

Floats = npt.NDArray[np.floating]

_LUMA = np.array([0.299, 0.587, 0.114])
"""Luma weights of Rec. 601 for red, green and blue."""


def colour_maps(factors: Floats) -> tuple[Floats, Floats]:
    """Brightness, then contrast around the mean, then saturation, as one linear map for each tile.

    Args:
        factors: Factors of brightness, contrast and saturation, shape (n, 3); the maps have the same dtype.

    Returns:
        Matrices M, shape (n, 3, 3), and shares s, shape (n,). The result for a tile is ``rgb @ M + s * mean``, with the
        mean over all its pixels and channels.
    """
    brightness, contrast, saturation = factors.T[:, :, None, None]
    luma = _LUMA.astype(factors.dtype)[:, None]
    saturated = saturation * np.eye(3, dtype=factors.dtype) + (1 - saturation) * luma
    return brightness * contrast * saturated, (brightness * (1 - contrast))[:, 0, 0]


def adjust_colour(image: Bytes, factors: Float32s) -> Bytes:
    """Changes brightness, contrast and saturation, in single precision as the resident renderer does on a GPU.

    Args:
        image: RGB ``uint8``, shape (height, width, 3).
        factors: Factors of brightness, contrast and saturation, shape (3,); 1 for no change.

    Returns:
        RGB ``uint8``, of the same shape.
    """
    (matrix,), (share,) = colour_maps(factors[None])
    colours = image.reshape(-1, 3).astype(np.float32)
    result = colours @ matrix
    result += np.float32(share * colours.mean() + 0.5)  # With 0.5 added, truncation to integers rounds.
    return np.clip(result, 0, 255, out=result).astype(np.uint8).reshape(image.shape)
