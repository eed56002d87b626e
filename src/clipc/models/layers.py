"""The layers of a model's towers, from input to features, in the order that partial locking and layer decay use."""

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
_HEAD_PLACE = (float("inf"),)


def tower_prefix(clip: nn.Module, tower: Tower) -> str:
    """The prefix of the names of a tower's parameters; empty if the text tower's parts are attributes of the model."""
    if tower == "image":
        return "visual."
    return "text." if isinstance(getattr(clip, "text", None), nn.Module) else ""


def tower_parameters(clip: nn.Module, tower: Tower) -> list[str]:
    """The names of a tower's parameters in an open_clip model; the temperature belongs to neither tower."""
    prefix = tower_prefix(clip, tower)
    other_prefixes = () if prefix else ("visual.", "logit_")
    return [
        name for name, _ in clip.named_parameters() if name.startswith(prefix) and not name.startswith(other_prefixes)
    ]


def tower_layers(clip: nn.Module, tower: Tower) -> list[list[str]]:
    """The names of a tower's parameters, layer by layer, first to last.

    The first layer is everything before the blocks (patches, embeddings, stem). Each block is a layer; the last one
    includes the norm after it. The projection, if there is one, is the last layer. Counted from the end, 1 is then the
    projection and 2 the last block. For image towers of timm, timm's own parameter groups are the blocks.

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
        own_name = name.removeprefix(prefix)
        outside = final if _AFTER_BLOCKS.match(own_name) else (-1.0,)
        layers[_HEAD_PLACE if _HEAD.match(own_name) else blocks.get(name, outside)].append(name)
    return [layers[place] for place in sorted(layers)]


def _block(name: str, places: dict[str, int]) -> tuple[float, ...] | None:
    """A sortable place of the block that a parameter belongs to; None outside of the blocks."""
    if places:
        place = places.get(name.removeprefix("trunk."))
        return None if place is None else (float(place),)
    match = _BLOCK.search(name)
    return tuple(float(number) for number in match.groups() if number is not None) if match else None


def _timm_places(trunk: Any) -> dict[str, int]:
    """For each parameter of a timm model the number of its group, counted from the stem."""
    from timm.models import group_parameters

    return group_parameters(trunk, trunk.group_matcher(), reverse=True)  # pyright: ignore
