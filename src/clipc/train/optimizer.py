"""The optimizer and its schedule."""

import math
from typing import Any

import torch
from torch import nn


def adamw(model: nn.Module, learning_rate: float, weight_decay: float, betas: tuple[float, float]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019); biases, norms and the temperature are not decayed.

    Args:
        model: Parameters with one dimension or none get no weight decay.
        learning_rate: The peak of the schedule.
        weight_decay: The decoupled decay.
        betas: Decay rates of the moments.
    """
    learnt = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learnt if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in learnt if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=1e-6, fused=True)


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
