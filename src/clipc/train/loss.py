"""The contrastive losses, and the mask of false negatives within a batch."""

import torch
from torch.nn import functional as F


def contrastive_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    logit_scale: torch.Tensor,
    same_source: torch.Tensor | None = None,
) -> torch.Tensor:
    """Symmetric InfoNCE over a batch (CLIP, arXiv 2103.00020).

    Args:
        image_features: Unit vectors, shape (B, D).
        text_features: Unit vectors, shape (B, D); row i belongs to image i.
        logit_scale: The inverse temperature (not its logarithm), a scalar.
        same_source: The false negatives, which are masked: combinations of examples that share a source image or have
            an equal caption, as from :func:`shared_sources`; ``bool``, shape (B, B), symmetric. The diagonal is
            ignored. None masks nothing, as in plain CLIP.

    Returns:
        The mean of the image-to-text and text-to-image cross-entropies, a scalar. Without a mask it is ln B at
        chance.
    """
    return local_contrastive_loss(
        image_features, text_features, image_features, text_features, logit_scale, 0, same_source
    )


def local_contrastive_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    all_image_features: torch.Tensor,
    all_text_features: torch.Tensor,
    logit_scale: torch.Tensor,
    offset: int,
    same_source: torch.Tensor | None = None,
) -> torch.Tensor:
    """:func:`contrastive_loss` of some rows, such as those of one process, against the features of the whole batch.

    The mean of this loss over equally large parts of a batch is the loss of the batch. For b = B it is exactly
    :func:`contrastive_loss`.

    Args:
        image_features: Unit vectors of these rows, shape (b, D).
        text_features: Unit vectors of these rows, shape (b, D).
        all_image_features: Unit vectors of the whole batch, shape (B, D), with gradient.
        all_text_features: Unit vectors of the whole batch, shape (B, D), with gradient.
        logit_scale: The inverse temperature (not its logarithm), a scalar.
        offset: Index of the first of these rows in the batch.
        same_source: The false negatives, which are masked: combinations of examples that share a source image or have
            an equal caption, as from :func:`shared_sources`; ``bool``, shape (b, B). The match of each row itself is
            never masked.

    Returns:
        The mean over these rows of the image-to-text and text-to-image cross-entropies, a scalar.
    """
    logits_per_image = logit_scale * image_features @ all_text_features.T
    rows = torch.arange(len(logits_per_image), device=logits_per_image.device)
    targets = rows + offset
    if same_source is not None:
        same_source = same_source.clone()
        same_source[rows, targets] = False
        logits_per_image = logits_per_image.masked_fill(same_source, float("-inf"))
    if logits_per_image.shape[0] == logits_per_image.shape[1]:
        logits_per_text = logits_per_image.T
    else:
        logits_per_text = logit_scale * text_features @ all_image_features.T
        if same_source is not None:
            logits_per_text = logits_per_text.masked_fill(same_source, float("-inf"))
    return (F.cross_entropy(logits_per_image, targets) + F.cross_entropy(logits_per_text, targets)) / 2


def siglip_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    logit_scale: torch.Tensor,
    logit_bias: torch.Tensor,
    same_source: torch.Tensor | None = None,
    offset: int = 0,
) -> torch.Tensor:
    """The sigmoid loss of SigLIP (arXiv 2303.15343): a binary classification of every image-text combination.

    The mean of this loss over equally large parts of a batch is the loss of the batch.

    Args:
        image_features: Unit vectors of some or all rows of a batch, shape (b, D).
        text_features: Unit vectors of the whole batch, shape (B, D), with gradient.
        logit_scale: The inverse temperature (not its logarithm), a scalar; 10 initially in the paper.
        logit_bias: Added to every logit, a scalar; -10 initially in the paper.
        same_source: The false negatives, which are left out of the sum: combinations of examples that share a source
            image or have an equal caption; ``bool``, shape (b, B). The match of each row itself is never left out.
        offset: Index of the first of these rows in the batch.

    Returns:
        The sum over all b * B combinations, divided by b: a scalar.
    """
    logits = logit_scale * image_features @ text_features.T + logit_bias
    rows = torch.arange(len(logits), device=logits.device)
    targets = torch.full_like(logits, -1)
    targets[rows, rows + offset] = 1
    losses = -F.logsigmoid(targets * logits)
    if same_source is not None:
        losses = losses.masked_fill(same_source & (targets < 0), 0)
    return losses.sum() / len(logits)


def shared_sources(
    sources: torch.Tensor,
    texts: torch.Tensor,
    other_sources: torch.Tensor | None = None,
    other_texts: torch.Tensor | None = None,
) -> torch.Tensor:
    """The false negatives of the loss: combinations of examples that share a source image or have an equal caption.

    Examples may be plain or composite; of a composite both source images and both captions count. Captions must be
    equal word for word, whichever images they belong to.

    Args:
        sources: Ids of the source images of each example, -1 for none; ``int64``, shape (b, 2). Equal images have equal
            ids.
        texts: Ids of the captions of each example, -1 for none; ``int64``, shape (b, 2). Equal captions have equal ids.
        other_sources: Image ids of the examples to compare with, shape (B, 2); by default ``sources``.
        other_texts: Caption ids of the examples to compare with, shape (B, 2); by default ``texts``.

    Returns:
        ``bool``, shape (b, B); symmetric by default, with a true diagonal.
    """
    other_sources = sources if other_sources is None else other_sources
    other_texts = texts if other_texts is None else other_texts
    return _overlap(sources, other_sources) | _overlap(texts, other_texts)


def _overlap(ids: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    ids, others = ids.masked_fill(ids < 0, -1), others.masked_fill(others < 0, -2)  # No id equals no id.
    shared = torch.zeros(len(ids), len(others), dtype=torch.bool, device=ids.device)
    for column in ids.T:
        for other in others.T:
            shared |= column[:, None] == other[None, :]
    return shared
