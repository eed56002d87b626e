"""The image tower in two parts: a trunk that gives pooled features, and a projection."""

from typing import Any, Final

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F

from clipc.errors import UserError

MIN_CELLS: Final = 4
"""The smallest map of a convolutional tower, along one axis, whose halves are encoded alone: two cells a half."""


def image_pooled(clip: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """The pooled output of the image tower's trunk, which its projection (:func:`project_image`) turns into features.

    Half an image, the part that one source of a composite of halves shows, is an image of its own for a convolutional
    tower. A vision transformer takes its patches at the positions of the left or upper half.

    Args:
        clip: An open_clip model; for halves one that :func:`check_halves` accepts.
        pixels: Normalised images, float, shape (B, 3, S, S), or halves, shape (B, 3, S, S / 2) or (B, 3, S / 2, S).

    Returns:
        Shape (B, width).

    Raises:
        UserError: The tower is of another kind than timm's or CLIP's vision transformer, or pools by attention.
    """
    visual = _visual(clip)
    return visual.trunk(pixels) if isinstance(visual, TimmModel) else _transformer_pooled(visual, pixels)


def project_image(clip: nn.Module, pooled: torch.Tensor) -> torch.Tensor:
    """The features, before they are normalised, of :func:`image_pooled`'s output: the tower's projection, (B, D)."""
    visual = _visual(clip)
    if isinstance(visual, TimmModel):
        return visual.head(pooled)
    if visual.proj is None:
        return pooled
    return F.dropout(pooled, getattr(visual, "head_dropout", 0.0), visual.training) @ visual.proj


def check_halves(clip: nn.Module, image_size: int) -> None:
    """Checks that half an image can be encoded alone (:func:`image_pooled`).

    A half of a convolutional tower's map must have two cells or more; at fewer nearly all of what it sees is padding.
    A vision transformer's halves must be whole numbers of patches.

    Args:
        clip: An open_clip model.
        image_size: The side S of its images, in pixels.

    Raises:
        UserError: They cannot.
    """
    visual = _visual(clip)
    if isinstance(visual, VisionTransformer):
        patches = int(visual.grid_size[0])
        if patches % 2:
            raise UserError(
                f"images of {image_size} px have {patches} x {patches} patches, which have no halves; for composites "
                f"of kept features set image_size={image_size // patches * (patches + 1)}, or renderer=auto."
            )
        return
    trunk: Any = visual.trunk
    with torch.inference_mode():
        device = next(clip.parameters()).device
        feature_map = trunk.forward_features(torch.zeros(1, 3, image_size, image_size, device=device))
    if feature_map.ndim != 4 or getattr(trunk, "output_fmt", "NCHW") == "NHWC" or hasattr(visual.head, "pool"):
        raise UserError(
            "this model's image tower cannot encode half an image alone; for composites of kept features take a "
            "convolutional image tower of timm's or one of CLIP's vision transformers, or set renderer=auto."
        )
    cells = int(feature_map.shape[-1])
    stride = image_size / cells
    if cells < MIN_CELLS or image_size % 2:
        raise UserError(
            f"images of {image_size} px have a feature map of {cells} x {cells} cells, whose halves are too small to "
            f"be encoded alone; for composites of kept features set image_size={round(stride) * MIN_CELLS} or more, or "
            "renderer=auto."
        )


def _visual(clip: nn.Module) -> Any:
    visual: Any = clip.visual
    if not isinstance(visual, TimmModel | VisionTransformer):
        raise UserError(f"image towers of the kind {type(visual).__name__} cannot be split into trunk and projection.")
    return visual


def _transformer_pooled(visual: Any, pixels: torch.Tensor) -> torch.Tensor:
    """A vision transformer's pooled output."""
    if visual.attn_pool is not None:
        raise UserError("image towers that pool by attention cannot be split into trunk and projection.")
    height, width = (side // patch for side, patch in zip(pixels.shape[2:], visual.patch_size, strict=True))
    x = visual.transformer(_patch_tokens(visual, pixels, height, width))
    if visual.final_ln_after_pool:
        return visual.ln_post(visual._global_pool(x)[0])
    return visual._global_pool(visual.ln_post(x))[0]


def _patch_tokens(visual: Any, pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The transformer's input: the class token and the patches, at the positions of the upper left part of the grid."""
    if (height, width) == tuple(visual.grid_size):
        return visual._embeds(pixels)
    positions = visual.positional_embedding
    grid = positions[1:].unflatten(0, tuple(visual.grid_size))[:height, :width].flatten(0, 1)
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)
    token = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    embedded = torch.cat([token, patches], dim=1) + torch.cat([positions[:1], grid]).to(patches.dtype)
    return visual.ln_pre(embedded)
