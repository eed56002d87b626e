"""A batch: what the model is shown in one step."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.plan import Plan

GREY: Final = 127
"""The level of red, green and blue in which a picture that cannot be read is shown."""


class Tokenizer(Protocol):
    """What a renderer needs of a tokenizer."""

    @property
    def context_length(self) -> int:
        """The largest number of tokens the model takes, start and end included."""
        ...

    @property
    def room(self) -> int:
        """The largest number of a text's own tokens that all stay, beside those that the tokenizer adds."""
        ...

    def count(self, text: str) -> int:
        """The number of tokens of a text, without those that the tokenizer adds."""
        ...

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """Token ids, ``int64``, shape (len(texts), context_length)."""
        ...


def sources(catalog: Catalog, plan: Plan) -> torch.Tensor:
    """The pictures that the rows of a plan show, as :attr:`Batch.sources`.

    Args:
        catalog: The pairs that the plan is of.
        plan: The rows.
    """
    rows = np.stack([plan.left, plan.right], axis=1)
    return torch.from_numpy(np.where(rows < 0, -1, catalog.image_ids[rows]))


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's examples.

    Attributes:
        images: RGB ``uint8``, shape (B, S, S, 3), not normalised.
        tokens: Token ids, ``int64``, shape (B, context length).
        sources: The pictures of the left and right pair, each as the first catalog row that has it
            (:attr:`~clipc.catalog.catalog.Catalog.image_ids`), so that equal pictures have equal numbers; -1 for none;
            ``int64``, shape (B, 2).
        texts: 64-bit ids of the captions that went in, -1 for none; equal captions have equal ids;
            ``int64``, shape (B, 2).
        treated: How many of the examples are composites (or strongly augmented, in the control).
        shortened: How many captions had to be cut to fit the context.
        unreadable: Catalog rows whose image could not be read and is shown as grey.
    """

    images: torch.Tensor
    tokens: torch.Tensor
    sources: torch.Tensor
    texts: torch.Tensor
    treated: int
    shortened: int
    unreadable: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory (called by PyTorch's DataLoader); what lies on a GPU stays there."""
        tensors = {name: getattr(self, name) for name in ("images", "tokens", "sources", "texts")}
        pinned = {name: tensor if tensor.is_cuda else tensor.pin_memory() for name, tensor in tensors.items()}
        return Batch(**{**self.__dict__, **pinned})
