"""A run whose plan follows scores: by the arm's own baseline, by a model, and without weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.prepare.plans import make_plans
from clipc.recipe.recipe import Recipe, make_recipe
from clipc.recipe.run import Run
from clipc.train.baseline_scorer import BaselineScorer
from clipc.train.train import make_trainer, train


def recipe_of(model: str, cache: Path, **score: Any) -> Recipe:
    features = {"renderer": "features", "tune": {"image": 1, "text": 1}, "kept_views": 2, "head_dropout": 0.3}
    return make_recipe(
        {
            "model": model,
            "data": {"cache": str(cache)},
            "policy": {"rho": 0.6, "score": score},
            "batch_size": 8,
            "samples": 80,
            "validations": 0,
            "threads": 1,
            "precision": "fp32",
            "device": "cpu",
            "track": [],
            **(features if not model.endswith(".json") else {"augmentation": {"crop_scale": [0.9, 1.0]}}),
        }
    )


def test_the_baseline_scores_and_its_time_is_counted(cnn_folder: str, tiny_catalog: Catalog, tmp_path: Path) -> None:
    recipe = recipe_of(cnn_folder, tmp_path / "cache", by="baseline", keep=0.5)
    run = train(recipe, tmp_path / "run", catalog=tiny_catalog)
    finished, statistics = run.finished, run.read_json("plan-statistics.json")
    assert finished is not None
    assert statistics is not None
    assert finished["scores_core_seconds"] > 0
    assert set(statistics["inputs"]) == {"candidates", "candidate_layouts", "candidate_weights"}
    assert not (run.folder / "reference").exists()
    again = train(recipe, tmp_path / "again", catalog=tiny_catalog).finished
    assert again is not None
    # Found in the cache, scores count the time that they once took.
    assert again["scores_core_seconds"] == finished["scores_core_seconds"]
    # Without the cache the same scores are computed again.
    fresh = recipe.model_copy(update={"data": recipe.data.model_copy(update={"cache": tmp_path / "other"})})
    other = make_trainer(fresh, Run(tmp_path / "fresh"), tiny_catalog, renderer="features")
    assert other.renderer.plans.inputs.fingerprints == statistics["inputs"]


def test_no_judge_has_seen_what_it_judges(cnn_folder: str, tiny_catalog: Catalog, tmp_path: Path) -> None:
    recipe = recipe_of(cnn_folder, tmp_path / "cache", by="baseline", keep=0.5)
    scorer = BaselineScorer(recipe, tiny_catalog, tmp_path / "reference", "features")
    train_keys, judge = tiny_catalog.split("train").keys, scorer.judge
    seen: set[str] = set()
    for number, (plain, part) in enumerate(scorer.runs()):
        assert plain.policy.rho == 0
        own = {key for key, fold in zip(train_keys, judge.tolist(), strict=True) if fold == number}
        assert own
        assert own.isdisjoint(part.keys)
        assert set(part.keys) <= set(train_keys)
        seen |= set(part.keys)
    assert seen == set(train_keys)


def test_a_model_and_checks_score_pixels(
    tiny_model: str, cnn_folder: str, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    weights = []
    for by in (cnn_folder, "checks", "random"):
        recipe = recipe_of(tiny_model, tmp_path / "cache", by=by, weight=1.0)
        trainer = make_trainer(recipe, Run(tmp_path / by[:3]), tiny_catalog)
        weights.append(trainer.renderer.plans.inputs.tables["candidate_weights"])
        if by != "checks":
            assert len(np.unique(weights[-1])) > 20
    assert all((one > 0).sum() == (weights[0] > 0).sum() for one in weights)


def test_a_plan_alone_cannot_train_its_baseline(tiny_model: str, tiny_catalog: Catalog, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_model, tmp_path, by="baseline", keep=0.5)
    with pytest.raises(UserError, match="only clipc train and studies do"):
        make_plans(recipe.policy, tiny_catalog.split("train"), 0, cache=tmp_path)
