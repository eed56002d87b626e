from itertools import pairwise

import pytest
import torch
from torch import nn

from clipc.train.optimizer import adamw, learning_rate_at


def test_schedule_rises_then_falls_to_nothing() -> None:
    rates = [learning_rate_at(step, 100, 2.0, 10) for step in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert max(rates) == rates[9] == rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert learning_rate_at(0, 1, 1.0, 0) == 1.0


def test_vectors_are_not_decayed() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    model.scale = nn.Parameter(torch.tensor(1.0))
    decayed, spared = adamw(model, 0.1, 0.5, (0.9, 0.98)).param_groups
    assert [p.shape for p in decayed["params"]] == [(4, 3)]
    assert decayed["weight_decay"] == 0.5
    assert spared["weight_decay"] == 0
    assert sum(p.numel() for p in spared["params"]) == 4 + 4 + 4 + 1
