"""Batch norm: what learns is told from what is locked, and only that shares its statistics."""

import timm
import torch
from torch import nn

from clipc.train.batch_norm import learns_batch_norm, share_statistics


def model() -> nn.Module:
    """Batch norm of PyTorch's, without weights of its own, and of timm's with its activation."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 1),
        nn.BatchNorm2d(4),
        nn.Sequential(nn.BatchNorm2d(4, affine=False)),
        timm.layers.BatchNormAct2d(4),
    )


def test_only_batch_norm_that_learns_counts() -> None:
    made = model()
    assert learns_batch_norm(made)
    for norm in (made[1], made[3]):
        norm.requires_grad_(False)
    assert not learns_batch_norm(made)
    assert not learns_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))


def test_locked_batch_norm_is_left_as_it_is() -> None:
    made = model()
    made[1].requires_grad_(False).eval()
    locked, pictures = made[1], torch.randn(5, 3, 2, 2)
    made.eval()
    before = made(pictures)
    share_statistics(made)
    assert made[1] is locked
    assert type(made[2][0]) is nn.SyncBatchNorm
    assert isinstance(made[3], nn.SyncBatchNorm)
    assert torch.equal(made(pictures), before)
