"""Which weights a run leaves as its result: the last, averaged or best ones; and when it ends early."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.recipe.recipe import Recipe, make_recipe
from clipc.recipe.run import Run
from clipc.render.batch import Batch
from clipc.train import loop
from clipc.train.average import WeightAverage
from clipc.train.interrupt import Interrupted
from clipc.train.train import train


@pytest.fixture
def recipe(tiny_model: str, tiny_source: Path) -> Recipe:
    fields: dict[str, Any] = {"data": {"source": str(tiny_source)}, "model": tiny_model, "threads": 1}
    return make_recipe({**fields, "batch_size": 8, "samples": 160, "precision": "fp32", "validations": 4})


def changed(recipe: Recipe, **fields: Any) -> Recipe:
    return make_recipe({**recipe.model_dump(), **fields})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "open_clip_model.safetensors")


def equal(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


def scripted(monkeypatch: pytest.MonkeyPatch, *recalls: float) -> None:
    """Replaces validation by these values."""
    values = iter(recalls)
    monkeypatch.setattr(loop, "validate", lambda *_: {"mean_recall": next(values)})


def test_the_result_is_what_the_key_names(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: dict[str, Run] = {}
    for name in ("last", "ema", "best"):
        scripted(monkeypatch, 0.1, 0.9, 0.3, 0.2)
        runs[name] = train(changed(recipe, selection=name, ema_share=0.3), tmp_path / name, catalog=tiny_catalog)
    ends = {name: run.finished or {} for name, run in runs.items()}
    assert equal(runs["last"].model, runs["last"].last_model)
    assert all(equal(run.last_model, runs["last"].last_model) for run in runs.values())  # training itself is one
    assert not equal(runs["ema"].model, runs["ema"].last_model)
    assert not equal(runs["best"].model, runs["best"].last_model)
    assert not equal(runs["best"].model, runs["ema"].model)
    assert {name: end["best"] for name, end in ends.items()} == {
        "last": {"step": 20, "mean_recall": 0.2},
        "ema": {"step": 20, "mean_recall": 0.2},
        "best": {"step": 10, "mean_recall": 0.9},
    }


def test_the_averaged_model_is_the_average_of_the_steps(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    update = WeightAverage.update

    def noting(self: WeightAverage, module: torch.nn.Module) -> None:
        seen.append({name: tensor.clone() for name, tensor in module.state_dict().items()})
        update(self, module)

    monkeypatch.setattr(WeightAverage, "update", noting)
    run = train(changed(recipe, selection="ema", ema_share=0.2, validations=0), tmp_path, catalog=tiny_catalog)
    assert len(seen) == 20
    decay, found = 1 - 1 / 4, weights(run.model)
    for name in ("visual.proj", "text_projection", "logit_scale"):
        expected = seen[0][name]
        start = found[name] - sum((1 - decay) * decay ** (20 - i) * w[name] for i, w in enumerate(seen, start=1))
        assert start.abs().max() <= 1.01 * decay**20 * max(1.0, float(expected.abs().max())) + 1e-5


@pytest.mark.parametrize("stop_at", [3, 12, 20])
def test_a_stopped_average_ends_in_the_same_weights(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    averaged = changed(recipe, selection="ema", ema_share=0.5)
    never = train(averaged, tmp_path / "never", catalog=tiny_catalog)
    learn = loop.Learner.learn

    def stopping(self: loop.Learner, batch: Batch, step: int) -> torch.Tensor:
        if step + 1 == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return learn(self, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Learner, "learn", stopping)
        with pytest.raises(Interrupted):
            train(averaged, tmp_path / "stopped", catalog=tiny_catalog)
    resumed = train(averaged, tmp_path / "stopped", catalog=tiny_catalog)
    assert equal(never.model, resumed.model)
    assert equal(never.last_model, resumed.last_model)
    assert (never.finished or {})["best"] == (resumed.finished or {})["best"]


def test_adapters_and_locked_layers_are_averaged_with_what_trains(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    first = train(changed(recipe, validations=0, samples=8), tmp_path / "start", catalog=tiny_catalog)
    fields = {"model": str(first.last_model), "selection": "ema", "validations": 0, "learning_rate": 0.05}
    tuned = changed(recipe, **fields, tune={"lora": 2})
    run = train(tuned, tmp_path / "lora", catalog=tiny_catalog)
    start, averaged, last = weights(first.last_model), weights(run.model), weights(run.last_model)
    assert start.keys() == averaged.keys()
    moved = {name for name in start if not torch.equal(start[name], averaged[name])}
    assert moved
    assert all("attn" in name or name == "logit_scale" for name in moved)
    assert any(not torch.equal(averaged[name], last[name]) for name in moved)


def test_a_run_without_improvement_ends_when_its_patience_does(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = changed(recipe, selection="best", patience=2, validations=10, samples=320)
    scripted(monkeypatch, 0.1, 0.5, 0.4, 0.5)  # a fifth validation has no value
    run = train(patient, tmp_path, catalog=tiny_catalog)
    end = run.finished or {}
    assert (end["steps"], end["samples"], end["best"]) == (16, 128, {"step": 8, "mean_recall": 0.5})
    assert [r["step"] for r in run.metrics() if "validation" in r] == [4, 8, 12, 16]


def test_patience_survives_a_stop(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = changed(recipe, selection="best", patience=2, validations=10, samples=320)
    scripted(monkeypatch, 0.5, 0.4)
    finish = loop.Trainer._finish  # pyright: ignore[reportPrivateUsage]

    def stopping(self: loop.Trainer, stop: Any) -> None:
        self._save()  # pyright: ignore[reportPrivateUsage]
        raise Interrupted("stopped before the end")

    with monkeypatch.context() as patch:
        scripted(patch, 0.5, 0.4, 0.3)
        patch.setattr(loop.Trainer, "_finish", stopping)
        with pytest.raises(Interrupted):
            train(patient, tmp_path, catalog=tiny_catalog)
    assert finish is loop.Trainer._finish  # pyright: ignore[reportPrivateUsage]
    run = train(patient, tmp_path, catalog=tiny_catalog)  # no step and no validation is left
    assert (run.finished or {})["steps"] == 12


@pytest.mark.parametrize("fields", [{"patience": 2}, {"patience": 2, "selection": "best", "validations": 0}])
def test_patience_needs_validations_that_select(recipe: Recipe, fields: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="set selection to best, and validations to 1 or more"):
        changed(recipe, **fields)


def test_what_a_key_does_not_change_keeps_its_name(recipe: Recipe) -> None:
    """The names of runs from before the key was there belong to the choice that they made: the best step."""
    names = {choice: changed(recipe, selection=choice).identity("data") for choice in ("last", "ema", "best")}
    assert len(set(names.values())) == 3
    assert "selection" not in changed(recipe, selection="best").identity_keys()
    assert changed(recipe, ema_share=0.1).identity("data") == names["last"]
