"""The projections of both towers in training: dropout in them, standardised inputs, and their ordinary weights."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from open_clip.hf_model import ClsLastHiddenStatePooler, HFTextEncoder, MeanPooler
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F

from clipc.errors import UserError
from clipc.models.layers import TOWERS, Tower, tower_parameters, tower_prefix
from clipc.models.lora import merged_state_dict

_SMALLEST_STD: Final = 1e-3
"""The smallest standard deviation that inputs are divided by, as a share of the mean one."""


_NAMES: Final[dict[Tower, tuple[str, ...]]] = {"image": ("head.", "proj"), "text": ("proj.", "text_projection")}
"""How the names of a projection's parameters begin, after the tower's prefix."""


def projection_module(clip: Any, tower: Tower) -> nn.Module | None:
    """The module that turns a tower's pooled output into features; None where it is a matrix or does not exist."""
    if tower == "image":
        return clip.visual.head if isinstance(clip.visual, TimmModel) else None
    text = getattr(clip, "text", None)
    if isinstance(text, HFTextEncoder):
        return text.proj
    projection = getattr(clip, "text_projection", None)
    return projection if isinstance(projection, nn.Module) else None


def trunk_is_locked(clip: nn.Module, tower: Tower) -> bool:
    """Whether nothing of a tower is trained but its projection."""
    prefix = tower_prefix(clip, tower)
    names = [name for name in tower_parameters(clip, tower) if clip.get_parameter(name).requires_grad]
    return all(name.removeprefix(prefix).startswith(_NAMES[tower]) for name in names)


def trunk_state(clip: nn.Module, tower: Tower) -> dict[str, torch.Tensor]:
    """A tower's weights and running statistics without its projection, by name; no copies."""
    prefix, other_prefixes = tower_prefix(clip, tower), ("visual.", "logit_") if not tower_prefix(clip, tower) else ()
    return {
        name: tensor
        for name, tensor in clip.state_dict().items()
        if name.startswith(prefix)
        and not name.startswith(other_prefixes)
        and not name.removeprefix(prefix).startswith(_NAMES[tower])
    }


def add_head_dropout(clip: Any, rate: float) -> None:
    """Adds dropout to both projections, in place: before their last linear layer; frozen projections have none.

    Args:
        clip: An open_clip model.
        rate: The share of values that are dropped, in [0, 1); 0 changes nothing.

    Raises:
        UserError: A tower has no projection.
    """
    if rate == 0:
        return
    for tower in TOWERS:
        module = projection_module(clip, tower)
        learns = {
            name.removeprefix(tower_prefix(clip, tower)): clip.get_parameter(name).requires_grad
            for name in tower_parameters(clip, tower)
        }
        projection = [trained for name, trained in learns.items() if name.startswith(_NAMES[tower])]
        if not any(projection or learns.values()):
            continue
        if module is not None and (layers := _linear_layers(module)):
            layers[-1][1].register_forward_pre_hook(partial(_drop, rate=rate))
        elif tower == "image" and isinstance(clip.visual, VisionTransformer) and clip.visual.proj is not None:
            visual: Any = clip.visual
            visual.head_dropout = rate
        elif tower == "text" and isinstance(getattr(clip, "text_projection", None), nn.Parameter):
            clip.head_dropout = rate
        else:
            raise UserError(
                f"the {tower} tower of this model has no projection that dropout could be added to; set head_dropout=0."
            )


def _drop(layer: nn.Module, inputs: tuple[torch.Tensor], rate: float) -> torch.Tensor:
    return F.dropout(inputs[0], rate, layer.training)


@dataclass(frozen=True, eq=False)
class RescaledNorm:
    """A text trunk's last norm, which was rescaled so that the trunk's pooled output is standardised.

    Attributes:
        mean: The mean of the pooled output before, shape (width,), ``float32`` like all.
        std: Its standard deviation, shape (width,).
        weight: The norm's own weight, shape (width,).
        bias: Its own bias, shape (width,).
    """

    mean: torch.Tensor
    std: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def standardised(self, pooled: torch.Tensor) -> torch.Tensor:
        """What the rescaled trunk gives, from what the trunk gave before, shape (n, width)."""
        return (pooled - self.mean) / self.std

    @contextmanager
    def undone(self, clip: nn.Module) -> Generator[None]:
        """In the block the trunk is the one before, to the last bit."""
        norm = final_norm(clip)
        assert norm is not None
        weight, bias = norm.weight.detach().clone(), norm.bias.detach().clone()
        _set_norm(norm, self.weight, self.bias)
        try:
            yield
        finally:
            _set_norm(norm, weight, bias)


