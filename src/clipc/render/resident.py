"""The resident renderer: a data set that fits into memory is decoded once, and rendered on its device.

It renders what the worker renderer renders: on a CPU the same to the last bit where an image is stored at its own size,
and otherwise nearly so, since it is resampled from a stored copy that is no larger than needed.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from clipc.compose.plan import Plans
from clipc.progress import Progress, silent
from clipc.render.batch import Tokenizer
from clipc.render.crop import Augmentation
from clipc.render.cuts import Cuts, paste_cuts
from clipc.render.pixels import NORMAL_VIEW, STRONG_VIEW, Pixels
from clipc.render.renderer import PlanRenderer
from clipc.render.resample import Image8, Window, windows
from clipc.render.resample_matrix import paste_cuts_batched

_CPU: Final = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class ResidentRenderer(PlanRenderer):
    """Cuts the images of every batch from stored pixels.

    Attributes:
        pixels: The catalog's images; batches are made on their device.
    """

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
    def device(self) -> torch.device:
        """Where the pixels are stored."""
        return self.pixels.values.device

    def paste(self, images: torch.Tensor, cuts: Cuts) -> list[int]:
        """Pastes tiles of the stored images."""
        number = self.pixels.number[cuts.image, np.where(cuts.strong, STRONG_VIEW, NORMAL_VIEW)]
        stored_size, rows = self.pixels.size[number], cuts.image
        box = np.minimum(cuts.box * np.tile(stored_size / self.catalog.sizes[rows], 2), np.tile(stored_size, 2))
        cuts = replace(cuts, image=number, box=box)
        if self.device.type == "cpu":
            paste_cuts(images, cuts, self._read_stored(cuts).__getitem__)
        else:
            paste_cuts_batched(images, self.pixels, cuts)
        return rows[self.pixels.unreadable[number]].tolist()

    def _read_stored(self, cuts: Cuts) -> list[tuple[Image8, Window]]:
        """The stored image and the window of each cut."""
        values, size = self.pixels.values.numpy(), self.pixels.size[cuts.image]
        first = 3 * self.pixels.start[cuts.image]
        last = first + 3 * size.prod(axis=1)
        images = zip(*(column.tolist() for column in (first, last, size[:, 1], size[:, 0])), strict=True)
        pairs = zip(images, windows(cuts.box, cuts.size, size), strict=True)
        return [(values[a:b].reshape(height, width, 3), window) for (a, b, height, width), window in pairs]


def has_strong_views(plans: Plans) -> bool:
    """Whether any example is strongly augmented."""
    return plans.policy.treatment == "augment" and plans.policy.rho > 0
