"""The contrastive losses, and which pairs are no negatives of each other."""

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
        same: Shape (B, B), ``bool``, symmetric: pairs that are no negatives of each other; the diagonal
            does not count. None leaves every other pair a negative, as plain CLIP does.

    Returns:
        The mean of the image-to-text and text-to-image cross-entropies, a scalar; ln B at chance
        where nothing is masked.
    """
    return local_contrastive_loss(
        image_features, text_features, image_features, text_features, logit_scale, offset=0, same=same
    )


def local_contrastive_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    all_image_features: torch.Tensor,
    all_text_features: torch.Tensor,
    logit_scale: torch.Tensor,
    offset: int,
    same: torch.Tensor | None = None,
) -> torch.Tensor:
    """What some rows of a batch add to :func:`contrastive_loss`: each is scored against the whole batch.

    A batch of B rows that is cut into parts of b rows has the mean of its parts' losses. Where b is B the result is
    that of :func:`contrastive_loss` to the last bit.

    Args:
        image_features: Unit vectors of these rows, shape (b, D).
        text_features: Unit vectors of these rows, shape (b, D).
        all_image_features: Unit vectors of the whole batch, shape (B, D), with gradient.
        all_text_features: Unit vectors of the whole batch, shape (B, D), with gradient.
        logit_scale: The inverse temperature (not its logarithm), a scalar.
        offset: Where these rows begin in the batch: its rows [offset, offset + b) are they.
        same: Shape (b, B), ``bool``: pairs that are no negatives of each other, as
            :func:`shared_sources` gives them; a row's own place does not count.

    Returns:
        The mean over these rows of the image-to-text and text-to-image cross-entropies, a scalar.
    """
    logits_per_image = logit_scale * image_features @ all_text_features.T
    rows = torch.arange(len(logits_per_image), device=logits_per_image.device)
    own = rows + offset
    if same is not None:
        same = same.clone()
        same[rows, own] = False
        logits_per_image = logits_per_image.masked_fill(same, float("-inf"))
    if logits_per_image.shape[0] == logits_per_image.shape[1]:
        logits_per_text = logits_per_image.T
    else:
        logits_per_text = logit_scale * text_features @ all_image_features.T
        if same is not None:
            logits_per_text = logits_per_text.masked_fill(same, float("-inf"))
    return (F.cross_entropy(logits_per_image, own) + F.cross_entropy(logits_per_text, own)) / 2


def siglip_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    logit_scale: torch.Tensor,
    logit_bias: torch.Tensor,
    same: torch.Tensor | None = None,
    offset: int = 0,
) -> torch.Tensor:
    """The sigmoid loss of SigLIP (arXiv 2303.15343): every pair is a yes-no question of its own.

    A batch of B rows that is cut into parts of b rows has the mean of its parts' losses.

    Args:
        image_features: Unit vectors of some rows of a batch, or of all of them, shape (b, D).
        text_features: Unit vectors of the whole batch, shape (B, D), with gradient.
        logit_scale: The inverse temperature (not its logarithm), a scalar; the paper begins at 10.
        logit_bias: Added to every score, a scalar; the paper begins at -10.
        same: Shape (b, B), ``bool``: pairs that are asked nothing; a row's own place does not count.
        offset: Where these rows begin in the batch.

    Returns:
        The sum over all questions, divided by b: a scalar.
    """
    scores = logit_scale * image_features @ text_features.T + logit_bias
    rows = torch.arange(len(scores), device=scores.device)
    signs = torch.full_like(scores, -1)
    signs[rows, rows + offset] = 1
    losses = -F.logsigmoid(signs * scores)
    if same is not None:
        losses = losses.masked_fill(same & (signs < 0), 0)
    return losses.sum() / len(scores)


def shared_sources(
    sources: torch.Tensor,
    texts: torch.Tensor,
    other_sources: torch.Tensor | None = None,
    other_texts: torch.Tensor | None = None,
) -> torch.Tensor:
    """Which examples of a batch share a source image or a caption.

    A composite shares with every pair and composite that either of its sources, or either of its
    captions word for word, went into.

    Args:
        sources: Numbers of each example's pictures, equal ones for equal pictures, -1 for none; ``int64``, shape
            (b, 2).
        texts: Ids of each example's captions, -1 for none; ``int64``, shape (b, 2).
        other_sources: The same of the examples to compare with, shape (B, 2); by default these examples themselves.
        other_texts: The same, shape (B, 2).

    Returns:
        ``bool``, shape (b, B); symmetric where the examples are compared among themselves.
    """
    other_sources = sources if other_sources is None else other_sources
    other_texts = texts if other_texts is None else other_texts
    return _overlap(sources, other_sources) | _overlap(texts, other_texts)


def _overlap(ids: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    ids = ids.masked_fill(ids < 0, -1)
    others = others.masked_fill(others < 0, -2)  # Two that have none share nothing.
    found = torch.zeros(len(ids), len(others), dtype=torch.bool, device=ids.device)
    for column in ids.T:
        for other in others.T:
            found |= column[:, None] == other[None, :]
    return found
