"""The text tower without needless padding."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from open_clip.hf_model import ClsLastHiddenStatePooler, ClsPooler, HFTextEncoder, MeanPooler
from open_clip.transformer import text_global_pool
from torch import nn
from torch.nn import functional as F

from clipc.errors import UserError

GROUPS: Final = 4
"""The largest number of groups into which a batch's captions are split by length; more are hardly faster."""
_GROUP_SIZE: Final = 8
"""The smallest average number of captions in a group."""
_STEP: Final = 8
"""Lengths are rounded up to a multiple of this."""
_MASKING_POOLERS: Final = (MeanPooler, ClsPooler, ClsLastHiddenStatePooler)


def text_features(clip: nn.Module, tokens: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Features of captions, before they are normalised.

    Where padding has no effect on the features (:func:`padding_id`), the captions are sorted by length and encoded
    in up to :data:`GROUPS` groups. A group is as long as its longest caption, rounded up to a multiple of 8, and groups
    are chosen so that the least padding is computed. So the long captions of composites do not lengthen the others.
    Other towers (CoCa's, SigLIP's) get all padding.

    Args:
        clip: An open_clip model.
        tokens: ``int64``, shape (B, context length); on the CPU, where reading lengths does not wait for a GPU.
        device: The model's device.

    Returns:
        Features on ``device``, shape (B, D).
    """
    padding = padding_id(clip)
    if padding is None:
        return clip.encode_text(tokens.to(device))  # pyright: ignore
    return _in_groups(lambda group: project_text(clip, _pooled(clip, group)), tokens, device, padding)


def text_pooled(clip: nn.Module, tokens: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The pooled output of the text tower's trunk, which its projection (:func:`project_text`) turns into features.

    Args:
        clip: An open_clip model.
        tokens: As for :func:`text_features`.
        device: The model's device.

    Returns:
        On ``device``, shape (B, width).

    Raises:
        UserError: The tower's projection cannot be told apart, or depends on padding (CoCa's, SigLIP's).
    """
    padding = padding_id(clip)
    if padding is None:
        raise UserError("this model's text tower cannot be split into a trunk and a projection; take one of CLIP's.")
    return _in_groups(lambda group: _pooled(clip, group), tokens, device, padding)


def project_text(clip: Any, pooled: torch.Tensor) -> torch.Tensor:
    """The features, before they are normalised, of :func:`text_pooled`'s output: the tower's projection, (B, D)."""
    if isinstance(hf_tower := getattr(clip, "text", None), HFTextEncoder):
        return hf_tower.proj(pooled)
    projection = clip.text_projection
    if isinstance(projection, nn.Linear):
        return projection(pooled)
    if projection is None:
        return pooled
    return F.dropout(pooled, getattr(clip, "head_dropout", 0.0), clip.training) @ projection


def _in_groups(
    encode: Callable[[torch.Tensor], torch.Tensor], tokens: torch.Tensor, device: torch.device, padding: int
) -> torch.Tensor:
    """Encodes captions in groups of about equal length; the rows of the result are in the captions' order."""
    lengths = token_lengths(tokens, padding)
    order = lengths.argsort(stable=True)
    groups = _groups(tokens, lengths, order)
    features = torch.cat([encode(group.to(device, non_blocking=True)) for group in groups])
    return features[order.argsort().to(device, non_blocking=True)]


def token_lengths(tokens: torch.Tensor, padding: int = 0) -> torch.Tensor:
    """The number of tokens before the padding, shape (B,); the padding's id inside a caption counts."""
    return tokens.shape[1] - tokens.ne(padding).flip(1).int().argmax(dim=1)


def computed_tokens(clip: nn.Module, tokens: torch.Tensor, chunks: int = 1) -> float:
    """The average number of tokens per caption that :func:`text_features` computes, padding included.

    Args:
        clip: An open_clip model.
        tokens: ``int64``, shape (B, context length); on the CPU. Or the trunk's pooled output, floating point.
        chunks: The number of parts in which the batch is encoded, one after the other.
    """
    if tokens.is_floating_point():  # pooled output of the trunk
        return 0.0
    padding = padding_id(clip)
    if padding is None:
        return float(tokens.shape[1])
    total = 0
    for part in tokens.chunk(chunks):
        lengths = token_lengths(part, padding)
        total += sum(group.numel() for group in _groups(part, lengths, lengths.argsort(stable=True)))
    return total / len(tokens)


def _groups(tokens: torch.Tensor, lengths: torch.Tensor, order: torch.Tensor) -> list[torch.Tensor]:
    """The captions in groups, each as long as its longest caption, rounded up; ``order`` sorts them by length."""
    rounded = (-(-lengths[order] // _STEP) * _STEP).clamp(max=tokens.shape[1])
    widths, counts = (part.numpy() for part in rounded.unique_consecutive(return_counts=True))
    ends = group_ends(widths, counts, max(1, min(GROUPS, len(tokens) // _GROUP_SIZE)))
    groups = order.tensor_split(np.cumsum(counts)[ends[:-1]].tolist())
    return [tokens[rows, :width] for rows, width in zip(groups, widths[ends].tolist(), strict=True)]


def group_ends(widths: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], groups: int) -> list[int]:
    """Splits widths into runs so that, with each caption padded to the last width of its run, the fewest tokens result.

    Args:
        widths: Distinct widths, ascending, shape (n,).
        counts: How many captions have each width, shape (n,).
        groups: The largest number of runs.

    Returns:
        The index in ``widths`` of the last width of each run.
    """
    n, totals = len(widths), np.concatenate([[0], np.cumsum(counts)])
    # run_cost[i, j]: the number of tokens of the widths i to j - 1 as one run.
    run_cost = np.where(np.tri(n + 1, dtype=np.bool_), np.inf, (totals - totals[:, None]) * np.append(0, widths))
    cost, cuts = run_cost[0], list[npt.NDArray[np.intp]]()
    for _ in range(min(groups, n) - 1):
        cost = cost[:, None] + run_cost
        cuts.append(cost.argmin(axis=0))
        cost = cost.min(axis=0)
    ends = [n]
    for cut in reversed(cuts):
        ends.append(int(cut[ends[-1]]))
    return [end - 1 for end in reversed(ends)]


def padding_id(clip: nn.Module) -> int | None:
    """The id of the padding after captions, if it cannot change the text features; None if it can.

    It cannot where attention is causal and the features are those of the end token (CLIP's towers), nor where padding
    is masked in attention and left out of the mean (Hugging Face's towers).
    """
    if isinstance(clip, open_clip.CLIP):
        causal = getattr(clip, "attn_mask", None) is not None
        return 0 if causal and clip.text_pool_type in ("argmax", "eos") else None
    if not isinstance(tower := getattr(clip, "text", None), HFTextEncoder):
        return None
    config: Any = tower.config
    masked = isinstance(tower.pooler, _MASKING_POOLERS) and not getattr(config, "is_decoder", False)
    return config.pad_token_id if masked else None


def _pooled(clip: Any, tokens: torch.Tensor) -> torch.Tensor:
    """The trunk's pooled output of captions that may have fewer tokens than the context length.

    open_clip's own ``encode_text`` refuses fewer tokens.
    """
    if isinstance(text := getattr(clip, "text", None), HFTextEncoder):
        mask = tokens.ne(padding_id(clip) or 0).long()
        return text.pooler(text.transformer(input_ids=tokens, attention_mask=mask), mask)
    length = tokens.shape[1]
    dtype = clip.transformer.get_cast_dtype()
    x = clip.token_embedding(tokens).to(dtype) + clip.positional_embedding[:length].to(dtype)
    x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
    return text_global_pool(clip.ln_final(x), tokens, clip.text_pool_type, eos_token_id=clip.text_eos_id)
