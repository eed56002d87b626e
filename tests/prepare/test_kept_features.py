"""Kept features are what the trunks give, are computed once for each content, and evaluate a model as pixels do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.evaluate.embed import CatalogEncoder, embed, embed_images
from clipc.models.model import ClipModel
from clipc.models.tuning import Tuning, apply_tuning
from clipc.prepare.feature_renderer import check_features, keep_captions, make_feature_run
from clipc.prepare.kept_encoder import KeptEncoder
from clipc.prepare.kept_features import KeptFeatures
from clipc.prepare.plans import make_plans
from clipc.recipe.recipe import Recipe, make_recipe
from clipc.render.crop import Augmentation
from clipc.render.kept_views import KeptViews

CROPS = Augmentation(crop_scale=(0.5, 1), flip=0.5)


@pytest.fixture
def model(cnn_folder: str) -> ClipModel:
    made = ClipModel.load(cnn_folder)
    apply_tuning(made.clip, Tuning(image=1, text=1))
    return made


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images in each call of the trunk."""
    counts, encode = list[int](), ClipModel.pooled_images

    def count(self: ClipModel, images: torch.Tensor) -> torch.Tensor:
        counts.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(ClipModel, "pooled_images", count)
    return counts


def recipe(cnn_folder: str, cache: Path, **keys: Any) -> Recipe:
    base = {"model": cnn_folder, "renderer": "features", "samples": 64, "batch_size": 8, "device": "cpu"}
    return make_recipe({**base, "tune": {"image": 1, "text": 1}, "data": {"cache": str(cache)}, **keys})


def test_features_are_the_pooled_output_of_the_trunk(model: ClipModel, tiny_catalog: Catalog, tmp_path: Path) -> None:
    pairs = tiny_catalog.take(range(6))
    images = KeptFeatures(model, tmp_path).training_images(pairs, CROPS, 2, halves=True)
    views = KeptViews.of(pairs, CROPS, 2)
    assert images.halves is not None
    assert images.halves_row is not None
    for row in range(6):
        image = pairs.image(row)
        with torch.no_grad():
            whole = model.pooled_images(torch.from_numpy(np.stack(views.render(image, row, 128)))).numpy()
            halves = [
                model.pooled_images(torch.from_numpy(np.stack(tiles))).numpy()
                for tiles in views.render_halves(image, row, 128)
            ]
        assert np.allclose(images.views[images.views_row[row]], whole, atol=2e-3)
        assert np.allclose(images.halves[images.halves_row[row]], np.stack(halves, axis=1), atol=2e-3)


def test_subsets_and_other_seeds_compute_nothing_again(
    model: ClipModel, tiny_catalog: Catalog, tmp_path: Path, encodings: list[int]
) -> None:
    KeptFeatures(model, tmp_path).training_images(tiny_catalog, CROPS, 2, halves=False)
    first = sum(encodings)
    assert first >= 60 * 3
    part = tiny_catalog.take([40, 3, 17])
    again = KeptFeatures(model, tmp_path).training_images(part, CROPS, 2, halves=False)
    assert sum(encodings) - first <= 2  # a blank image that shows the width
    whole = KeptFeatures(model, tmp_path).training_images(tiny_catalog, CROPS, 2, halves=False)
    assert np.array_equal(again.views[again.views_row], whole.views[whole.views_row[[40, 3, 17]]])
    before = sum(encodings)
    KeptFeatures(model, tmp_path).training_images(part, Augmentation(crop_scale=(0.4, 1)), 2, halves=False)
    assert sum(encodings) - before >= 6  # other views
    with torch.no_grad():
        next(model.clip.get_submodule("visual.trunk").parameters()).add_(1e-3)
    before = sum(encodings)
    KeptFeatures(model, tmp_path).whole_images(part)
    assert sum(encodings) - before >= 3  # other weights


def test_projections_do_not_count(
    model: ClipModel, tiny_catalog: Catalog, tmp_path: Path, encodings: list[int]
) -> None:
    pairs = tiny_catalog.take(range(4))
    KeptFeatures(model, tmp_path).keep(pairs, captions=True)
    with torch.no_grad():
        for name, parameter in model.clip.named_parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
                assert "visual.head" in name or name in ("text_projection", "logit_scale")
    before = sum(encodings)
    KeptFeatures(model, tmp_path).keep(pairs, captions=True)
    assert sum(encodings) - before <= 1


