"""The resident renderer: a data set that fits into memory is decoded once, and rendered on its device.

It renders what the worker renderer renders: on a CPU the same to the last bit where an image is stored at its own size,
and otherwise nearly so, since it is resampled from a stored copy that is no larger than needed.
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
from clipc.render.cuts import Cuts, paste_cuts, plan_cuts
from clipc.render.geometry import geometry
from clipc.render.pixels import NORMAL_VIEW, STRONG_VIEW, Pixels
from clipc.render.resample import Image8, Window, windows
from clipc.render.resample_matrix import paste_cuts_batched
from clipc.render.texts import texts

_CPU: Final = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class ResidentRenderer:
    """Plan rows to batches, as a pure function of the row numbers.

    Attributes:
        plans: The plans to render.
        augmentation: How views are cropped.
        image_size: The side S of the images, in pixels.
        tokenizer: The model's.
        pixels: The catalog's images; batches are made on their device.
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
        """Decodes and stores the images.

        Args:
            plans: The plans to render.
            augmentation: How views are cropped.
            image_size: The side S of the images, in pixels.
            tokenizer: The model's.
            device: Where images are stored and batches made.
            progress: Receives the number of decoded images.
        """
        pixels = Pixels.decoded(
            plans.catalog, augmentation, image_size, strong=has_strong_views(plans), device=device, progress=progress
        )
        return cls(plans, augmentation, image_size, tokenizer, pixels)

    @property
    def catalog(self) -> Catalog:
        """The training pairs."""
        return self.plans.catalog

    def render(self, start: int, stop: int) -> Batch:
        """The batch of the plan's rows ``[start, stop)``, its images on the pixels' device.

        An unreadable image is grey, and listed in ``unreadable`` whenever it is used.
        """
        plan = self.plans.rows(start, stop)
        batch_geometry = geometry(self.plans, plan, start, self.augmentation)
        batch_texts = texts(self.plans, plan, self.tokenizer)
        device, size = self.pixels.values.device, self.image_size
        images = _empty_images((len(plan), size, size, 3), device)
        unreadable: list[int] = []
        for cuts in plan_cuts(self.plans, plan, batch_geometry, batch_texts, self.augmentation, size):
            number = self.pixels.number[cuts.image, np.where(cuts.strong, STRONG_VIEW, NORMAL_VIEW)]
            stored_size, rows = self.pixels.size[number], cuts.image
            box = np.minimum(cuts.box * np.tile(stored_size / self.catalog.sizes[rows], 2), np.tile(stored_size, 2))
            cuts = replace(cuts, image=number, box=box)
            if device.type == "cpu":
                paste_cuts(images, cuts, self._reader(cuts))
            else:
                paste_cuts_batched(images, self.pixels, cuts)
            unreadable += rows[self.pixels.unreadable[number]].tolist()
        return Batch(
            images=images,
            tokens=self.tokenizer(batch_texts.captions),
            sources=sources(self.catalog, plan),
            texts=batch_texts.ids,
            treated=int((plan.layout != PLAIN).sum()),
            shortened=batch_texts.shortened,
            unreadable=tuple(unreadable),
        )

    def _reader(self, cuts: Cuts) -> Callable[[int], tuple[Image8, Window]]:
        """From the index of a cut to its stored image and window."""
        values, size = self.pixels.values.numpy(), self.pixels.size[cuts.image]
        first = 3 * self.pixels.start[cuts.image]
        last = first + 3 * size.prod(axis=1)
        images = zip(*(column.tolist() for column in (first, last, size[:, 1], size[:, 0])), strict=True)
        pairs = zip(images, windows(cuts.box, cuts.size, size), strict=True)
        reads = [(values[a:b].reshape(height, width, 3), window) for (a, b, height, width), window in pairs]
        return reads.__getitem__


def _empty_images(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """An uninitialised ``uint8`` tensor."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=torch.uint8, device=device)
    # NumPy allocates in huge pages, which takes a quarter of the time.
    return torch.from_numpy(np.empty(shape, dtype=np.uint8))


def has_strong_views(plans: Plans) -> bool:
    """Whether any example is strongly augmented."""
    return plans.policy.treatment == "augment" and plans.policy.rho > 0
