"""The resident renderer: a data set that fits is decoded once, and batches are cut from it where it lies.

It shows the boxes that the worker renderer shows, and the same captions; only the pixels differ a little, since they
are resampled from copies that are kept no larger than needed.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.layouts.tiles import PLAIN, STRONG
from clipc.compose.plan import Plan, Plans
from clipc.progress import Progress, silent
from clipc.render.batch import Batch, Tokenizer, sources
from clipc.render.crop import Augmentation
from clipc.render.crop_resize import Cuts, lay_one_by_one
from clipc.render.crop_resize_matrix import lay_together
from clipc.render.geometry import Geometry, geometry
from clipc.render.pixels import STRONGER, USUAL, Pixels
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
        for side, rows in enumerate((plan.left, plan.right)):
            cuts = self._cuts(plan, shown, said.may_mirror, side)
            (lay_one_by_one if device.type == "cpu" else lay_together)(images, self.pixels, cuts)
            unreadable += rows[cuts.row[self.pixels.unreadable[cuts.picture]]].tolist()
        return Batch(
            images=images,
            tokens=self.tokenizer(said.captions),
            sources=sources(self.catalog, plan),
            texts=said.ids,
            treated=int((plan.layout != PLAIN).sum()),
            shortened=said.shortened,
            unreadable=tuple(unreadable),
        )

    def _cuts(self, plan: Plan, shown: Geometry, may_mirror: npt.NDArray[np.bool_], side: int) -> Cuts:
        """What is shown of the left (0) or the right (1) pairs' pictures, and where."""
        place = np.rint(shown.tiles.place[:, side] * self.image_size).astype(np.int64)
        there = np.flatnonzero((place[:, 2:] > place[:, :2]).all(axis=1))
        rows = (plan.left, plan.right)[side][there]
        strong = plan.layout[there] == STRONG
        picture = self.pixels.number[rows, np.where(strong, STRONGER, USUAL)]
        whole, kept = self.catalog.sizes[rows], self.pixels.size[picture]
        view = shown.views[there, side]
        box = np.tile(view[:, :2], 2) + shown.tiles.window[there, side] * np.tile(view[:, 2:] - view[:, :2], 2)
        strength = np.where(strong, self.augmentation.strong_colour, self.augmentation.colour)[:, None]
        return Cuts(
            picture=picture,
            box=np.clip(box * np.tile(kept / whole, 2), 0, np.tile(kept, 2)),
            row=there,
            place=place[there],
            mirrored=(shown.mirrored[:, side] & may_mirror)[there],
            opacity=shown.tiles.opacity[there, side],
            colour=(1 + strength * (2 * shown.colour[there, side] - 1)).astype(np.float32),
        )


def _room(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """A tensor of bytes that say nothing yet."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=torch.uint8, device=device)
    # NumPy asks for large pages, with which a batch's memory is there in a quarter of the time.
    return torch.from_numpy(np.empty(shape, dtype=np.uint8))


def shows_strong_views(plans: Plans) -> bool:
    """Whether any example will be shown under strong augmentation."""
    return plans.policy.treatment == "augment" and plans.policy.rho > 0
