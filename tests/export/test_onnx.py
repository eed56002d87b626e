"""ONNX files of both towers say what PyTorch says, or are not there."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from clipc.errors import UserError
from clipc.export import onnx as module
from clipc.export.onnx import TOLERANCE, export_onnx
from clipc.models.model import ClipModel
from models.starts import HALVES, TEXTS, model_of, sample_images

pytestmark = pytest.mark.peer
needs_packages = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript")),
    reason="needs clipc[onnx]",
)


def features(file: Path, given: torch.Tensor) -> torch.Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (name,) = (node.name for node in session.get_inputs())
    return torch.from_numpy(session.run(None, {name: given.numpy()})[0])


@needs_packages
@pytest.mark.parametrize(
    "kind", ["quick", *(pytest.param(kind, marks=pytest.mark.soak) for kind in ("clip", "sigmoid", "coca", "resnet"))]
)
def test_both_towers_agree_with_pytorch(kind: str, tmp_path: Path) -> None:
    model = ClipModel.load(model_of(tmp_path / "start", kind, HALVES)).train()
    differences = export_onnx(model, tmp_path / "onnx")
    assert model.training
    assert differences.keys() == {"image", "text"}
    assert all(0 <= difference < TOLERANCE for difference in differences.values())
    assert {path.name for path in (tmp_path / "onnx").iterdir()} == {"image.onnx", "text.onnx"}
    model.eval()
    with torch.inference_mode():
        for count in (1, 3):
            images, tokens = sample_images(model.clip)[:count], model.tokenizer(TEXTS[:count])
            own = features(tmp_path / "onnx" / "image.onnx", images)
            torch.testing.assert_close(own, model.encode_image(images), atol=1e-5, rtol=0)
            torch.testing.assert_close(own.norm(dim=1), torch.ones(count))
            own = features(tmp_path / "onnx" / "text.onnx", tokens)
            torch.testing.assert_close(own, model.encode_text(TEXTS[:count]), atol=1e-5, rtol=0)


@needs_packages
def test_a_difference_leaves_what_was_there(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ClipModel.create(tiny_model)
    (tmp_path / "image.onnx").write_bytes(b"older")
    monkeypatch.setattr(torch.onnx, "export", lambda *given, **_: Path(given[2]).write_bytes(b"newer"))
    monkeypatch.setattr(
        module, "_load_runner", lambda _: lambda _, given: [np.zeros((len(given["images"]), 16), np.float32)]
    )
    with pytest.raises(UserError, match=r"image.onnx differs from PyTorch by .*nothing was written"):
        export_onnx(model, tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("image.onnx", b"older")]


def test_missing_packages_are_named(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"pip install '.*\[onnx\]'"):
        export_onnx(ClipModel.create(tiny_model), tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