def test_evaluation_on_kept_features_equals_that_on_pixels(
    model: ClipModel, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    encoder = KeptEncoder(model.eval(), KeptFeatures(model, tmp_path), captions=True)
    assert isinstance(encoder, CatalogEncoder)
    assert not isinstance(model, CatalogEncoder)
    part = tiny_catalog.split("val")
    kept, direct = embed(encoder, part), embed(model, part)
    assert torch.allclose(kept.image, direct.image, atol=2e-3)
    assert torch.allclose(kept.text, direct.text, atol=2e-3)
    assert torch.equal(kept.image, embed_images(encoder, part))
    tokens = KeptEncoder(model, KeptFeatures(model, tmp_path), captions=False)
    assert torch.equal(embed(tokens, part).text, direct.text)


def test_new_projections_take_standardised_inputs(
    cnn_folder: str, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipc.prepare.feature_renderer._has_projections", lambda recipe: False)
    made = recipe(cnn_folder, tmp_path)
    model = ClipModel.load(cnn_folder)
    apply_tuning(model.clip, made.tune)
    plans = make_plans(made.policy, tiny_catalog.split("train"), 0)
    run = make_feature_run(made, model, plans, tiny_catalog)
    seen: list[torch.Tensor] = []
    model.clip.get_submodule("visual.head.mlp.fc1").register_forward_hook(lambda m, inputs, out: seen.append(inputs[0]))
    model.encode_image(run.renderer.render(0, 400).images)
    alive = seen[0].std(0) > 0.1  # a few channels of a random network are constant
    assert alive.float().mean() > 0.5
    assert float(seen[0][:, alive].mean().abs()) < 0.1
    assert float(seen[0][:, alive].std(0).mean()) == pytest.approx(1, abs=0.2)


def test_agreement_is_told_once_and_kept(
    cnn_folder: str, tiny_catalog: Catalog, tmp_path: Path, encodings: list[int]
) -> None:
    made = recipe(cnn_folder, tmp_path, policy={"rho": 0.5})
    facts, counts = list[dict[str, Any]](), list[int]()
    for _ in range(2):
        model = ClipModel.load(cnn_folder)
        apply_tuning(model.clip, made.tune)
        plans = make_plans(made.policy, tiny_catalog.split("train"), 0)
        facts.append(make_feature_run(made, model, plans, tiny_catalog).facts)
        counts.append(sum(encodings))
    assert facts[0] == facts[1]
    assert facts[0].keys() == {"views", "captions", "images", "texts"}
    assert all(-1 <= facts[0][name] <= 1 for name in ("images", "texts"))
    assert counts[1] - counts[0] <= 3  # blank and grey images


def test_a_trained_trunk_or_a_small_map_is_refused_in_one_sentence(
    cnn_folder: str, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    model = ClipModel.load(cnn_folder)
    for tune in ({"image": 2, "text": 1}, {}):
        made = recipe(cnn_folder, tmp_path, tune=tune)
        free = ClipModel.load(cnn_folder)
        apply_tuning(free.clip, made.tune)
        with pytest.raises(UserError, match=r"set tune.image=1 \(or locked\)"):
            check_features(made, free)
    apply_tuning(model.clip, Tuning(image=1, text="all"))
    assert not keep_captions(model)
    small = ClipModel.create(f"local-dir:{cnn_folder}", image_size=96)
    apply_tuning(small.clip, Tuning(image=1))
    made = recipe(cnn_folder, tmp_path, image_size=96, policy={"rho": 0.5}, tune={"image": 1})
    plans = make_plans(made.policy, tiny_catalog.split("train"), 0)
    with pytest.raises(UserError, match=r"3 x 3 cells, .* set image_size=128 or more"):
        make_feature_run(made, small, plans, tiny_catalog)
    plain = make_plans(Policy(rho=0), tiny_catalog.split("train"), 0)
    assert make_feature_run(made, small, plain, tiny_catalog).renderer.captions is None
