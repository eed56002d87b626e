"""The contrastive loss, and which pairs are no negatives of each other."""

import torch
from torch.nn import functional as F


def contrastive_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    logit_scale: torch.Tensor,
    same: torch.Tensor | None = None,
) -> torch.Tensor:
    """Symmetric InfoNCE over a batch (CLIP, arXiv 2103.00020).

    Args:
        image_features: Unit vectors, shape (B, D).
        text_features: Unit vectors, shape (B, D); row i belongs to image i.
        logit_scale: The inverse temperature (not its logarithm), a scalar.
        same: Shape (B, B), ``bool``: pairs that are no negatives of each other; the diagonal does not
            count. None leaves every other pair a negative, as plain CLIP does.

    Returns:
        The mean of the image-to-text and text-to-image cross-entropies, a scalar; ln B at chance
        where nothing is masked.
    """
    logits = logit_scale * image_features @ text_features.T
    target = torch.arange(len(logits), device=logits.device)
    if same is not None:
        others = same & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(others, float("-inf"))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def shared_sources(sources: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Which examples of a batch share a source image or a caption.

    A composite shares with every pair and composite that either of its sources, or either of its
    captions word for word, went into.

    Args:
        sources: Catalog rows of each example's pairs, -1 for none; ``int64``, shape (B, 2).
        texts: Ids of each example's captions, -1 for none; ``int64``, shape (B, 2).

    Returns:
        ``bool``, shape (B, B), symmetric.
    """
    return _overlap(sources) | _overlap(texts)


def _overlap(ids: torch.Tensor) -> torch.Tensor:
    equal = ids[:, None, :, None] == ids[None, :, None, :]
    real = (ids >= 0)[:, None, :, None] & (ids >= 0)[None, :, None, :]
    return (equal & real).any(dim=-1).any(dim=-1)
