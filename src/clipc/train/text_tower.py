"""The text tower without needless padding."""

from typing import Any

import open_clip
import torch
from open_clip.transformer import text_global_pool
from torch import nn


def text_features(clip: nn.Module, tokens: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Features of captions, before they are normalised.

    Where the tower's attention is causal and it pools at the end token, padding changes nothing, so only the
    longest caption's length, rounded up to 8, is computed. Other towers (CoCa's, SigLIP's, Hugging Face's) get the
    padding that they were trained with.

    Args:
        clip: An open_clip model.
        tokens: ``int64``, shape (B, context length), on any device.
        device: The model's.

    Returns:
        Shape (B, D).
    """
    if not ignores_padding(clip):
        return clip.encode_text(tokens.to(device))  # pyright: ignore
    longest = int((tokens != 0).sum(dim=1).max())
    length = min(tokens.shape[1], -(-longest // 8) * 8)
    return _shortened(clip, tokens[:, :length].to(device))


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
