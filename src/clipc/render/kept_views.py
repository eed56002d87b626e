"""The views of an image whose features are kept: a few random crops, the same for all arms, seeds and subsets."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Float64s, Int64s
from clipc.compose.layouts import find_layout
from clipc.compose.layouts.tiles import LEFT_RIGHT, TOP_BOTTOM
from clipc.compose.layouts.tiles import Views as SourceViews
from clipc.compose.streams import content_uniform
from clipc.render.crop import DRAWS, TRIES, Augmentation, view_boxes
from clipc.render.cuts import window_boxes
from clipc.render.resample import Image8, resample, resample_specs

HALVES: Final = (LEFT_RIGHT, TOP_BOTTOM)
"""The shapes whose halves are kept of each view, by their codes in a plan's ``layout`` column."""


@dataclass(frozen=True, eq=False)
class KeptViews:
    """The views of n images.

    A view depends on the image's content and the augmentation alone. Colour does not change. The first view of an image
    is never mirrored, so that captions that name a side have one.

    Attributes:
        box: x0, y0, x1, y1 of the views in pixels of their images; ``float64``, shape (n, V, 4).
        mirrored: Which views are mirrored; ``bool``, shape (n, V).
        sizes: Widths and heights of the images in pixels, shape (n, 2).
    """

    box: Float64s
    mirrored: Bools
    sizes: Int64s

    @classmethod
    def of(cls, catalog: Catalog, augmentation: Augmentation, views: int) -> "KeptViews":
        """The views of a catalog's images.

        Args:
            catalog: The pairs.
            augmentation: How views are cropped, and how often they are mirrored.
            views: The number V of views of each image.
        """
        n, sizes = len(catalog), catalog.sizes.astype(np.int64)
        draws = content_uniform(catalog.table["content"].to_numpy(), "kept", views * DRAWS).reshape(n, views, DRAWS)
        shapes, corners = draws[..., : 2 * TRIES].reshape(-1, TRIES, 2), draws[..., 2 * TRIES : 2 * TRIES + 2]
        scale = np.broadcast_to(np.array(augmentation.crop_scale), (n * views, 2))
        repeated = np.repeat(sizes, views, axis=0)
        box = view_boxes(shapes, corners.reshape(-1, 2), repeated, scale, augmentation.crop_ratio)
        mirrored = draws[..., 2 * TRIES + 2] < augmentation.flip
        mirrored[:, 0] = False
        return cls(box.reshape(n, views, 4), mirrored, sizes)

    def render(self, image: Image8, row: int, image_size: int) -> list[Image8]:
        """The views of one image, each RGB ``uint8``, shape (S, S, 3).

        Args:
            image: The decoded image, RGB ``uint8``, shape (height, width, 3).
            row: Its row.
            image_size: The side S in pixels.
        """
        return self._tiles(image, self.box[row], self.mirrored[row], (image_size, image_size))

    def render_halves(self, image: Image8, row: int, image_size: int) -> tuple[list[Image8], list[Image8]]:
        """The halves of one image's views that composites show, as the layout ``centre-halves`` cuts them.

        Args:
            image: As for :meth:`render`.
            row: As for :meth:`render`.
            image_size: The side S of composites, in pixels.

        Returns:
            For composites side by side: of each view the half of shape (S, S / 2, 3). For those one above the other:
            of each view the half of shape (S / 2, S, 3).
        """
        layout = find_layout("centre-halves")
        draws = np.zeros((len(HALVES), 4), dtype=np.float32)
        tiles = layout.tiles(np.array(HALVES, dtype=np.uint8), draws, SourceViews.plain(len(HALVES)))
        halves: list[list[Image8]] = []
        for window, place in zip(tiles.window[:, 0], tiles.place[:, 0], strict=True):
            boxes = window_boxes(self.box[row], np.broadcast_to(window, self.box[row].shape), self.sizes[row])
            width, height = np.rint((place[2:] - place[:2]) * image_size).astype(np.int64).tolist()
            halves.append(self._tiles(image, boxes, self.mirrored[row], (width, height)))
        return halves[0], halves[1]

    def _tiles(self, image: Image8, boxes: Float64s, mirrored: Bools, size: tuple[int, int]) -> list[Image8]:
        height, width = image.shape[:2]
        places, sizes = np.broadcast_to(np.array(size), (len(boxes), 2)), np.array([[width, height]] * len(boxes))
        specs = resample_specs(boxes, places, sizes)
        tiles = [resample(image, spec, mirrored=flip) for spec, flip in zip(specs, mirrored.tolist(), strict=True)]
        return [np.ascontiguousarray(tile) for tile in tiles]
