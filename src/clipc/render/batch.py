"""A batch: the images and captions of one training step."""

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Protocol

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
class Halves:
    """The halves of a batch's composites, two for each composite, in the order of the batch; n is their number.

    Attributes:
        rows: The composite of each half, as a row of the batch; ``int64``, shape (n,), ascending.
        places: The part of the image that each half fills: x0, y0, x1, y1 as fractions of its side; ``float32``,
            shape (n, 4).
        tokens: Token ids of each half's own caption, ``int64``, shape (n, context length); or kept features, as in
            :attr:`Batch.tokens`.
        sources: The image id of each half, as in :attr:`Batch.sources`; ``int64``, shape (n, 1).
        texts: The id of each half's caption, as in :attr:`Batch.texts`; ``int64``, shape (n, 1).
        features: The pooled output of the image tower's trunk for each half, shape (n, width), where ``images`` of the
            batch are such outputs; None where the model pools its feature map.
    """

    rows: torch.Tensor
    places: torch.Tensor
    tokens: torch.Tensor
    sources: torch.Tensor
    texts: torch.Tensor
    features: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def between(self, start: int, stop: int) -> "Halves":
        """The halves of the composites in rows [start, stop), as halves of a batch of these rows alone."""
        first, last = torch.searchsorted(self.rows, torch.tensor([start, stop])).tolist()
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        cut: dict[str, Any] = {name: None if c is None else c[first:last] for name, c in columns.items()}
        part = Halves(**cut)
        return replace(part, rows=part.rows - start)


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
        halves: The halves of the composites; None unless the policy supervises them.
    """

    images: torch.Tensor
    tokens: torch.Tensor
    sources: torch.Tensor
    texts: torch.Tensor
    treated: int
    shortened: int
    unreadable: tuple[int, ...] = ()
    halves: Halves | None = None

    def __len__(self) -> int:
        return len(self.images)

    def chunk(self, count: int) -> list["Batch"]:
        """The batch in at most ``count`` parts, as :func:`torch.chunk` divides it; counts are not divided."""
        parts, start = list[Batch](), 0
        columns = (tensor.chunk(count) for tensor in (self.images, self.tokens, self.sources, self.texts))
        for images, tokens, sources, texts in zip(*columns, strict=True):
            stop = start + len(images)
            halves = None if self.halves is None else self.halves.between(start, stop)
            parts.append(replace(self, images=images, tokens=tokens, sources=sources, texts=texts, halves=halves))
            start = stop
        return parts

    @property
    def all_tokens(self) -> torch.Tensor:
        """The token ids that the text tower reads: those of the examples, then those of the halves."""
        return self.tokens if self.halves is None else torch.cat([self.tokens, self.halves.tokens])

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory (called by PyTorch's DataLoader); tensors on a GPU stay there."""
        tensors = {name: getattr(self, name) for name in ("images", "tokens", "sources", "texts")}
        pinned = {name: tensor if tensor.is_cuda else tensor.pin_memory() for name, tensor in tensors.items()}
        return replace(self, **pinned)
