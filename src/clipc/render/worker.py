"""The worker renderer: decodes, crops, resizes and composes one row after the other, on the CPU.

Only what is shown is resized, and only ``uint8`` at the target size leaves it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from clipc.catalog.catalog import Catalog
from clipc.catalog.decode import DecodeError
from clipc.compose.captions import fit
from clipc.compose.layout import LAYOUTS, PLAIN, STRONG, Tiles
from clipc.compose.plan import Plan, Plans
from clipc.compose.streams import rows_uniform
from clipc.render.batch import Batch, Tokenizer
from clipc.render.crop import DRAWS, Augmentation, view_boxes

NAMES_A_SIDE: Final = re.compile(r"\b(left|right|west|east|clockwise)(most|wards?|ern|hand|side)?\b|[左右東西]", re.I)
"""Captions that a mirrored picture would make false."""

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
        tiles = LAYOUTS[self.plans.policy.layout](plan.layout)
        captions, shortened = self.captions(plan)
        draws = rows_uniform(self.plans.seed, "crop", start, stop, 2 * DRAWS).reshape(-1, 2, DRAWS)
        images = np.empty((len(plan), self.image_size, self.image_size, 3), dtype=np.uint8)
        unreadable: list[int] = []
        for side, rows in enumerate((plan.left, plan.right)):
            shown = np.flatnonzero(rows >= 0)
            boxes = self._views(draws[shown, side], rows[shown], plan.layout[shown])
            for i, box in zip(shown.tolist(), boxes, strict=True):
                mirrored = bool(draws[i, side, 4] < self.augmentation.flip)
                if mirrored and NAMES_A_SIDE.search(captions[i]):
                    mirrored = False
                try:
                    pixels = self.catalog.image(int(rows[i]))
                except (OSError, DecodeError):
                    unreadable.append(int(rows[i]))
                    pixels = np.full((2, 2, 3), 127, dtype=np.uint8)
                    box = np.array([0.0, 0.0, 2.0, 2.0])
                place, tile = cut(pixels, box, mirrored, tiles, i, side, self.image_size)
                strong = plan.layout[i] == STRONG
                strength = self.augmentation.strong_colour if strong else self.augmentation.colour
                images[i][place] = jitter(tile, draws[i, side, 5:8], strength) if strength else tile
        return Batch(
            images=torch.from_numpy(images),
            tokens=self.tokenizer(captions),
            sources=torch.from_numpy(np.stack([plan.left, plan.right], axis=1).astype(np.int64)),
            texts=torch.from_numpy(self._text_ids(plan)),
            treated=int((plan.layout != PLAIN).sum()),
            shortened=shortened,
            unreadable=tuple(unreadable),
        )

    def captions(self, plan: Plan) -> tuple[list[str], int]:
        """The captions of the rows as the model reads them, and how many of them had to be cut."""
        limit = self.tokenizer.context_length - 2
        catalog, joiner = self.catalog, self.plans.policy.joiner
        made = [
            fit(
                catalog.caption(left, left_choice),
                catalog.caption(right, right_choice) if right >= 0 else None,
                joiner,
                self.tokenizer.count,
                limit,
            )
            for left, left_choice, right, right_choice in zip(
                plan.left.tolist(),
                plan.left_caption.tolist(),
                plan.right.tolist(),
                plan.right_caption.tolist(),
                strict=True,
            )
        ]
        return [text for text, _ in made], sum(cut for _, cut in made)

    def _views(self, draws: npt.NDArray[np.float64], rows: npt.NDArray[np.int32], layout: Pixels) -> Boxes:
        strong = (layout == STRONG)[:, None]
        scale = np.where(strong, self.augmentation.strong_scale, self.augmentation.crop_scale)
        return view_boxes(draws[:, :4], self.catalog.sizes[rows], scale, self.augmentation.crop_ratio)

    def _text_ids(self, plan: Plan) -> npt.NDArray[np.int64]:
        catalog = self.catalog
        pairs = zip(
            (plan.left.tolist(), plan.right.tolist()),
            (plan.left_caption.tolist(), plan.right_caption.tolist()),
            strict=True,
        )
        ids = [
            [_text_id(catalog.caption(r, c)) if r >= 0 else -1 for r, c in zip(rows, choices, strict=True)]
            for rows, choices in pairs
        ]
        return np.array(ids, dtype=np.int64).T.copy()


@lru_cache(maxsize=1 << 16)
def _text_id(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest())


def cut(
    pixels: Pixels, view: Boxes, mirrored: bool, tiles: Tiles, row: int, side: int, size: int
) -> tuple[tuple[slice, slice], Pixels]:
    """Resizes the shown window of a view to the size of its place; the rest of the view is never touched.

    Args:
        pixels: The image, RGB ``uint8``, shape (height, width, 3).
        view: x0, y0, x1, y1 of the view in the image.
        mirrored: Whether the view is shown mirrored.
        tiles: Windows and places of the batch.
        row: The example's number in the batch.
        side: 0 for the left source, 1 for the right one.
        size: The side of the picture in pixels.

    Returns:
        The place in the picture as (rows, columns), and what it shows.
    """
    px0, py0, px1, py1 = np.rint(tiles.place[row, side] * size).astype(int).tolist()
    wx0, wy0, wx1, wy1 = tiles.window[row, side].tolist()
    if mirrored:
        wx0, wx1 = 1 - wx1, 1 - wx0
    x0, y0, x1, y1 = view.tolist()
    width, height = x1 - x0, y1 - y0
    box = (x0 + wx0 * width, y0 + wy0 * height, x0 + wx1 * width, y0 + wy1 * height)
    tile = Image.fromarray(pixels).resize((px1 - px0, py1 - py0), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
    shown = np.asarray(tile)
    return (slice(py0, py1), slice(px0, px1)), shown[:, ::-1] if mirrored else shown


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
