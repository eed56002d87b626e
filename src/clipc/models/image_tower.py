"""The image tower in two parts: a trunk that gives a feature map and pooled features, and a projection."""

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

    Args:
        clip: An open_clip model.
        pixels: Normalised images, float, shape (B, 3, S, S).

    Returns:
        Shape (B, width).

    Raises:
        UserError: The tower is of another kind than timm's or CLIP's vision transformer.
    """
    visual = _visual(clip)
    return visual.trunk(pixels) if isinstance(visual, TimmModel) else _transformer_output(visual, pixels)[0]


def project_image(clip: nn.Module, pooled: torch.Tensor) -> torch.Tensor:
    """The features, before they are normalised, of :func:`image_pooled`'s output: the tower's projection, (B, D)."""
    visual = _visual(clip)
    if isinstance(visual, TimmModel):
        return visual.head(pooled)
    if visual.proj is None:
        return pooled
    return F.dropout(pooled, getattr(visual, "head_dropout", 0.0), visual.training) @ visual.proj


def image_pooled_and_map(clip: nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The pooled output of :func:`image_pooled`, and the feature map of the same pass for :func:`pool_map`.

    Args:
        clip: An open_clip model.
        pixels: Normalised images, float, shape (B, 3, S, S).

    Returns:
        Pooled outputs, shape (B, width), and maps, shape (B, channels, height, width) in cells of the tower's stride.

    Raises:
        UserError: The tower has no map whose parts can be pooled alone: it pools by attention, or its kind is unknown.
    """
    visual = _visual(clip)
    if isinstance(visual, VisionTransformer):
        return _transformer_output(visual, pixels)
    trunk: Any = visual.trunk
    features = trunk.forward_features(pixels)
    if features.ndim != 4 or getattr(trunk, "output_fmt", "NCHW") == "NHWC" or hasattr(visual.head, "pool"):
        raise UserError(
            "the parts of this model's feature map cannot be pooled alone; take a convolutional image tower of timm's "
            "or one of CLIP's vision transformers."
        )
    return trunk.forward_head(features), features


def pool_map(clip: nn.Module, feature_map: torch.Tensor) -> torch.Tensor:
    """Pools a part of a feature map as the tower pools a whole one; the result is input of :func:`project_image`.

    A vision transformer with a class token, which belongs to no part, gives the mean of its patch tokens instead.

    Args:
        clip: An open_clip model.
        feature_map: Part of a map from :func:`image_pooled_and_map`, shape (B, channels, height, width).

    Returns:
        Shape (B, width).
    """
    trunk: Any = getattr(_visual(clip), "trunk", None)
    return feature_map.mean(dim=(2, 3)) if trunk is None else trunk.forward_head(feature_map)


def pool_places(clip: nn.Module, feature_map: torch.Tensor, rows: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Pools the parts of feature maps that show rectangles of the images, as :func:`pool_map` does.

    The cells whose centre lies inside the rectangle belong to it; a centre on the edge between two halves belongs to
    neither. A rectangle without such a cell gets the cell in which its own centre lies.

    Args:
        clip: An open_clip model.
        feature_map: From :func:`image_pooled_and_map`, shape (B, channels, height, width).
        rows: The image of each rectangle, ``int64``, shape (n,); on the CPU.
        places: x0, y0, x1, y1 of the rectangles as fractions of the image's side, shape (n, 4); on the CPU.

    Returns:
        Shape (n, width).
    """
    device, (height, width) = feature_map.device, feature_map.shape[2:]
    distinct, kind = cells(places, height, width).unique(dim=0, return_inverse=True)
    order, pooled = list[torch.Tensor](), list[torch.Tensor]()
    for number, (x0, y0, x1, y1) in enumerate(distinct.tolist()):
        chosen = (kind == number).nonzero()[:, 0]
        order.append(chosen)
        part = feature_map[..., y0:y1, x0:x1]
        pooled.append(pool_map(clip, part[rows[chosen].to(device, non_blocking=True)]))
    return torch.cat(pooled)[torch.cat(order).argsort().to(device, non_blocking=True)]


def cells(places: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The cells of a feature map that belong to rectangles of its image, see :func:`pool_places`.

    Args:
        places: x0, y0, x1, y1 as fractions of the image's side, shape (n, 4).
        height: The number of rows of cells.
        width: The number of columns of cells.

    Returns:
        First column, first row, and one after the last of each; ``int64``, shape (n, 4).
    """
    sides = torch.tensor([width, height])
    low, high = (edges * sides for edges in places.double().split(2, dim=1))
    # Cell i has its centre at i + 0.5; fractions such as 1/3 are rounded.
    first, last = torch.floor(low + 0.5 + 1e-4), torch.ceil(high - 0.5 - 1e-4)
    none, middle = first >= last, torch.floor((low + high) / 2).minimum(sides - 1)
    first, last = torch.where(none, middle, first), torch.where(none, middle + 1, last)
    return torch.cat([first, last], dim=1).long()


def half_pooled(clip: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """The pooled output of half an image: of the part that one source of a composite of halves shows.

    A convolutional tower takes the half as an image of its own. A vision transformer takes its patches at the positions
    of the left or upper half.

    Args:
        clip: An open_clip model that :func:`check_halves` accepts.
        pixels: Normalised halves, float, shape (B, 3, S, S / 2) or (B, 3, S / 2, S).

    Returns:
        Shape (B, width).
    """
    visual = _visual(clip)
    return visual.trunk(pixels) if isinstance(visual, TimmModel) else _transformer_output(visual, pixels)[0]


def check_halves(clip: nn.Module, image_size: int) -> None:
    """Checks that half an image can be encoded alone (:func:`half_pooled`).

    A half of a convolutional tower's map must have two cells or more; at fewer nearly all of what it sees is padding.
    A vision transformer's halves must be whole numbers of patches.

    Args:
        clip: An open_clip model.
        image_size: The side S of its images, in pixels.

    Raises:
        UserError: They cannot.
    """
    visual = _visual(clip)
    device = next(clip.parameters()).device
    with torch.inference_mode():
        _, feature_map = image_pooled_and_map(clip, torch.zeros(1, 3, image_size, image_size, device=device))
    cells = int(feature_map.shape[-1])
    if isinstance(visual, VisionTransformer):
        if cells % 2:
            raise UserError(
                f"images of {image_size} px have {cells} x {cells} patches, which have no halves; for composites of "
                f"kept features set image_size={image_size // cells * (cells + 1)}, or renderer=auto."
            )
        return
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


def _transformer_output(visual: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A vision transformer's pooled output and its patch tokens as a map."""
    if visual.attn_pool is not None:
        raise UserError("this model's image tower pools by attention, so the parts of its map cannot be pooled alone.")
    height, width = (side // patch for side, patch in zip(pixels.shape[2:], visual.patch_size, strict=True))
    x = visual.transformer(_patch_tokens(visual, pixels, height, width))
    if visual.final_ln_after_pool:
        pooled = visual.ln_post(visual._global_pool(x)[0])
    else:
        pooled = visual._global_pool(visual.ln_post(x))[0]
    tokens = visual.ln_post(x[:, 1:])
    return pooled, tokens.transpose(1, 2).unflatten(2, (height, width))


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
