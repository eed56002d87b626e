"""The layers of a model's towers, from pixels and tokens to features: what locks and learning rates count by."""

import re
from collections import defaultdict
from typing import Any, Final, Literal

from torch import nn

from clipc.errors import UserError

Tower = Literal["image", "text"]
TOWERS: Final[tuple[Tower, ...]] = ("image", "text")

_BLOCK = re.compile(r"(?:^|\.)(?:resblocks|layers?|blocks?)\.(\d+)\.|^layer(\d+)\.(\d+)\.")
_AFTER_BLOCKS = re.compile(r"^(?:transformer\.)?(?:ln_post|ln_final|final_layer_norm|layer_norm|pooler)\.")
_HEAD = re.compile(r"^(?:proj|text_projection|attn_?pool|attn_pool_contrastive|head)(?:\.|$)")
_LAST = (float("inf"),)


def tower_prefix(clip: nn.Module, tower: Tower) -> str:
    """What the names of a tower's parameters begin with; nothing where the text tower is unpacked into the model."""
    if tower == "image":
        return "visual."
    return "text." if isinstance(getattr(clip, "text", None), nn.Module) else ""


def tower_parameters(clip: nn.Module, tower: Tower) -> list[str]:
    """The names of a tower's parameters in an open_clip model; the temperature belongs to neither tower."""
    prefix = tower_prefix(clip, tower)
    others = () if prefix else ("visual.", "logit_")
    return [name for name, _ in clip.named_parameters() if name.startswith(prefix) and not name.startswith(others)]


def tower_layers(clip: nn.Module, tower: Tower) -> list[list[str]]:
    """The names of a tower's parameters, layer by layer, first to last.

    The first layer is what comes before the blocks (patches, embeddings, stem), then comes one for each block, the
    norm behind the last block with it, and last the projection, where there is one. So counted from the end, 1 is the
    projection and 2 the last block. In towers of timm its own grouping says what a block is.

    Args:
        clip: An open_clip model.
        tower: Which of its towers.

    Raises:
        UserError: The tower's blocks cannot be told apart.
    """
    prefix = tower_prefix(clip, tower)
    names = tower_parameters(clip, tower)
    trunk = getattr(getattr(clip, "visual", None), "trunk", None) if tower == "image" else None
    places = _timm_places(trunk) if hasattr(trunk, "group_matcher") else {}
    blocks = {name: place for name in names if (place := _block(name.removeprefix(prefix), places))}
    if len(set(blocks.values())) < 2:
        raise UserError(
            f"the {tower} tower's blocks cannot be told apart, so none of them can learn alone or at its own rate; "
            f"set tune.{tower} to all or locked, and tune.layer_decay=1."
        )
    final = max(blocks.values())
    layers: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for name in names:
        own = name.removeprefix(prefix)
        before = final if _AFTER_BLOCKS.match(own) else (-1.0,)
        layers[_LAST if _HEAD.match(own) else blocks.get(name, before)].append(name)
    return [layers[place] for place in sorted(layers)]


def _block(name: str, places: dict[str, int]) -> tuple[float, ...] | None:
    """The place of a parameter's block; None outside of the blocks."""
    if places:
        place = places.get(name.removeprefix("trunk."))
        return None if place is None else (float(place),)
    match = _BLOCK.search(name)
    return tuple(float(number) for number in match.groups() if number is not None) if match else None


def _timm_places(trunk: Any) -> dict[str, int]:
    """Which group of timm's each parameter of one of its models is in, from the stem."""
    from timm.models import group_parameters

    return group_parameters(trunk, trunk.group_matcher(), reverse=True)  # pyright: ignore
