"""Weights as other programs save them: read whatever surrounds them, refused in a sentence where they do not fit."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clipc.errors import UserError
from clipc.models.model import ClipModel

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def weights(tiny_model: str) -> State:
    return ClipModel.create(tiny_model, seed=1).clip.state_dict()


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def beside_an_optimizer(state: State) -> dict[str, Any]:
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    return {"epoch": 4, "name": "run", "state_dict": prefixed(state, "module."), "optimizer": optimizer.state_dict()}


FORMS: dict[str, Callable[[State], Any]] = {
    "plain": lambda s: s,
    "ddp": lambda s: prefixed(s, "module."),
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "compiled ddp": lambda s: prefixed(s, "_orig_mod.module."),
    "ddp compiled": lambda s: prefixed(s, "module._orig_mod."),
    "lightning": lambda s: {"state_dict": prefixed(s, "model."), "epoch": 3, "pytorch-lightning_version": "2.1"},
    "lightning compiled": lambda s: {"state_dict": prefixed(s, "model._orig_mod."), "callbacks": {}},
    "optimizer": beside_an_optimizer,
    "numbers": lambda s: {"epoch": np.int64(4), "best": np.float64(0.5), "ok": np.bool_(True), "state_dict": s},
    "model": lambda s: {"model": s, "epoch": 4},
    "model_state_dict": lambda s: {"model_state_dict": s, "loss": torch.tensor(0.5)},
    "nested": lambda s: {"state_dict": {"model": s}},
    "count beside": lambda s: {**s, "epoch": 3},
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_found_in_what_surrounds_them(form: str, weights: State, tiny_model: str, tmp_path: Path) -> None:
    torch.save(FORMS[form](weights), tmp_path / "weights.pt")
    loaded = ClipModel.create(tiny_model, pretrained=str(tmp_path / "weights.pt")).clip.state_dict()
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_prefixes_of_safetensors_are_removed_too(weights: State, tiny_model: str, tmp_path: Path) -> None:
    save_file(
        {f"module.{name}": tensor.contiguous() for name, tensor in weights.items()}, tmp_path / "weights.safetensors"
    )
    loaded = ClipModel.create(tiny_model, pretrained=str(tmp_path / "weights.safetensors")).clip.state_dict()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_half_precision_is_read_as_single(weights: State, tiny_model: str, tmp_path: Path) -> None:
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    torch.save(half, tmp_path / "weights.pt")
    loaded = ClipModel.create(tiny_model, pretrained=str(tmp_path / "weights.pt")).clip.state_dict()
    assert all(loaded[name].dtype == tensor.dtype for name, tensor in weights.items())
    assert all(torch.equal(loaded[name], tensor.to(loaded[name].dtype)) for name, tensor in half.items())


def refusal(model: str, file: Path) -> str:
    with pytest.raises(UserError) as caught:
        ClipModel.create(model, pretrained=str(file))
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    return str(caught.value)


def test_programs_are_refused_by_name(tiny_model: str, tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module), tmp_path / "script.pt")
    said = refusal(tiny_model, tmp_path / "script.pt")
    assert "TorchScript" in said
    assert "torch.jit.load('script.pt').state_dict()" in said
    torch.save(module, tmp_path / "module.pt")
    said = refusal(tiny_model, tmp_path / "module.pt")
    assert "torch.nn.modules.linear.Linear, which could run code" in said
    assert "model.state_dict()" in said


def test_what_lacks_weights_says_what_it_has(tiny_model: str, tmp_path: Path) -> None:
    torch.save({"epoch": 3, "optimizer": {}}, tmp_path / "none.pt")
    assert "holds no weights, but epoch, optimizer" in refusal(tiny_model, tmp_path / "none.pt")


def test_weights_of_another_model_name_what_differs(weights: State, tiny_model: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    first, second, *rest = weights
    torch.save({name: weights[name] for name in (second, *rest)}, file)
    assert f"it lacks {first}" in refusal(tiny_model, file)
    torch.save({**weights, "teacher.weight": torch.zeros(2)}, file)
    assert "the model has no teacher.weight" in refusal(tiny_model, file)
    # A prefix that only some names share is left where it is.
    torch.save({**prefixed(weights, "model."), "loss.scale": torch.zeros(2)}, file)
    said = refusal(tiny_model, file)
    assert f"it lacks {first}, {second}, {rest[0]} and" in said
    assert f"the model has no model.{first}" in said
    name = "visual.conv1.weight"
    torch.save({**weights, name: weights[name][:5]}, file)
    shape = tuple(weights[name].shape)
    assert f"{name} is {(5, *shape[1:])} instead of {shape}" in refusal(tiny_model, file)


def test_a_flipped_bit_in_saved_weights_is_found(tiny_model: str, tmp_path: Path) -> None:
    ClipModel.create(tiny_model).save(tmp_path / "m")
    file = tmp_path / "m" / "open_clip_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1000] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(UserError, match="is damaged"):
        ClipModel.load(tmp_path / "m")
