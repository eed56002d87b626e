"""A batch: what the model is shown in one step."""

from dataclasses import dataclass
from typing import Protocol

import torch


class Tokenizer(Protocol):
    """What a renderer needs of a tokenizer."""

    @property
    def context_length(self) -> int:
        """The largest number of tokens the model takes, start and end included."""
        ...

    def count(self, text: str) -> int:
        """The number of tokens of a text, without start and end tokens."""
        ...

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """Token ids, ``int64``, shape (len(texts), context_length)."""
        ...


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's examples.

    Attributes:
        images: RGB ``uint8``, shape (B, S, S, 3), not normalised.
        tokens: Token ids, ``int64``, shape (B, context length).
        sources: Catalog rows of the left and right pair, -1 for none; ``int64``, shape (B, 2).
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
