"""A batch: the images and captions of one training step."""

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.plan import Plan

GREY: Final = 127
"""The value of all channels of the image that replaces an unreadable one."""


class Tokenizer(Protocol):
    """The interface of tokenizers that renderers use."""

    @property
    def context_length(self) -> int:
        """The largest number of tokens that the model takes, start and end included."""
        ...

    @property
    def max_text_tokens(self) -> int:
        """The largest number of text tokens in the context, without special tokens."""
        ...

    def count(self, text: str) -> int:
        """The number of tokens of a text, without special tokens."""
        ...

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """Token ids, ``int64``, shape (len(texts), context_length)."""
        ...


def sources(catalog: Catalog, plan: Plan) -> torch.Tensor:
    """The image ids of the rows of a plan, as in :attr:`Batch.sources`.

    Args:
        catalog: The pairs that the plan refers to.
        plan: The rows.

    Returns:
        ``int64``, shape (rows, 2).
    """
    rows = np.stack([plan.left, plan.right], axis=1)
    return torch.from_numpy(np.where(rows < 0, -1, catalog.image_ids[rows]))


@dataclass(frozen=True, eq=False)
class Batch:
    """The training examples of one step; B is their number.

    Attributes:
        images: RGB ``uint8``, shape (B, S, S, 3), not normalised. Or kept features: the pooled output of the image
            tower's trunk, ``float32``, shape (B, width).
        tokens: Token ids, ``int64``, shape (B, context length). Or kept features: the pooled output of the text tower's
            trunk, ``float32``, shape (B, width).
        sources: The image ids of the left and the right pair, -1 for none; ``int64``, shape (B, 2). The id is the
            first catalog row with that image (:attr:`~clipc.catalog.catalog.Catalog.image_ids`), so equal images have
            equal ids.
        texts: The ids of the two source captions, -1 for none; ``int64``, shape (B, 2). Equal captions have equal ids.
        treated: The number of composites or, in the augmentation control, of strongly augmented examples.
        shortened: The number of captions that were cut to fit the context.
        unreadable: The catalog rows whose image could not be read and is shown as grey.
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
        """The same batch in page-locked memory (called by PyTorch's DataLoader); tensors on a GPU stay there."""
        tensors = {name: getattr(self, name) for name in ("images", "tokens", "sources", "texts")}
        pinned = {name: tensor if tensor.is_cuda else tensor.pin_memory() for name, tensor in tensors.items()}
        return replace(self, **pinned)
