"""The worker renderer: decodes, crops, resizes and composes one row after the other, on the CPU.

Only what is shown is resized, and only ``uint8`` at the target size leaves it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from clipc.catalog.catalog import Catalog
from clipc.catalog.decode import DecodeError
from clipc.compose.layouts.tiles import PLAIN, STRONG
from clipc.compose.plan import Plans
from clipc.render.batch import Batch, Tokenizer
from clipc.render.crop import Augmentation
from clipc.render.geometry import geometry
from clipc.render.texts import texts

Pixels = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float64]


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
        mirrored = shown.mirrored & said.may_mirror[:, None]
        size = self.image_size
        images = np.empty((len(plan), size, size, 3), dtype=np.uint8)
        unreadable: list[int] = []
        places = np.rint(shown.tiles.place * size).astype(int)
        for side, rows in enumerate((plan.left, plan.right)):
            for i in np.flatnonzero((places[:, side, 2:] > places[:, side, :2]).all(axis=1)).tolist():
                try:
                    pixels = self.catalog.image(int(rows[i]))
                except (OSError, DecodeError):
                    unreadable.append(int(rows[i]))
                    pixels, box = np.full((2, 2, 3), 127, dtype=np.uint8), np.array([0.0, 0.0, 2.0, 2.0])
                else:
                    box = window_box(shown.views[i, side], shown.tiles.window[i, side], pixels)
                x0, y0, x1, y1 = places[i, side].tolist()
                tile = cut(pixels, box, (x1 - x0, y1 - y0))
                if mirrored[i, side]:
                    tile = tile[:, ::-1]
                strong = plan.layout[i] == STRONG
                strength = self.augmentation.strong_colour if strong else self.augmentation.colour
                lay(
                    tile if not strength else jitter(tile, shown.colour[i, side], strength),
                    images[i, y0:y1, x0:x1],
                    float(shown.tiles.opacity[i, side]),
                )
        return Batch(
            images=torch.from_numpy(images),
            tokens=self.tokenizer(said.captions),
            sources=torch.from_numpy(np.stack([plan.left, plan.right], axis=1).astype(np.int64)),
            texts=said.ids,
            treated=int((plan.layout != PLAIN).sum()),
            shortened=said.shortened,
            unreadable=tuple(unreadable),
        )


def window_box(view: Boxes, window: npt.NDArray[np.float32], pixels: Pixels) -> Boxes:
    """A window of a view as x0, y0, x1, y1 in the image's pixels, kept inside the image against rounding."""
    corner, extent = np.tile(view[:2], 2), np.tile(view[2:] - view[:2], 2)
    height, width = pixels.shape[:2]
    return np.clip(corner + window * extent, 0, [width, height, width, height])


def cut(pixels: Pixels, box: Boxes, size: tuple[int, int]) -> Pixels:
    """Resizes a box of an image; the rest of the image is never touched.

    Args:
        pixels: The image, RGB ``uint8``, shape (height, width, 3).
        box: x0, y0, x1, y1 in the image.
        size: Width and height of the result in pixels.
    """
    edges = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box=edges, reducing_gap=2.0)
    return np.asarray(resized)


def lay(tile: Pixels, place: Pixels, opacity: float) -> None:
    """Puts a tile into its place in the picture; with an opacity below 1 what lies there shines through."""
    if opacity < 1:
        tile = np.rint(place * np.float32(1 - opacity) + tile * np.float32(opacity)).astype(np.uint8)
    place[:] = tile


def jitter(picture: Pixels, draws: npt.NDArray[np.float64], strength: float) -> Pixels:
    """Changes brightness, contrast and saturation, each by a factor in 1 +- strength.

    Args:
        picture: RGB ``uint8``, shape (height, width, 3).
        draws: Three numbers in [0, 1).
        strength: The largest change of a factor, in [0, 1].
    """
    brightness, contrast, saturation = (1 + strength * (2 * draws - 1)).astype(np.float32)
    x = picture.astype(np.float32) * brightness
    x = (x - x.mean()) * contrast + x.mean()
    grey = x @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.clip(np.rint(grey[..., None] + (x - grey[..., None]) * saturation), 0, 255).astype(np.uint8)
