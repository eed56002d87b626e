"""What processes compute together; test_distributed.py has the rest, which needs several."""

from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from clipc.models.tuning import Tuning, prepare
from clipc.train import parallel
from clipc.train.distributed import World
from clipc.train.parallel import data_parallel
from models.starts import fresh


def test_batch_norm_on_cuda_keeps_the_activation_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "DistributedDataParallel", lambda model, **_: model)
    model = nn.Sequential(nn.BatchNorm2d(3), BatchNormAct2d(3))
    names = [type(module).__name__ for module in data_parallel(model, World(0, 2), torch.device("cuda"))]
    assert names == ["SyncBatchNorm", "SyncBatchNormAct"]


def test_batch_norm_that_is_locked_stays_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parallel, "DistributedDataParallel", lambda model, **_: model)
    model: Any = nn.Sequential(fresh(tmp_path, "modified-resnet"))
    prepare(model[0], Tuning(image=2))
    visual = data_parallel(model, World(0, 2), torch.device("cuda")).train()[0].visual  # pyright: ignore
    kinds = {name: type(module) for name, module in visual.named_modules() if "bn" in name}
    assert kinds["bn1"] is nn.BatchNorm2d
    assert kinds["layer4.0.bn1"] is nn.SyncBatchNorm
    assert not visual.bn1.training
    assert visual.layer4[0].bn1.training
    for name, kind in kinds.items():
        norm = visual.get_submodule(name)
        assert (kind is nn.SyncBatchNorm) == norm.weight.requires_grad == norm.training
