"""The text tower without needless padding."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from open_clip.transformer import text_global_pool
from torch import nn

GROUPS: Final = 4
"""The most groups of about equal length that a batch's captions are cut into; more are hardly quicker."""
_FEWEST: Final = 8
"""How many captions a group should have on average."""
_STEP: Final = 8


def text_features(clip: nn.Module, tokens: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Features of captions, before they are normalised.

    Where the tower's attention is causal and it pools at the end token, later tokens have no effect. Then
    the captions are sorted by length and go through in up to :data:`GROUPS` groups, each as long as its longest
    caption, rounded up to 8, and cut where least is padded: composites with long captions do not lengthen the others.
    Other towers (CoCa's, SigLIP's, Hugging Face's) get the padding that they were trained with.

    Args:
        clip: An open_clip model.
        tokens: ``int64``, shape (B, context length); on the CPU, where lengths are read without a stall.
        device: The model's.

    Returns:
        Shape (B, D).
    """
    if not ignores_padding(clip):
        return clip.encode_text(tokens.to(device))  # pyright: ignore
    lengths = token_lengths(tokens)
    order = lengths.argsort(stable=True)
    groups = _groups(tokens, lengths, order)
    features = torch.cat([_shortened(clip, group.to(device, non_blocking=True)) for group in groups])
    return features[order.argsort().to(device, non_blocking=True)]


def token_lengths(tokens: torch.Tensor) -> torch.Tensor:
    """The number of tokens before the padding (0), shape (B,); an id 0 inside a caption counts."""
    return tokens.shape[1] - tokens.ne(0).flip(1).int().argmax(dim=1)


def computed_tokens(clip: nn.Module, tokens: torch.Tensor, chunks: int = 1) -> float:
    """Tokens a caption that :func:`text_features` computes, on average, with the padding that is computed too.

    Args:
        clip: An open_clip model.
        tokens: ``int64``, shape (B, context length); on the CPU.
        chunks: The number of parts that go through the tower one after the other.
    """
    if not ignores_padding(clip):
        return float(tokens.shape[1])
    total = 0
    for part in tokens.chunk(chunks):
        lengths = token_lengths(part)
        total += sum(group.numel() for group in _groups(part, lengths, lengths.argsort(stable=True)))
    return total / len(tokens)


def _groups(tokens: torch.Tensor, lengths: torch.Tensor, order: torch.Tensor) -> list[torch.Tensor]:
    """The captions in this order, which is by length, cut into groups; each as long as its longest, rounded up."""
    rounded = (-(-lengths[order] // _STEP) * _STEP).clamp(max=tokens.shape[1])
    widths, counts = (part.numpy() for part in rounded.unique_consecutive(return_counts=True))
    ends = group_ends(widths, counts, max(1, min(GROUPS, len(tokens) // _FEWEST)))
    groups = order.tensor_split(np.cumsum(counts)[ends[:-1]].tolist())
    return [tokens[rows, :width] for rows, width in zip(groups, widths[ends].tolist(), strict=True)]


def group_ends(widths: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], groups: int) -> list[int]:
    """Cuts ascending widths into at most so many runs, each padded to its last, so that the sum of all is smallest.

    Args:
        widths: Different widths, ascending, shape (n,).
        counts: How many captions have each, shape (n,).
        groups: The most runs.

    Returns:
        The places in ``widths`` of the last of each run.
    """
    n, before = len(widths), np.concatenate([[0], np.cumsum(counts)])
    # run[i, j]: what the widths from i up to j, without it, cost as one run.
    run = np.where(np.tri(n + 1, dtype=np.bool_), np.inf, (before - before[:, None]) * np.append(0, widths))
    cost, cuts = run[0], list[npt.NDArray[np.intp]]()
    for _ in range(min(groups, n) - 1):
        cost = cost[:, None] + run
        cuts.append(cost.argmin(axis=0))
        cost = cost.min(axis=0)
    ends = [n]
    for cut in reversed(cuts):
        ends.append(int(cut[ends[-1]]))
    return [end - 1 for end in reversed(ends)]


def ignores_padding(clip: nn.Module) -> bool:
    """Whether what follows the end token cannot change the text features."""
    causal = getattr(clip, "attn_mask", None) is not None
    return isinstance(clip, open_clip.CLIP) and causal and clip.text_pool_type in ("argmax", "eos")


def _shortened(clip: Any, tokens: torch.Tensor) -> torch.Tensor:
    length = tokens.shape[1]
    dtype = clip.transformer.get_cast_dtype()
    x = clip.token_embedding(tokens).to(dtype) + clip.positional_embedding[:length].to(dtype)
    x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
    pooled = text_global_pool(clip.ln_final(x), tokens, clip.text_pool_type, eos_token_id=clip.text_eos_id)
    projection = clip.text_projection
    if isinstance(projection, nn.Linear):
        return projection(pooled)
    return pooled if projection is None else pooled @ projection
