"""The resident renderer: images that fit into memory are decoded once and rendered on the device that stores them.

Its batches are nearly those of the worker renderer. On a CPU they are equal to the last bit for images that are stored
at their own size; other images are resampled twice, the first time when they are stored.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from clipc.render.cuts import Cuts, paste_cuts
from clipc.render.pixels import NORMAL_VIEW, STRONG_VIEW, Pixels
from clipc.render.renderer import PlanRenderer
from clipc.render.resample import Image8, ResampleSpec, resample_specs
from clipc.render.resample_matrix import paste_cuts_batched


@dataclass(frozen=True, eq=False)
class ResidentRenderer(PlanRenderer):
    """Cuts the images of every batch from stored pixels.

    Attributes:
        pixels: The catalog's images; batches are made on their device.
    """

    pixels: Pixels

    @property
    def device(self) -> torch.device:
        """The device on which the pixels are stored."""
        return self.pixels.values.device

    def paste(self, images: torch.Tensor, cuts: Cuts) -> list[int]:
        """Pastes tiles that are cut from the stored images; see the base class."""
        number = self.pixels.number[cuts.image, np.where(cuts.strong, STRONG_VIEW, NORMAL_VIEW)]
        stored_size, rows = self.pixels.size[number], cuts.image
        box = np.minimum(cuts.box * np.tile(stored_size / self.catalog.sizes[rows], 2), np.tile(stored_size, 2))
        cuts = replace(cuts, image=number, box=box)
        if self.device.type == "cpu":
            paste_cuts(images, cuts, self._read_stored(cuts).__getitem__)
        else:
            paste_cuts_batched(images, self.pixels, cuts)
        return rows[self.pixels.unreadable[number]].tolist()

    def _read_stored(self, cuts: Cuts) -> list[tuple[Image8, ResampleSpec]]:
        """The stored image and the resampling of each cut."""
        values, size = self.pixels.values.numpy(), self.pixels.size[cuts.image]
        first = 3 * self.pixels.start[cuts.image]
        last = first + 3 * size.prod(axis=1)
        images = zip(*(column.tolist() for column in (first, last, size[:, 1], size[:, 0])), strict=True)
        pairs = zip(images, resample_specs(cuts.box, cuts.size, size), strict=True)
        return [(values[a:b].reshape(height, width, 3), spec) for (a, b, height, width), spec in pairs]
