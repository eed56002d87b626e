"""Data parallelism in one process; test_distributed.py has the tests with several."""

from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from clipc.models.tuning import Tuning, apply_tuning
from clipc.train import parallel
from clipc.train.distributed import World
from clipc.train.parallel import data_parallel, has_trainable_batch_norm, synchronise_batch_norm
from models.starts import fresh


def test_batch_norm_on_cuda_keeps_the_activation_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "DistributedDataParallel", lambda model, **_: model)
    model = nn.Sequential(nn.BatchNorm2d(3), BatchNormAct2d(3))
    names = [type(module).__name__ for module in data_parallel(model, World(0, 2), torch.device("cuda"))]
    assert names == ["SyncBatchNorm", "SyncBatchNormAct"]


def test_batch_norm_that_is_locked_stays_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parallel, "DistributedDataParallel", lambda model, **_: model)
    model: Any = nn.Sequential(fresh(tmp_path, "modified-resnet"))
    apply_tuning(model[0], Tuning(image=2))
    visual = data_parallel(model, World(0, 2), torch.device("cuda")).train()[0].visual  # pyright: ignore
    kinds = {name: type(module) for name, module in visual.named_modules() if "bn" in name}
    assert kinds["bn1"] is nn.BatchNorm2d
    assert kinds["layer4.0.bn1"] is nn.SyncBatchNorm
    assert not visual.bn1.training
    assert visual.layer4[0].bn1.training
    for name, kind in kinds.items():
        norm = visual.get_submodule(name)
        assert (kind is nn.SyncBatchNorm) == norm.weight.requires_grad == norm.training


def batch_norms() -> nn.Sequential:
    """Batch norm of PyTorch's, without weights of its own, and of timm's with its activation."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 1),
        nn.BatchNorm2d(4),
        nn.Sequential(nn.BatchNorm2d(4, affine=False)),
        BatchNormAct2d(4),
    )


def test_only_trainable_batch_norm_counts() -> None:
    model = batch_norms()
    assert has_trainable_batch_norm(model)
    for norm in (model[1], model[3]):
        norm.requires_grad_(False)
    assert not has_trainable_batch_norm(model)
    assert not has_trainable_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))


def test_frozen_batch_norm_is_not_replaced() -> None:
    model = batch_norms()
    model[1].requires_grad_(False).eval()
    frozen, images = model[1], torch.randn(5, 3, 2, 2)
    model.eval()
    before = model(images)
    synchronise_batch_norm(model)
    assert model[1] is frozen
    assert type(model[2][0]) is nn.SyncBatchNorm
    assert isinstance(model[3], nn.SyncBatchNorm)
    assert torch.equal(model(images), before)
