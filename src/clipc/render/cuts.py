"""Cuts: what a batch shows of which images, and where; and laying them into it, one after the other, on the CPU."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.compose.layouts.tiles import STRONG
from clipc.compose.plan import Plan, Plans
from clipc.render.colour import recoloured
from clipc.render.crop import Augmentation
from clipc.render.geometry import Geometry
from clipc.render.resample import Image8, Window, resample
from clipc.render.texts import Texts

Boxes = npt.NDArray[np.float64]

_CORNERS: Final = [0, 1, 0, 1]


@dataclass(frozen=True, eq=False)
class Cuts:
    """What is cut of images and where it is laid; one row a tile.

    Attributes:
        image: The image: a row of the catalog, or the number of a kept one; ``int64``, shape (n,).
        box: x0, y0, x1, y1 in that image, in pixels; ``float64``, shape (n, 4).
        row: The image of the batch that it is laid into, ``int64``, shape (n,).
        place: x0, y0, x1, y1 there, in pixels, never without area; ``int64``, shape (n, 4).
        strong: Whether the view is a strongly augmented one, ``bool``, shape (n,).
        mirrored: ``bool``, shape (n,).
        opacity: In [0, 1]; below 1 what lies there shines through; ``float32``, shape (n,).
        colour: Factors of brightness, contrast and saturation, 1 for no change; ``float32``, shape (n, 3).
    """

    image: npt.NDArray[np.int64]
    box: Boxes
    row: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    strong: npt.NDArray[np.bool_]
    mirrored: npt.NDArray[np.bool_]
    opacity: npt.NDArray[np.float32]
    colour: npt.NDArray[np.float32]

    @property
    def size(self) -> npt.NDArray[np.int64]:
        """Width and height of the places, shape (n, 2)."""
        return self.place[:, 2:] - self.place[:, :2]

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, rows: npt.NDArray[np.integer]) -> "Cuts":
        return Cuts(*(getattr(self, f.name)[rows] for f in fields(self)))


def cuts_of(
    plans: Plans, plan: Plan, shown: Geometry, said: Texts, augmentation: Augmentation, image_size: int
) -> list[Cuts]:
    """What some rows show of their left pairs' images and, laid later, of their right ones'.

    Args:
        plans: The plans that the rows are part of.
        plan: The rows.
        shown: Their geometry.
        said: Their captions, which may forbid that a view is mirrored.
        augmentation: How views are cut.
        image_size: The side S of the batch's images, in pixels.
    """
    places = np.rint(shown.tiles.place * image_size).astype(np.int64)
    strong = plan.layout == STRONG
    strength = np.where(strong, augmentation.strong_colour, augmentation.colour)[:, None, None]
    colour = (1 + strength * (2 * shown.colour - 1)).astype(np.float32)
    mirrored = shown.mirrored
    if mirrored.any():
        mirrored = mirrored & said.may_mirror[:, None]

    def of_side(side: int, pairs: npt.NDArray[np.integer]) -> Cuts:
        there = np.flatnonzero((places[:, side, 2:] > places[:, side, :2]).all(axis=1))
        image = pairs[there].astype(np.int64)
        windows = shown.tiles.window[there, side]
        return Cuts(
            image=image,
            box=window_boxes(shown.views[there, side], windows, plans.catalog.sizes[image]),
            row=there,
            place=places[there, side],
            strong=strong[there],
            mirrored=mirrored[there, side],
            opacity=shown.tiles.opacity[there, side],
            colour=colour[there, side],
        )

    sides = of_side(0, plan.left), of_side(1, plan.right)
    return [cuts for cuts in sides if len(cuts)]


def window_boxes(views: Boxes, windows: npt.NDArray[np.float32], sizes: npt.NDArray[np.integer]) -> Boxes:
    """Windows of views as x0, y0, x1, y1 in their images' pixels, kept inside the images against rounding.

    Args:
        views: x0, y0, x1, y1 in pixels, shape (..., 4).
        windows: The same in fractions of the views, shape (..., 4).
        sizes: Widths and heights of the images in pixels, shape (..., 2).
    """
    corners, extents = views[..., _CORNERS], (views[..., 2:] - views[..., :2])[..., _CORNERS]
    return np.clip(corners + windows * extents, 0, sizes[..., _CORNERS])


@torch.inference_mode()  # Each tile is a few calls of torch, which then cost less.
def lay_one_by_one(images: torch.Tensor, cuts: Cuts, read: Callable[[int], tuple[Image8, Window]]) -> None:
    """Resamples, mirrors, changes colours, and lays tiles into a batch's images.

    Args:
        images: RGB ``uint8``, shape (B, S, S, 3), on the CPU; written to in the places only.
        cuts: What to lay; later ones over earlier ones.
        read: For the number of a cut an image, and the window of it that is as large as the cut's place.
    """
    batch = images.numpy()
    coloured = (cuts.colour != 1).any(axis=1)
    columns = (cuts.row, cuts.place, cuts.mirrored, cuts.opacity, coloured)
    for i, (row, (x0, y0, x1, y1), mirrored, opacity, other) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        tile = resample(*read(i), mirrored=mirrored)
        if other:
            tile = recoloured(tile, cuts.colour[i])
        place = batch[row, y0:y1, x0:x1]
        place[:] = tile if opacity == 1 else _blended(place, tile, opacity)


def _blended(under: Image8, tile: Image8, opacity: float) -> Image8:
    mixed = under * np.float32(1 - opacity) + tile * np.float32(opacity)
    return np.rint(mixed, out=mixed).astype(np.uint8)
