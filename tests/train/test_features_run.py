"""A run on kept features: resumed bit by bit, saved as an ordinary model, evaluated as a trial."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.evaluate.embed import embed
from clipc.models.model import ClipModel
from clipc.prepare.feature_renderer import evaluation_encoder
from clipc.prepare.kept_encoder import KeptEncoder
from clipc.recipe.recipe import Recipe, make_recipe
from clipc.recipe.run import Run
from clipc.render.features import FeatureRenderer
from clipc.train.train import make_trainer, train


@pytest.fixture
def recipe(cnn_folder: str, tmp_path: Path) -> Recipe:
    keys: dict[str, Any] = {
        "model": cnn_folder,
        "renderer": "features",
        "data": {"cache": str(tmp_path / "cache")},
        "tune": {"image": 1, "text": 1},
        "head_dropout": 0.3,
        "policy": {"rho": 0.4},
        "kept_views": 2,
        "batch_size": 8,
        "samples": 240,
        "validations": 3,
        "threads": 1,
        "precision": "fp32",
        "device": "cpu",
        "track": [],
    }
    return make_recipe(keys)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.last_model / "open_clip_model.safetensors")


def test_a_run_learns_resumes_bit_by_bit_and_leaves_an_ordinary_model(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    run = train(recipe, tmp_path / "whole", catalog=tiny_catalog)
    facts = run.read_json("plan-statistics.json")
    assert facts is not None
    assert facts["kept"]["captions"]
    assert (run.read_json("environment.json") or {})["renderer"] == "features"

    def stop(what: str, done: int, total: int) -> None:
        if what == "training" and done >= 120:
            raise KeyboardInterrupt

    quick = recipe.model_copy(update={"checkpoint_seconds": 1e-9})
    with pytest.raises(KeyboardInterrupt):
        train(quick, tmp_path / "stopped", catalog=tiny_catalog, progress=stop)
    resumed = train(quick, tmp_path / "stopped", catalog=tiny_catalog)
    one, other = weights(run), weights(resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    model, encoder = ClipModel.load(run.model), evaluation_encoder(run, run.model, tiny_catalog, recipe.data.cache)
    assert isinstance(encoder, KeptEncoder)
    part = tiny_catalog.split("test")
    kept, direct = embed(encoder, part), embed(model, part)
    assert torch.allclose(kept.image, direct.image, atol=2e-3)
    assert torch.allclose(kept.text, direct.text, atol=2e-3)
    with pytest.raises(UserError, match="holds a run of another recipe"):
        train(recipe.model_copy(update={"renderer": "worker"}), tmp_path / "whole", catalog=tiny_catalog)


def test_captions_go_through_a_text_tower_that_is_trained(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    whole = recipe.model_copy(update={"tune": recipe.tune.model_copy(update={"text": "all"})})
    trainer = make_trainer(whole, Run(tmp_path / "run"), tiny_catalog)
    assert isinstance(trainer.renderer, FeatureRenderer)
    assert trainer.renderer.captions is None
    batch = trainer.renderer.render(0, 8)
    assert batch.tokens.dtype == torch.int64
    before = trainer.model.clip.get_parameter("token_embedding.weight").detach().clone()
    trainer.learner.learn(batch, 5)
    assert not torch.equal(trainer.model.clip.get_parameter("token_embedding.weight"), before)


def test_what_is_kept_is_told_in_one_line(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "clipc"):
        make_trainer(recipe, Run(tmp_path / "run"), tiny_catalog)
    lines = [line for line in caplog.messages if "are kept" in line]
    assert len(lines) == 1
    assert "40 pairs, 2 views of each image and the whole one" in lines[0]
    assert "mean cosine" in lines[0]
