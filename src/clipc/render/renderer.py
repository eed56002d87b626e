"""The common part of the renderers: makes a batch from plan rows, as a pure function of the row numbers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.layouts.tiles import PLAIN
from clipc.compose.plan import Plans
from clipc.render.batch import Batch, Tokenizer, sources
from clipc.render.crop import Augmentation
from clipc.render.cuts import Cuts, plan_cuts
from clipc.render.geometry import geometry
from clipc.render.texts import texts


@dataclass(frozen=True, eq=False)
class PlanRenderer(ABC):
    """Makes batches from plan rows; a subclass reads and pastes the pixels.

    Attributes:
        plans: The plans to render.
        augmentation: How views are cropped.
        image_size: The side S of the images, in pixels.
        tokenizer: The model's tokenizer.
    """

    plans: Plans
    augmentation: Augmentation
    image_size: int
    tokenizer: Tokenizer

    @property
    def catalog(self) -> Catalog:
        """The training pairs."""
        return self.plans.catalog

    @property
    def device(self) -> torch.device:
        """The device on which the images of batches are made."""
        return torch.device("cpu")

    @abstractmethod
    def paste(self, images: torch.Tensor, cuts: Cuts) -> list[int]:
        """Pastes tiles into a batch's images.

        Args:
            images: RGB ``uint8``, shape (B, S, S, 3), on :attr:`device`; only the destination boxes are written.
            cuts: The tiles.

        Returns:
            The catalog rows whose image could not be read; they are pasted as grey.
        """

    def render(self, start: int, stop: int) -> Batch:
        """The batch of the plan's rows ``[start, stop)``, its images on :attr:`device`.

        An unreadable image is replaced by grey and listed in ``unreadable`` whenever it is used: one bad file must
        neither end a long run nor go unnoticed.
        """
        plan = self.plans.rows(start, stop)
        batch_texts = texts(self.plans, plan, self.tokenizer)
        may_turn = batch_texts.may_turn if self.augmentation.turns else None
        batch_geometry = geometry(self.plans, plan, start, self.augmentation, may_turn)
        shape, device = (len(plan), self.image_size, self.image_size, 3), self.device
        if device.type == "cpu":  # NumPy allocates in huge pages, which takes a quarter of the time.
            images = torch.from_numpy(np.empty(shape, dtype=np.uint8))
        else:
            images = torch.empty(shape, dtype=torch.uint8, device=device)
        unreadable: list[int] = []
        for cuts in plan_cuts(self.plans, plan, batch_geometry, batch_texts, self.augmentation, self.image_size):
            unreadable += self.paste(images, cuts)
        return Batch(
            images=images,
            tokens=self.tokenizer(batch_texts.captions),
            sources=sources(self.catalog, plan),
            texts=batch_texts.ids,
            treated=int((plan.layout != PLAIN).sum()),
            shortened=batch_texts.shortened,
            unreadable=tuple(unreadable),
        )
