"""The resident renderer: a data set that fits is decoded once, and batches are cut from it where it lies.

It shows what the worker renderer shows: on a CPU the same to the last bit where an image is kept at its own size, and
else nearly so, since it is resampled from a copy that is kept no larger than needed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.layouts.tiles import PLAIN
from clipc.compose.plan import Plans
from clipc.progress import Progress, silent
from clipc.render.batch import Batch, Tokenizer, sources
from clipc.render.crop import Augmentation
from clipc.render.cuts import Cuts, cuts_of, lay_one_by_one
from clipc.render.geometry import geometry
from clipc.render.pixels import STRONGER, USUAL, Pixels
from clipc.render.resample import Image8, Window, windows
from clipc.render.resample_matrix import lay_together
from clipc.render.texts import texts

_CPU: Final = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class ResidentRenderer:
    """Plan rows to batches, as a pure function of the row numbers.

    Attributes:
        plans: What to show.
        augmentation: How views are cut.
        image_size: The side S of the pictures, in pixels.
        tokenizer: The model's.
        pixels: The catalog's pictures; batches lie on the device that they lie on.
    """

    plans: Plans
    augmentation: Augmentation
    image_size: int
    tokenizer: Tokenizer
    pixels: Pixels

    @classmethod
    def create(
        cls,
        plans: Plans,
        augmentation: Augmentation,
        image_size: int,
        tokenizer: Tokenizer,
        device: torch.device = _CPU,
        progress: Progress = silent,
    ) -> "ResidentRenderer":
        """Decodes the pictures and keeps them.

        Args:
            plans: What to show.
            augmentation: How views are cut.
            image_size: The side S of the pictures, in pixels.
            tokenizer: The model's.
            device: Where pictures are kept and batches made.
            progress: Told the number of pictures decoded.
        """
        pixels = Pixels.decoded(
            plans.catalog,
            augmentation,
            image_size,
            strong=shows_strong_views(plans),
            device=device,
            progress=progress,
        )
        return cls(plans, augmentation, image_size, tokenizer, pixels)

    @property
    def catalog(self) -> Catalog:
        """The pairs that are shown."""
        return self.plans.catalog

    def render(self, start: int, stop: int) -> Batch:
        """The batch of the plan's rows ``[start, stop)``, its images on the pixels' device.

        A picture that could not be read is grey, and told in ``unreadable`` whenever it is shown.
        """
        plan = self.plans.rows(start, stop)
        shown = geometry(self.plans, plan, start, self.augmentation)
        said = texts(self.plans, plan, self.tokenizer)
        device, size = self.pixels.values.device, self.image_size
        images = _room((len(plan), size, size, 3), device)
        unreadable: list[int] = []
        for cuts in cuts_of(self.plans, plan, shown, said, self.augmentation, size):
            number = self.pixels.number[cuts.image, np.where(cuts.strong, STRONGER, USUAL)]
            kept, rows = self.pixels.size[number], cuts.image
            box = np.minimum(cuts.box * np.tile(kept / self.catalog.sizes[rows], 2), np.tile(kept, 2))
            cuts = replace(cuts, image=number, box=box)
            if device.type == "cpu":
                lay_one_by_one(images, cuts, self._reader(cuts))
            else:
                lay_together(images, self.pixels, cuts)
            unreadable += rows[self.pixels.unreadable[number]].tolist()
        return Batch(
            images=images,
            tokens=self.tokenizer(said.captions),
            sources=sources(self.catalog, plan),
            texts=said.ids,
            treated=int((plan.layout != PLAIN).sum()),
            shortened=said.shortened,
            unreadable=tuple(unreadable),
        )

    def _reader(self, cuts: Cuts) -> Callable[[int], tuple[Image8, Window]]:
        """Finds the image of a cut among those that are kept."""
        values, size = self.pixels.values.numpy(), self.pixels.size[cuts.image]
        first = 3 * self.pixels.start[cuts.image]
        last = first + 3 * size.prod(axis=1)
        images = zip(*(column.tolist() for column in (first, last, size[:, 1], size[:, 0])), strict=True)
        asked = zip(images, windows(cuts.box, cuts.size, size), strict=True)
        found = [(values[a:b].reshape(height, width, 3), window) for (a, b, height, width), window in asked]
        return found.__getitem__


def _room(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """A tensor of bytes that say nothing yet."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=torch.uint8, device=device)
    # NumPy asks for large pages, with which a batch's memory is there in a quarter of the time.
    return torch.from_numpy(np.empty(shape, dtype=np.uint8))


def shows_strong_views(plans: Plans) -> bool:
    """Whether any example will be shown under strong augmentation."""
    return plans.policy.treatment == "augment" and plans.policy.rho > 0
