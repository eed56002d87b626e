"""The text tower without needless padding."""

from typing import Any, Final

import open_clip
import torch
from open_clip.transformer import text_global_pool
from torch import nn

GROUPS: Final = 4
"""The most groups of about equal length that a batch's captions are cut into; more are hardly quicker."""
_FEWEST: Final = 16
_STEP: Final = 8


def text_features(clip: nn.Module, tokens: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Features of captions, before they are normalised.

    Where the tower's attention is causal and it pools at the end token, what stands after that changes nothing. Then
    the captions are sorted by length and go through in :data:`GROUPS` groups, each as long as its longest caption,
    rounded up to 8: one composite with a long caption does not lengthen the whole batch. Other towers
    (CoCa's, SigLIP's, Hugging Face's) get the padding that they were trained with.

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


def computed_tokens(tokens: torch.Tensor) -> float:
    """Tokens a caption that a tower which ignores padding computes, on average; padding to the group included."""
    lengths = token_lengths(tokens)
    return sum(group.numel() for group in _groups(tokens, lengths, lengths.argsort(stable=True))) / len(tokens)


def _groups(tokens: torch.Tensor, lengths: torch.Tensor, order: torch.Tensor) -> list[torch.Tensor]:
    """The captions in this order, cut into groups; each as long as its longest, rounded up."""
    count = max(1, min(GROUPS, len(tokens) // _FEWEST))
    longest = [(rows, -(-int(lengths[rows].max()) // _STEP) * _STEP) for rows in order.chunk(count)]
    return [tokens[rows, : min(tokens.shape[1], length)] for rows, length in longest]


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
    if clip.text_projection is None:
        return pooled
    if isinstance(clip.text_projection, nn.Linear):
        return clip.text_projection(pooled)
    return pooled @ clip.text_projection
