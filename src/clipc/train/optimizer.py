"""The optimizer and the learning rate schedule."""

import math
from typing import Any

import torch
from torch import nn

from clipc.models.layers import TOWERS, tower_layers


def adamw(
    model: nn.Module, learning_rate: float, weight_decay: float, betas: tuple[float, float], layer_decay: float = 1.0
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019); biases, norms and the temperature are not decayed.

    With a layer decay each parameter group has a field ``lr_scale``, the factor of its learning rate. Groups are in
    descending order of ``lr_scale``, from 1.

    Args:
        model: An open_clip model, or a module with such a model as its attribute ``clip``. Frozen parameters are left
            out; parameters with fewer than two dimensions get no weight decay.
        learning_rate: The peak of the schedule.
        weight_decay: The coefficient of the decoupled weight decay.
        betas: Decay rates of the moment estimates.
        layer_decay: As for :func:`rate_scales`; 1 gives two groups without scales.

    Raises:
        UserError: ``layer_decay`` is not 1, and the order of a tower's layers is unknown.
    """
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    scales: dict[str, float] = {}
    if layer_decay != 1:
        clip = getattr(model, "clip", None)
        prefix, clip = ("clip.", clip) if isinstance(clip, nn.Module) else ("", model)
        scales = {prefix + name: scale for name, scale in rate_scales(clip, layer_decay).items()}
    groups: list[dict[str, Any]] = []
    used_scales = {1.0, *(scales[name] for name, _ in trainable if name in scales)}
    for scale in sorted(used_scales, reverse=True):
        parameters = [parameter for name, parameter in trainable if scales.get(name, 1.0) == scale]
        rate = {"lr": learning_rate * scale, "lr_scale": scale} if scales else {}
        groups += [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay, **rate},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0, **rate},
        ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=1e-6, fused=True)


def rate_scales(clip: nn.Module, layer_decay: float) -> dict[str, float]:
    """Layer-wise learning rate decay, for fine-tuning: earlier layers of a tower have smaller learning rates.

    The factor is ``layer_decay ** d``, as in BEiT (arXiv 2106.08254). The depth d counts the tower's layers backwards
    from the projection, which has depth 0. The temperature has the full learning rate.

    Args:
        clip: An open_clip model.
        layer_decay: The learning rate of a layer divided by that of the next layer, in (0, 1].

    Returns:
        The factor of each parameter of both towers, in (0, 1], by the parameter's name.

    Raises:
        UserError: The order of a tower's layers is unknown.
    """
    scales: dict[str, float] = {}
    for tower in TOWERS:
        layers = tower_layers(clip, tower)
        for depth, names in enumerate(reversed(layers)):
            scales.update(dict.fromkeys(names, layer_decay**depth))
    return scales


def learning_rate_at(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear warm-up, then cosine decay to zero.

    Args:
        step: The number of the step, from 0.
        steps: The number of steps of the whole run.
        peak: The learning rate after the warm-up.
        warmup: The number of warm-up steps.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
