"""The worker renderer: decodes, crops, resizes and composes one row after the other, on the CPU.

Only what is shown is resized, and only ``uint8`` at the target size leaves it.
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
from clipc.render.cuts import Cuts, cuts_of, lay_one_by_one
from clipc.render.geometry import geometry
from clipc.render.resample import Image8, Window, windows
from clipc.render.texts import texts

_SPARE: Final = 1.5
"""How many times as many pixels as it needs each way a decoded image must have to be decoded smaller than it is."""
_GREY: Final = np.full((1, 1, 3), GREY, dtype=np.uint8)
"""What is shown of an image that cannot be read."""


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
        _ = self.catalog.image_ids

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
        images = torch.from_numpy(np.empty((len(plan), self.image_size, self.image_size, 3), dtype=np.uint8))
        unreadable: list[int] = []
        for cuts in cuts_of(self.plans, plan, shown, said, self.augmentation, self.image_size):
            lay_one_by_one(images, cuts, self._reader(cuts, unreadable))
        return Batch(
            images=images,
            tokens=self.tokenizer(said.captions),
            sources=sources(self.catalog, plan),
            texts=said.ids,
            treated=int((plan.layout != PLAIN).sum()),
            shortened=said.shortened,
            unreadable=tuple(unreadable),
        )

    def _reader(self, cuts: Cuts, unreadable: list[int]) -> Callable[[int], tuple[Image8, Window]]:
        """Decodes the image of a cut, no larger than its place needs, or is grey and says so in ``unreadable``."""
        sizes = self.catalog.sizes[cuts.image]
        least = np.ceil(_SPARE * cuts.size * sizes / (cuts.box[:, 2:] - cuts.box[:, :2])).astype(np.int64).tolist()
        rows, known, wanted = cuts.image.tolist(), sizes.tolist(), cuts.size

        @cache
        def of(smaller: int) -> list[Window]:
            return windows(cuts.box / smaller, wanted, -(-sizes // smaller))

        def read(i: int) -> tuple[Image8, Window]:
            width, height = known[i]
            try:
                image = self.catalog.image(rows[i], tuple(least[i]))
                smaller = max(1, round(width / image.shape[1]))
                if image.shape[:2] != (-(-height // smaller), -(-width // smaller)):
                    raise DecodeError("the image is not as large as when it was indexed")
            except (OSError, DecodeError):
                unreadable.append(rows[i])
                return _GREY, windows(np.array([[0.0, 0, 1, 1]]), wanted[i : i + 1], np.ones((1, 2), np.int64))[0]
            return image, of(smaller)[i]

        return read
