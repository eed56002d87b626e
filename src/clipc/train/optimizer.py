"""The optimizer and its schedule."""

import math
from typing import Any

import torch
from torch import nn

from clipc.models.layers import TOWERS, tower_layers


def adamw(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    layer_decay: float = 1.0,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019); biases, norms and the temperature are not decayed.

    With a layer decay each group of parameters carries its ``lr_scale``, the share of the schedule's rate that it
    learns at: 1 in the first groups, less in the others.

    Args:
        model: An open_clip model, or what holds one as ``clip``. Parameters with one dimension or none get no weight
            decay, those that need no gradient are left out.
        learning_rate: The peak of the schedule.
        weight_decay: The decoupled decay.
        betas: Decay rates of the moments.
        layer_decay: As for :func:`rate_scales`; 1 gives two groups without scales.

    Raises:
        UserError: There is a layer decay, but a tower's layers cannot be told apart.
    """
    learnt = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    scales = {} if layer_decay == 1 else _scales_within(model, layer_decay)
    groups: list[dict[str, Any]] = []
    for scale in sorted({1.0, *(scales[name] for name, _ in learnt if name in scales)}, reverse=True):
        alike = [parameter for name, parameter in learnt if scales.get(name, 1.0) == scale]
        own = {"lr": learning_rate * scale, "lr_scale": scale} if scales else {}
        groups += [
            {"params": [p for p in alike if p.ndim >= 2], "weight_decay": weight_decay, **own},
            {"params": [p for p in alike if p.ndim < 2], "weight_decay": 0.0, **own},
        ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=1e-6, fused=True)


def rate_scales(clip: nn.Module, layer_decay: float) -> dict[str, float]:
    """Layer-wise decay of the learning rate: what lies deeper in a tower was learnt for longer and moves less.

    ``layer_decay ** d``, where d counts the tower's layers from the last one (0: the projection), as in BEiT
    (arXiv 2106.08254). The temperature learns at the full rate.

    Args:
        clip: An open_clip model.
        layer_decay: What a layer keeps of the rate of the layer after it, in (0, 1].

    Returns:
        The scale of each parameter of both towers by its name, in (0, 1].

    Raises:
        UserError: A tower's layers cannot be told apart.
    """
    scales: dict[str, float] = {}
    for tower in TOWERS:
        layers = tower_layers(clip, tower)
        for depth, names in enumerate(reversed(layers)):
            scales.update(dict.fromkeys(names, layer_decay**depth))
    return scales


def _scales_within(model: nn.Module, layer_decay: float) -> dict[str, float]:
    """The scales by the names of the parameters in a model that is an open_clip model or holds one."""
    clip = getattr(model, "clip", None)
    if not isinstance(clip, nn.Module):
        return rate_scales(model, layer_decay)
    return {f"clip.{name}": scale for name, scale in rate_scales(clip, layer_decay).items()}


def learning_rate_at(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to zero.

    Args:
        step: From 0.
        steps: The number of steps of the whole run.
        peak: The learning rate after the warm-up.
        warmup: The number of warm-up steps.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
