"""Random resized crops: computes the boxes of many views at once, before any pixel is read."""

from typing import Annotated, Final

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from clipc.compose.arrays import Float64s, Integers
from clipc.identity import ALWAYS, Neutral

TRIES: Final = 10
"""How often a box is drawn until it fits into the image, as in torchvision."""

DRAWS: Final = 2 * TRIES + 6
"""The number of random numbers per view: area and aspect of each try, x, y, flip, brightness, contrast, saturation."""


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
    flip_vertical: Annotated[float, Neutral(0.0)] = Field(default=0.0, ge=0, le=1)
    """Chance of a view upside down, as in a mirror; never where the caption names a side or a direction."""
    quarter_turns: Annotated[float, Neutral(0.0)] = Field(default=0.0, ge=0, le=1)
    """Chance of a view turned by 0, 90, 180 or 270 degrees, each as likely: for images from above; never where the
    caption names a side or a direction."""
    colour: Annotated[float, Neutral(0.0)] = Field(default=0.0, ge=0, le=1)
    """Largest change of a view's brightness, contrast and saturation."""
    strong_scale: Annotated[_Shares, ALWAYS] = (0.25, 0.5)
    """Area of a strongly augmented view: about what a composite shows of an image."""
    strong_colour: Annotated[float, Neutral(0.0)] = Field(default=0.4, ge=0, le=1)
    """The same for a strongly augmented view."""

    @property
    def turns(self) -> bool:
        """Whether any view is turned or shown upside down."""
        return self.flip_vertical > 0 or self.quarter_turns > 0


def view_boxes(
    shapes: Float64s, corners: Float64s, sizes: Integers, scale: Float64s, ratio: tuple[float, float]
) -> Float64s:
    """Random resized crops (Szegedy et al., 2015) for many images at once, distributed as torchvision's.

    A share of the area, uniform in its range, and an aspect ratio, whose logarithm is uniform in its range, are drawn
    until such a box fits into the image. After :data:`TRIES` misses the view is the largest centred box whose aspect
    ratio is in the range.

    Args:
        shapes: Random numbers in [0, 1) for the share and the aspect ratio of each try, shape (n, TRIES, 2).
        corners: Random numbers in [0, 1) for the position, horizontal and vertical, shape (n, 2).
        sizes: Width and height of the images in pixels, shape (n, 2).
        scale: Smallest and largest share of the area, shape (n, 2).
        ratio: Smallest and largest width over height.

    Returns:
        x0, y0, x1, y1 in pixels (not rounded), shape (n, 4).
    """
    image = sizes.astype(np.float64)
    image_ratio = np.log(image[:, 0] / image[:, 1])
    share = scale[:, :1] + shapes[..., 0] * (scale[:, 1:] - scale[:, :1])
    low, high = np.log(ratio)
    log_ratio = low + shapes[..., 1] * (high - low)
    fits = np.abs(log_ratio - image_ratio[:, None]) <= -np.log(share)
    rows, first = np.arange(len(sizes)), fits.argmax(axis=1)
    area, aspect = share[rows, first] * image.prod(axis=1), np.exp(log_ratio[rows, first])
    box = np.minimum(np.sqrt(np.stack([area * aspect, area / aspect], axis=1)), image)
    missed = ~fits[rows, first]
    box[missed] = largest_boxes(image[missed], ratio)
    corner = np.where(missed[:, None], 0.5, corners) * (image - box)
    return np.concatenate([corner, corner + box], axis=1)


def largest_boxes(sizes: Float64s | Integers, ratio: tuple[float, float]) -> Float64s:
    """Width and height of the largest box in each image whose aspect ratio is in a range, shape (n, 2).

    Args:
        sizes: Width and height of the images in pixels, shape (n, 2).
        ratio: Smallest and largest width over height.
    """
    width, height = sizes[:, 0].astype(np.float64), sizes[:, 1].astype(np.float64)
    return np.stack([np.minimum(width, height * ratio[1]), np.minimum(height, width / ratio[0])], axis=1)
