"""Runs that start from a model, and what is measured when they end."""

import logging
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.recipe.recipe import Recipe, make_recipe
from clipc.recipe.run import Run
from clipc.train import loop, wise_ft
from clipc.train.interrupt import Interrupted
from clipc.train.train import train


@pytest.fixture(scope="module")
def start(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    ClipModel.create(tiny_model, seed=5).save(folder)
    return folder


@pytest.fixture
def recipe(start: Path, tiny_source: Path) -> Recipe:
    return make_recipe(
        {
            "data": {"source": str(tiny_source)},
            "model": str(start),
            "batch_size": 8,
            "samples": 80,
            "threads": 1,
            "precision": "fp32",
            "validations": 2,
            "selection": "best",
            "learning_rate": 0.01,
        }
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "open_clip_model.safetensors")


def test_a_run_goes_on_from_a_model(recipe: Recipe, start: Path, tiny_catalog: Catalog, tmp_path: Path) -> None:
    still = recipe.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    run = train(still, tmp_path / "run", catalog=tiny_catalog)
    before, after = weights(start), weights(run.last_model)
    assert all(torch.allclose(tensor, after[name], atol=1e-6) for name, tensor in before.items())


def test_mixed_weights_are_those_that_do_best(
    recipe: Recipe, start: Path, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    asked = make_recipe({**recipe.model_dump(), "wise_ft": True})
    run = train(asked, tmp_path / "run", catalog=tiny_catalog)
    summary = run.finished
    assert summary is not None
    alpha, curve = summary["wise_ft"]["alpha"], dict(summary["wise_ft"]["curve"])
    assert len(curve) == 11
    assert curve[alpha] == max(curve.values())
    first, last, mixed = weights(start), weights(run.last_model), weights(run.model)
    for name in ("visual.proj", "token_embedding.weight"):
        assert torch.allclose(mixed[name], torch.lerp(first[name], last[name], alpha), atol=1e-6)


def test_an_earlier_step_stays_where_it_did_better_than_any_mixture(
    recipe: Recipe,
    start: Path,
    tiny_catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    values = iter([0.9, 0.2])
    monkeypatch.setattr(loop, "validate", lambda *_: {"mean_recall": next(values)})
    monkeypatch.setattr(wise_ft, "validate", lambda *_: {"mean_recall": 0.5})
    caplog.set_level(logging.INFO, "clipc")
    asked = make_recipe({**recipe.model_dump(), "wise_ft": True})
    run = train(asked, tmp_path / "run", catalog=tiny_catalog)
    assert run.finished is not None
    assert run.finished["best"] == {"step": 5, "mean_recall": 0.9}
    assert run.finished["wise_ft"]["taken"] is False
    assert any("step 5 did better and stays the model" in sentence for sentence in caplog.messages)
    assert not torch.equal(weights(run.model)["visual.proj"], weights(start)["visual.proj"])


def test_a_stop_while_the_end_is_measured_costs_no_steps(
    recipe: Recipe,
    tiny_catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = make_recipe({**recipe.model_dump(), "wise_ft": True})
    never = train(asked, tmp_path / "never", catalog=tiny_catalog)
    run = Run(tmp_path / "run")

    def stopping(*_: object) -> dict[str, float]:
        signal.raise_signal(signal.SIGTERM)
        return {"mean_recall": 0.5}

    with monkeypatch.context() as patch:
        patch.setattr(wise_ft, "validate", stopping)
        with pytest.raises(Interrupted, match="is trained, but WiSE-FT was interrupted"):
            train(asked, run.folder, catalog=tiny_catalog)
    caplog.set_level(logging.INFO, "clipc")
    train(asked, run.folder, catalog=tiny_catalog)
    assert any("resumes after 10 of 10 steps" in sentence for sentence in caplog.messages)
    assert never.finished is not None
    assert run.finished is not None
    assert run.finished["best"] == never.finished["best"]
    assert weights(run.model).keys() == weights(never.model).keys()
    assert all(torch.equal(tensor, weights(never.model)[name]) for name, tensor in weights(run.model).items())


def test_adapters_are_gone_from_what_is_written(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    run = train(make_recipe({**recipe.model_dump(), "tune": {"lora": 2}}), tmp_path / "run", catalog=tiny_catalog)
    first, tuned = weights(Path(recipe.model)), weights(run.last_model)
    assert first.keys() == tuned.keys()
    moved = {name for name, tensor in first.items() if not torch.equal(tensor, tuned[name])}
    assert moved
    assert all("attn" in name or name == "logit_scale" for name in moved)
    assert ClipModel.load(run.model).parameter_count == sum(t.numel() for t in tuned.values())


def test_a_locked_tower_keeps_its_weights(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    run = train(
        make_recipe({**recipe.model_dump(), "tune": {"image": "locked"}}), tmp_path / "run", catalog=tiny_catalog
    )
    first, tuned = weights(Path(recipe.model)), weights(run.last_model)
    moved = {name for name, tensor in first.items() if not torch.equal(tensor, tuned[name])}
    assert moved
    assert not any(name.startswith("visual.") for name in moved)


def test_mixing_needs_validation(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="wise_ft chooses its weights on validation"):
        make_recipe({**recipe.model_dump(), "wise_ft": True, "validations": 0})
    asked = recipe.model_copy(update={"wise_ft": True})
    with pytest.raises(UserError, match="which these data do not have"):
        train(asked, tmp_path / "run", catalog=tiny_catalog.split("train"))
    assert Run(tmp_path / "run").finished is None


def test_a_moved_start_is_the_same_run_and_a_changed_one_another(recipe: Recipe, start: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    start.rename(moved)
    try:
        elsewhere = recipe.model_copy(update={"model": str(moved)})
        name = elsewhere.identity("data")
    finally:
        moved.rename(start)
    assert recipe.identity("data") == name
    ClipModel.create(str(start)).save(tmp_path / "other", {**weights(start), "logit_scale": torch.tensor(1.0)})
    assert recipe.model_copy(update={"model": str(tmp_path / "other")}).identity("data") != name


def test_what_cannot_change_the_result_is_no_part_of_the_name(recipe: Recipe) -> None:
    other = make_recipe({**recipe.model_dump(), "track": [], "num_workers": 3})
    assert other.identity("data") == recipe.identity("data")
    for change in ({"tune": {"image": "locked"}}, {"wise_ft": True}, {"renderer": "worker"}, {"grad_cache_chunks": 2}):
        assert make_recipe({**recipe.model_dump(), **change}).identity("data") != recipe.identity("data")