def standardise_inputs(clip: Any, tower: Tower, mean: torch.Tensor, std: torch.Tensor) -> RescaledNorm | None:
    """Lets a projection that has not learnt yet take standardised inputs, in which it learns faster.

    A projection of an open_clip model has no place for a mean and a standard deviation. Where its first layer has a
    bias it takes them in when the model is saved (:func:`plain_state_dict`). Otherwise a text trunk's last norm is
    rescaled now, which is exact where pooling is a mean or a choice of one token. Where neither is possible inputs are
    scaled, but not centred.

    Args:
        clip: An open_clip model whose trunk is locked, changed in place.
        tower: The tower.
        mean: The mean of the trunk's pooled output, shape (width,).
        std: Its standard deviation, shape (width,).

    Returns:
        The rescaled norm; None where there is none, so that the trunk's output stays what it was.
    """
    module = projection_module(clip, tower)
    layers = [] if module is None else _linear_layers(module)
    if module is None or not layers:
        return None
    mean, std = mean.float(), std.float().clamp(min=_SMALLEST_STD * float(std.mean()))
    has_bias = _bias(layers[0][1]) is not None
    if not has_bias and tower == "text" and (norm := final_norm(clip)) is not None:
        weight, bias = norm.weight.detach().clone(), norm.bias.detach().clone()
        rescaled = RescaledNorm(mean.to(weight.device), std.to(weight.device), weight, bias)
        _set_norm(norm, weight / rescaled.std, (bias - rescaled.mean) / rescaled.std)
        return rescaled
    device = layers[0][1].weight.device
    module.register_buffer("input_mean", (mean if has_bias else torch.zeros_like(mean)).to(device), persistent=False)
    module.register_buffer("input_std", std.to(device), persistent=False)
    module.register_forward_pre_hook(_standardise)
    return None


def _standardise(module: Any, inputs: tuple[torch.Tensor]) -> torch.Tensor:
    return (inputs[0] - module.input_mean) / module.input_std


def plain_state_dict(clip: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of an ordinary open_clip model with the same features: adapters and standardised inputs merged in.

    Args:
        clip: An open_clip model, which is not changed; it may have neither.
    """
    state = merged_state_dict(clip)
    names = {module: name for name, module in clip.named_modules()}
    for tower in TOWERS:
        module: Any = projection_module(clip, tower)
        if module is None or not hasattr(module, "input_std"):
            continue
        name, layer = _linear_layers(module)[0]
        prefix = ".".join(part for part in (names[module], name) if part)
        weight = layer.weight.detach() / module.input_std
        state[f"{prefix}.weight"] = weight
        if (bias := _bias(layer)) is not None:
            state[f"{prefix}.bias"] = bias.detach() - weight @ module.input_mean
    return state


def final_norm(clip: Any) -> nn.LayerNorm | None:
    """The norm whose output a Hugging Face text trunk pools, if pooling is a mean or a choice of one token."""
    text = getattr(clip, "text", None)
    if not isinstance(text, HFTextEncoder) or type(text.pooler) not in (MeanPooler, ClsLastHiddenStatePooler):
        return None
    outputs: list[tuple[nn.LayerNorm, torch.Tensor]] = []

    def note(norm: Any, _: Any, output: Any) -> None:
        outputs.append((norm, output))

    norms = [m for m in text.transformer.modules() if isinstance(m, nn.LayerNorm) and m.elementwise_affine]
    handles = [norm.register_forward_hook(note) for norm in norms]
    token = torch.ones(1, 2, dtype=torch.int64, device=next(clip.parameters()).device)
    try:
        with torch.no_grad():
            last = text.transformer(input_ids=token, attention_mask=token).last_hidden_state
    finally:
        for handle in handles:
            handle.remove()
    return next((norm for norm, output in outputs if output is last and _bias(norm) is not None), None)


def _set_norm(norm: nn.LayerNorm, weight: torch.Tensor, bias: torch.Tensor) -> None:
    with torch.no_grad():
        norm.weight.copy_(weight)
        norm.bias.copy_(bias)


def _bias(layer: Any) -> torch.Tensor | None:
    return layer.bias


def _linear_layers(module: nn.Module) -> list[tuple[str, nn.Linear]]:
    """The linear layers of a projection by their names in it, first to last; one that is linear itself has no name."""
    return [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
