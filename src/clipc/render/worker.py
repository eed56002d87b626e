"""The worker renderer: decodes, crops, resizes and composes one row after the other, on the CPU.

Only visible pixels are resized, and only ``uint8`` images of the target size leave a worker process.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from clipc.catalog.images.decode import DecodeError
from clipc.render.batch import GREY
from clipc.render.cuts import Cuts, paste_cuts
from clipc.render.renderer import PlanRenderer
from clipc.render.resample import Image8, Window, windows

_SPARE = 1.5
"""An image may be decoded at a reduced size that has this many times the pixels needed along each axis."""
_GREY = np.full((1, 1, 3), GREY, dtype=np.uint8)
"""Replaces an unreadable image."""


@dataclass(frozen=True, eq=False)
class WorkerRenderer(PlanRenderer):
    """Decodes the images of every batch anew, each no larger than needed."""

    def __post_init__(self) -> None:
        # Computed here, not at the first batch, so that forked workers share it: it takes a while for millions of rows.
        _ = self.catalog.image_ids

    def paste(self, images: torch.Tensor, cuts: Cuts) -> list[int]:
        """Decodes the images of tiles no larger than needed, and pastes these."""
        unreadable: list[int] = []
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

        paste_cuts(images, cuts, read)
        return unreadable
