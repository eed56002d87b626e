"""The worker renderer: decodes, crops, resizes and composes images one by one, on the CPU.

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
from clipc.render.resample import Image8, ResampleSpec, resample_specs

_OVERSAMPLING = 1.5
"""An image may be decoded at a reduced size with at least this many times the needed pixels along each axis."""
_GREY = np.full((1, 1, 3), GREY, dtype=np.uint8)
"""An image of one pixel, which replaces an unreadable image."""


@dataclass(frozen=True, eq=False)
class WorkerRenderer(PlanRenderer):
    """Decodes the images anew for every batch, at a reduced size if that is enough."""

    def __post_init__(self) -> None:
        # The ids take a while for millions of rows. Computed before workers are forked, they are shared by all of them.
        _ = self.catalog.image_ids

    def paste(self, images: torch.Tensor, cuts: Cuts) -> list[int]:
        """Pastes tiles that are cut from newly decoded images; see the base class."""
        unreadable: list[int] = []
        sizes = self.catalog.sizes[cuts.image]
        box_sizes = cuts.box[:, 2:] - cuts.box[:, :2]
        min_sizes = np.ceil(_OVERSAMPLING * cuts.size * sizes / box_sizes).astype(np.int64).tolist()
        rows, image_sizes, place_sizes = cuts.image.tolist(), sizes.tolist(), cuts.size

        @cache
        def specs_at(reduction: int) -> list[ResampleSpec]:
            return resample_specs(cuts.box / reduction, place_sizes, -(-sizes // reduction))

        def read(i: int) -> tuple[Image8, ResampleSpec]:
            width, height = image_sizes[i]
            try:
                image = self.catalog.image(rows[i], tuple(min_sizes[i]))
                reduction = max(1, round(width / image.shape[1]))
                if image.shape[:2] != (-(-height // reduction), -(-width // reduction)):
                    raise DecodeError("the size of the image is not the one that was indexed")
            except (OSError, DecodeError):
                unreadable.append(rows[i])
                whole, size = np.array([[0.0, 0, 1, 1]]), np.ones((1, 2), np.int64)
                return _GREY, resample_specs(whole, place_sizes[i : i + 1], size)[0]
            return image, specs_at(reduction)[i]

        paste_cuts(images, cuts, read)
        return unreadable
