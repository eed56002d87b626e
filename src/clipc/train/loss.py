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
        same_source: Shape (B, B), ``bool``, symmetric: false negatives, which are masked; the diagonal is ignored.
            None leaves every other pair a negative, as in plain CLIP.

    Returns:
        The mean of the image-to-text and text-to-image cross-entropies, a scalar; ln B at chance
        where nothing is masked.
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
    """:func:`contrastive_loss` of one process's rows (or one chunk's) against the features of the global batch.

    The mean of this loss over equally large parts of a batch is the loss of the batch. For b = B the result equals
    that of :func:`contrastive_loss` to the last bit.

    Args:
        image_features: Unit vectors of these rows, shape (b, D).
        text_features: Unit vectors of these rows, shape (b, D).
        all_image_features: Unit vectors of the whole batch, shape (B, D), with gradient.
        all_text_features: Unit vectors of the whole batch, shape (B, D), with gradient.
        logit_scale: The inverse temperature (not its logarithm), a scalar.
        offset: Index of the first of these rows in the batch.
        same_source: Shape (b, B), ``bool``: false negatives to mask, as from :func:`shared_sources`; each row's own
            match is never masked.

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
        image_features: Unit vectors of some rows of a batch, or of all of them, shape (b, D).
        text_features: Unit vectors of the whole batch, shape (B, D), with gradient.
        logit_scale: The inverse temperature (not its logarithm), a scalar; 10 initially in the paper.
        logit_bias: Added to every logit, a scalar; -10 initially in the paper.
        same_source: Shape (b, B), ``bool``: false negatives, left out of the sum; each row's own match stays.
        offset: Index of the first of these rows in the batch.

    Returns:
        The sum over all combinations, divided by b: a scalar.
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
    """Which examples of a batch share a source image or a caption: the false negatives of the loss.

    An example, plain or composite, shares with another if they have a source image or a caption, word for word, in
    common.

    Args:
        sources: Image ids of each example, equal for equal images, -1 for none; ``int64``, shape (b, 2).
        texts: Caption ids of each example, -1 for none; ``int64``, shape (b, 2).
        other_sources: Image ids of the examples to compare with, shape (B, 2); by default these examples themselves.
        other_texts: Their caption ids, shape (B, 2).

    Returns:
        ``bool``, shape (b, B); symmetric where the examples are compared among themselves.
    """
    other_sources = sources if other_sources is None else other_sources
    other_texts = texts if other_texts is None else other_texts
    return _overlap(sources, other_sources) | _overlap(texts, other_texts)


def _overlap(ids: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    ids, others = ids.masked_fill(ids < 0, -1), others.masked_fill(others < 0, -2)  # So -1 never equals -1.
    shared = torch.zeros(len(ids), len(others), dtype=torch.bool, device=ids.device)
    for column in ids.T:
        for other in others.T:
            shared |= column[:, None] == other[None, :]
    return shared
