"""Cuts: the source and destination boxes of a batch's tiles; they are pasted one by one on the CPU."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch

from clipc.compose.arrays import Bools, Float32s, Float64s, Int64s, Integers
from clipc.compose.layouts.tiles import STRONG
from clipc.compose.plan import Plan, Plans
from clipc.render.colour import adjust_colour
from clipc.render.crop import Augmentation
from clipc.render.geometry import Geometry
from clipc.render.resample import Image8, ResampleSpec, resample
from clipc.render.texts import Texts

_CORNERS = [0, 1, 0, 1]


@dataclass(frozen=True, eq=False)
class Cuts:
    """The source box and the destination box of each tile; one row per tile.

    Attributes:
        image: The source image: a row of the catalog, or an index into :class:`~clipc.render.pixels.Pixels`;
            ``int64``, shape (n,).
        box: The source box: x0, y0, x1, y1 in pixels of the source image; ``float64``, shape (n, 4).
        row: The row of the batch into whose image the tile is pasted; ``int64``, shape (n,).
        place: The destination box: x0, y0, x1, y1 in pixels of the batch's image, of positive area; ``int64``,
            shape (n, 4).
        strong: Whether the view is strongly augmented; ``bool``, shape (n,).
        mirrored: Whether the tile is mirrored, after it is turned; ``bool``, shape (n,).
        turns: The quarter turns of the tile, counterclockwise, in [0, 4); ``int64``, shape (n,).
        opacity: In [0, 1]; below 1 the tile is blended with the image under it; ``float32``, shape (n,).
        colour: Factors of brightness, contrast and saturation, 1 for no change; ``float32``, shape (n, 3).
    """

    image: Int64s
    box: Float64s
    row: Int64s
    place: Int64s
    strong: Bools
    mirrored: Bools
    turns: Int64s
    opacity: Float32s
    colour: Float32s

    @property
    def size(self) -> Int64s:
        """Width and height of the tiles before they are turned, shape (n, 2)."""
        size = self.place[:, 2:] - self.place[:, :2]
        return np.where(self.turns[:, None] % 2 == 1, size[:, ::-1], size)

    @property
    def turns_after_mirroring(self) -> Int64s:
        """The quarter turns of the tile, in [0, 4), if it is mirrored before it is turned instead of after."""
        return np.where(self.mirrored, -self.turns % 4, self.turns)

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, rows: Integers) -> "Cuts":
        return Cuts(*(getattr(self, f.name)[rows] for f in fields(self)))


def plan_cuts(
    plans: Plans, plan: Plan, geometry: Geometry, texts: Texts, augmentation: Augmentation, image_size: int
) -> list[Cuts]:
    """The cuts from the left pairs' images, then those from the right pairs' images, which are pasted over the first.

    Args:
        plans: The plans that the rows are part of.
        plan: The rows.
        geometry: Their geometry.
        texts: Their captions, which may forbid mirrored views.
        augmentation: How views are cropped.
        image_size: The side S of the batch's images, in pixels.
    """
    places = np.rint(geometry.tiles.place * image_size).astype(np.int64)
    strong = plan.layout == STRONG
    strength = np.where(strong, augmentation.strong_colour, augmentation.colour)[:, None, None]
    colour = (1 + strength * (2 * geometry.colour - 1)).astype(np.float32)
    # The other half of a half that is shown alone is the mean of its brightness: contrast and colour are taken away.
    colour[plan.half_alone, 1] = colour[plan.half_alone, 0] * np.array([1, 0, 0], dtype=np.float32)
    mirrored = geometry.mirrored
    if mirrored.any():
        mirrored = mirrored & texts.may_mirror[:, None]

    def side_cuts(side: int, pairs: Integers) -> Cuts:
        rows = np.flatnonzero((places[:, side, 2:] > places[:, side, :2]).all(axis=1))
        image = pairs[rows].astype(np.int64)
        windows = geometry.tiles.window[rows, side]
        return Cuts(
            image=image,
            box=window_boxes(geometry.views[rows, side], windows, plans.catalog.sizes[image]),
            row=rows,
            place=places[rows, side],
            strong=strong[rows],
            mirrored=mirrored[rows, side],
            turns=geometry.turns[rows, side],
            opacity=geometry.tiles.opacity[rows, side],
            colour=colour[rows, side],
        )

    sides = side_cuts(0, plan.left), side_cuts(1, np.where(plan.right < 0, plan.left, plan.right))
    return [cuts for cuts in sides if len(cuts)]


def window_boxes(views: Float64s, windows: Float32s, sizes: Integers) -> Float64s:
    """The windows of views in pixels of their images, clipped to the images against rounding errors.

    Args:
        views: x0, y0, x1, y1 of the views in pixels, shape (..., 4).
        windows: x0, y0, x1, y1 of the windows in fractions of the views, shape (..., 4).
        sizes: Widths and heights of the images in pixels, shape (..., 2).

    Returns:
        x0, y0, x1, y1, shape (..., 4).
    """
    corners, extents = views[..., _CORNERS], (views[..., 2:] - views[..., :2])[..., _CORNERS]
    return np.clip(corners + windows * extents, 0, sizes[..., _CORNERS])


@torch.inference_mode()  # Each tile takes a few torch calls, which are faster in this mode.
def paste_cuts(images: torch.Tensor, cuts: Cuts, read: Callable[[int], tuple[Image8, ResampleSpec]]) -> None:
    """Resamples, mirrors, turns and recolours tiles, and pastes them into a batch's images.

    Args:
        images: RGB ``uint8``, shape (B, S, S, 3), on the CPU; only the destination boxes are written.
        cuts: The cuts; later ones are pasted over earlier ones.
        read: A function from the index of a cut to its source image and the resampling of its box.
    """
    batch = images.numpy()
    recoloured = (cuts.colour != 1).any(axis=1)
    columns = (cuts.row, cuts.place, cuts.mirrored, cuts.turns_after_mirroring, cuts.opacity, recoloured)
    for i, (row, (x0, y0, x1, y1), mirrored, turns, opacity, recolour) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        tile = resample(*read(i), mirrored=mirrored)
        if turns:
            tile = np.rot90(tile, turns)
        if recolour:
            tile = adjust_colour(tile, cuts.colour[i])
        place = batch[row, y0:y1, x0:x1]
        place[:] = tile if opacity == 1 else _blend(place, tile, opacity)


def _blend(under: Image8, tile: Image8, opacity: float) -> Image8:
    blend = under * np.float32(1 - opacity) + tile * np.float32(opacity)
    return np.rint(blend, out=blend).astype(np.uint8)
