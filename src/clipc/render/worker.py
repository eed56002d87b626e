"""The worker renderer: decodes, crops, resizes and composes one row after the other, on the CPU.

Only visible pixels are resized, and only ``uint8`` images of the target size leave a worker process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import torch

from clipc.catalog.catalog import Catalog
from clipc.catalog.decode import DecodeError
from clipc.compose.layouts.tiles import PLAIN
from clipc.compose.plan import Plans
from clipc.render.batch import GREY, Batch, Tokenizer, sources
from clipc.render.crop import Augmentation
from clipc.render.cuts import Cuts, paste_cuts, plan_cuts
from clipc.render.geometry import geometry
from clipc.render.resample import Image8, Window, windows
from clipc.render.texts import texts

_SPARE: Final = 1.5
"""An image may be decoded at a reduced size that has this many times the pixels needed along each axis."""
_GREY: Final = np.full((1, 1, 3), GREY, dtype=np.uint8)
"""Replaces an unreadable image."""


@dataclass(frozen=True, eq=False)
class WorkerRenderer:
    """Plan rows to batches, as a pure function of the row numbers.

    Attributes:
        plans: The plans to render.
        augmentation: How views are cropped.
        image_size: The side S of the images, in pixels.
        tokenizer: The model's.
    """

    plans: Plans
    augmentation: Augmentation
    image_size: int
    tokenizer: Tokenizer

    def __post_init__(self) -> None:
        # Computed here, not at the first batch, so that forked workers share it: it takes a while for millions of rows.
        _ = self.catalog.image_ids

    @property
    def catalog(self) -> Catalog:
        """The training pairs."""
        return self.plans.catalog

    def render(self, start: int, stop: int) -> Batch:
        """The batch of the plan's rows ``[start, stop)``.

        An unreadable image is replaced by mid-grey and listed in ``unreadable``: one bad file must
        neither end a long run nor go unnoticed.
        """
        plan = self.plans.rows(start, stop)
        batch_geometry = geometry(self.plans, plan, start, self.augmentation)
        batch_texts = texts(self.plans, plan, self.tokenizer)
        images = torch.from_numpy(np.empty((len(plan), self.image_size, self.image_size, 3), dtype=np.uint8))
        unreadable: list[int] = []
        for cuts in plan_cuts(self.plans, plan, batch_geometry, batch_texts, self.augmentation, self.image_size):
            paste_cuts(images, cuts, self._reader(cuts, unreadable))
        return Batch(
            images=images,
            tokens=self.tokenizer(batch_texts.captions),
            sources=sources(self.catalog, plan),
            texts=batch_texts.ids,
            treated=int((plan.layout != PLAIN).sum()),
            shortened=batch_texts.shortened,
            unreadable=tuple(unreadable),
        )

    def _reader(self, cuts: Cuts, unreadable: list[int]) -> Callable[[int], tuple[Image8, Window]]:
        """From the index of a cut to its window and its image, decoded no larger than needed; grey if unreadable."""
        sizes = self.catalog.sizes[cuts.image]
        least = np.ceil(_SPARE * cuts.size * sizes / (cuts.box[:, 2:] - cuts.box[:, :2])).astype(np.int64).tolist()
        rows, image_sizes, place_sizes = cuts.image.tolist(), sizes.tolist(), cuts.size

        @cache
        def windows_at(smaller: int) -> list[Window]:
            return windows(cuts.box / smaller, place_sizes, -(-sizes // smaller))

        def read(i: int) -> tuple[Image8, Window]:
            width, height = image_sizes[i]
            try:
                image = self.catalog.image(rows[i], tuple(least[i]))
                smaller = max(1, round(width / image.shape[1]))
                if image.shape[:2] != (-(-height // smaller), -(-width // smaller)):
                    raise DecodeError("the image is not as large as when it was indexed")
            except (OSError, DecodeError):
                unreadable.append(rows[i])
                return _GREY, windows(np.array([[0.0, 0, 1, 1]]), place_sizes[i : i + 1], np.ones((1, 2), np.int64))[0]
            return image, windows_at(smaller)[i]

        return read
