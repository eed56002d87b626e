"""The worker renderer: decodes, crops, resizes and composes one row after the other, on the CPU.

Only what is shown is resized, and only ``uint8`` at the target size leaves it.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.catalog.catalog import Catalog
from clipc.catalog.decode import DecodeError
from clipc.compose.layouts.tiles import PLAIN, STRONG
from clipc.compose.plan import Plans
from clipc.render.batch import GREY, Batch, Tokenizer, sources
from clipc.render.colour import jitter
from clipc.render.crop import Augmentation
from clipc.render.cut import Pixels, cut
from clipc.render.geometry import geometry
from clipc.render.texts import texts

Boxes = npt.NDArray[np.float64]

_SPARE: Final = 1.5
"""How many times as many pixels as it needs each way a decoded image must have to be decoded smaller than it is."""
_CORNERS: Final = [0, 1, 0, 1]


@dataclass(frozen=True, eq=False)
class WorkerRenderer:
    """Plan rows to batches, as a pure function of the row numbers.

    Attributes:
        plans: What to show.
        augmentation: How views are cut.
        image_size: The side S of the pictures, in pixels.
        tokenizer: The model's.
    """

    plans: Plans
    augmentation: Augmentation
    image_size: int
    tokenizer: Tokenizer

    def __post_init__(self) -> None:
        # Here, not at the first batch, so that forked processes share it: among millions of rows it takes a while.
        _ = self.catalog.pictures

    @property
    def catalog(self) -> Catalog:
        """The pairs that are shown."""
        return self.plans.catalog

    def render(self, start: int, stop: int) -> Batch:
        """The batch of the plan's rows ``[start, stop)``.

        An image that cannot be read is shown as mid-grey and told in ``unreadable``: one bad file must
        not end a long run, and must not go unseen either.
        """
        plan = self.plans.rows(start, stop)
        shown = geometry(self.plans, plan, start, self.augmentation)
        said = texts(self.plans, plan, self.tokenizer)
        mirrored = shown.mirrored
        if mirrored.any():
            mirrored = mirrored & said.may_mirror[:, None]
        strong = plan.layout == STRONG
        strength = np.where(strong, self.augmentation.strong_colour, self.augmentation.colour)
        images = np.empty((len(plan), self.image_size, self.image_size, 3), dtype=np.uint8)
        places = np.rint(shown.tiles.place * self.image_size).astype(int)
        pairs = np.stack([plan.left, plan.right], axis=1)
        sizes = self.catalog.sizes[pairs]
        boxes = window_boxes(shown.views, shown.tiles.window, sizes)
        unreadable: list[int] = []
        for side in (0, 1):
            there = np.flatnonzero((places[:, side, 2:] > places[:, side, :2]).all(axis=1))
            of_side = (pairs, sizes, boxes, places, mirrored, shown.tiles.opacity)
            columns = (there, strength[there], *(values[there, side] for values in of_side))
            for i, strength_of, row, size, box, (x0, y0, x1, y1), mirror, opacity in zip(
                *(column.tolist() for column in columns), strict=True
            ):
                try:
                    tile = self._tile(row, size, box, (x1 - x0, y1 - y0))
                except (OSError, DecodeError):
                    unreadable.append(row)
                    tile = np.full((y1 - y0, x1 - x0, 3), GREY, dtype=np.uint8)
                if mirror:
                    tile = tile[:, ::-1]
                if strength_of:
                    tile = jitter(tile, shown.colour[i, side], strength_of)
                lay(tile, images[i, y0:y1, x0:x1], opacity)
        return Batch(
            images=torch.from_numpy(images),
            tokens=self.tokenizer(said.captions),
            sources=sources(self.catalog, plan),
            texts=said.ids,
            treated=int((plan.layout != PLAIN).sum()),
            shortened=said.shortened,
            unreadable=tuple(unreadable),
        )

    def _tile(self, row: int, size: list[int], box: list[float], place: tuple[int, int]) -> Pixels:
        """A box of an image of known size, as large as its place, and decoded no larger than that needs."""
        (width, height), (x0, y0, x1, y1) = size, box
        least = ceil(_SPARE * place[0] * width / (x1 - x0)), ceil(_SPARE * place[1] * height / (y1 - y0))
        pixels = self.catalog.image(row, least)
        smaller = max(1, round(width / pixels.shape[1]))
        if pixels.shape[:2] != (-(-height // smaller), -(-width // smaller)):
            raise DecodeError("the image is not as large as when it was indexed")
        return cut(pixels, (x0 / smaller, y0 / smaller, x1 / smaller, y1 / smaller), place)


def window_boxes(views: Boxes, windows: npt.NDArray[np.float32], sizes: npt.NDArray[np.integer]) -> Boxes:
    """Windows of views as x0, y0, x1, y1 in their images' pixels, kept inside the images against rounding.

    Args:
        views: x0, y0, x1, y1 in pixels, shape (..., 4).
        windows: The same in fractions of the views, shape (..., 4).
        sizes: Widths and heights of the images in pixels, shape (..., 2).
    """
    corners, extents = views[..., _CORNERS], (views[..., 2:] - views[..., :2])[..., _CORNERS]
    return np.clip(corners + windows * extents, 0, sizes[..., _CORNERS])


def window_box(view: Boxes, window: npt.NDArray[np.float32], pixels: Pixels) -> Boxes:
    """The same for one view of an image that is at hand."""
    return window_boxes(view, window, np.array(pixels.shape[1::-1]))


def lay(tile: Pixels, place: Pixels, opacity: float) -> None:
    """Puts a tile into its place in the picture; with an opacity below 1 what lies there shines through."""
    if opacity < 1:
        tile = np.rint(place * np.float32(1 - opacity) + tile * np.float32(opacity)).astype(np.uint8)
    place[:] = tile
