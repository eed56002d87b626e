"""The resident renderer: a data set that fits into memory is decoded once, and rendered on its device.

It renders what the worker renderer renders: on a CPU the same to the last bit where an image is stored at its own size,
and otherwise nearly so, since it is resampled from a stored copy that is no larger than needed.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from clipc.render.cuts import Cuts, paste_cuts
from clipc.render.pixels import NORMAL_VIEW, STRONG_VIEW, Pixels
from clipc.render.renderer import PlanRenderer
from clipc.render.resample import Image8, Window, windows
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
