"""Random resized crops: computes the boxes of many views at once, before any pixel is read."""

from typing import Annotated, Final

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from clipc.compose.arrays import Float64s, Integers
from clipc.identity import ALWAYS, Neutral

DRAWS: Final = 8
"""The number of random numbers per view: area, aspect, x, y, flip, brightness, contrast, saturation."""


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"write the smaller bound first: [{bounds[1]:g}, {bounds[0]:g}]")
    return bounds


_Share = Annotated[float, Field(gt=0, le=1)]
_Ratio = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Shares = Annotated[tuple[_Share, _Share], AfterValidator(_ascending)]
_Ratios = Annotated[tuple[_Ratio, _Ratio], AfterValidator(_ascending)]


class Augmentation(BaseModel):
    """How a view is cropped from an image; the same in every arm."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    crop_scale: Annotated[_Shares, Neutral((1.0, 1.0))] = (0.8, 1.0)
    """Range of the view's share of the image's area."""
    crop_ratio: Annotated[_Ratios, ALWAYS] = (3 / 4, 4 / 3)
    """Range of the view's width over height."""
    flip: Annotated[float, Neutral(0.0)] = Field(default=0.0, ge=0, le=1)
    """Chance of a mirrored view; never where the caption names a side."""
    colour: Annotated[float, Neutral(0.0)] = Field(default=0.0, ge=0, le=1)
    """Largest change of a view's brightness, contrast and saturation."""
    strong_scale: Annotated[_Shares, ALWAYS] = (0.25, 0.5)
    """Area of a strongly augmented view: about what a composite shows of an image."""
    strong_colour: Annotated[float, Neutral(0.0)] = Field(default=0.4, ge=0, le=1)
    """The same for a strongly augmented view."""


def view_boxes(draws: Float64s, sizes: Integers, scale: Float64s, ratio: tuple[float, float]) -> Float64s:
    """Random resized crops (as in Szegedy et al., 2015) for many images at once.

    The share of the area is uniform in its range. The logarithm of the aspect ratio is uniform in that part of its
    range in which the box fits into the image, so no draw is rejected.

    Args:
        draws: Random numbers in [0, 1) for area, aspect, x and y, shape (n, 4).
        sizes: Width and height of the images in pixels, shape (n, 2).
        scale: Smallest and largest share of the area, shape (n, 2).
        ratio: Smallest and largest width over height.

    Returns:
        x0, y0, x1, y1 in pixels (not rounded), shape (n, 4).
    """
    width, height = sizes[:, 0].astype(np.float64), sizes[:, 1].astype(np.float64)
    share = scale[:, 0] + draws[:, 0] * (scale[:, 1] - scale[:, 0])
    # A box of aspect ratio r fits into the image if share * width / height <= r <= width / (share * height).
    low = np.maximum(np.log(ratio[0]), np.log(share * width / height))
    high = np.minimum(np.log(ratio[1]), np.log(width / (share * height)))
    aspect = np.exp(np.where(low < high, low + draws[:, 1] * (high - low), np.clip(0.0, high, low)))
    box_width = np.minimum(width, np.sqrt(share * width * height * aspect))
    box_height = np.minimum(height, np.sqrt(share * width * height / aspect))
    x0, y0 = draws[:, 2] * (width - box_width), draws[:, 3] * (height - box_height)
    return np.stack([x0, y0, x0 + box_width, y0 + box_height], axis=1)
