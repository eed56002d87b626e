"""The second loss: each half of a composite against its own caption."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.models.image_tower import image_pooled_and_map, project_image
from clipc.models.model import ClipModel
from clipc.prepare.plans import make_plans
from clipc.recipe.recipe import Recipe, make_recipe
from clipc.render.batch import Batch
from clipc.render.crop import Augmentation
from clipc.render.worker import WorkerRenderer
from clipc.train.distributed import World, process_group
from clipc.train.learner import Learner
from clipc.train.loss import contrastive_loss, shared_sources
from models.starts import fresh
from train.test_distributed import together

B = 16


def recipe(model: str, **fields: Any) -> Recipe:
    policy = {"rho": 0.5, "group": None, **fields.pop("policy", {})}
    shared = {"samples": 400, "batch_size": B, "clip_norm": 1e9, "warmup": 0, "policy": policy}
    return make_recipe({"model": model, **shared, **fields})


def learner(asked: Recipe, world: World | None = None) -> Learner:
    model = ClipModel.create(asked.model, seed=3, sigmoid=asked.loss == "siglip")
    return Learner.create(asked, model, 40, torch.float32, world or World())


def renderer(catalog: Catalog, asked: Recipe, model: ClipModel) -> WorkerRenderer:
    plans = make_plans(asked.policy, catalog.split("train"), asked.seed)
    return WorkerRenderer(plans, Augmentation(), model.image_size, model.tokenizer)


def gradients(ours: Learner) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in ours.model.named_parameters() if p.grad is not None}


def reference(model: ClipModel, batch: Batch, made: WorkerRenderer, weight: float, mask: bool) -> torch.Tensor:
    """Main loss and second loss, one half after the other, from the plan."""
    plan, catalog = made.plans.rows(0, len(batch)), made.catalog
    image, text = model.encode_image(batch.images), model.encode_tokens(batch.tokens)
    same = shared_sources(batch.sources, batch.texts) if mask else None
    scale = model.logit_scale.exp()
    main = contrastive_loss(image, text, scale, same)
    pixels = ((batch.images.float() - model._mean) / model._std).permute(0, 3, 1, 2)  # pyright: ignore
    maps = image_pooled_and_map(model.clip, pixels)[1]
    images, captions, ids = [], [], []
    for i in range(len(plan)):
        if plan.right[i] < 0:
            continue
        second, choice = plan.second_caption
        across = plan.shapes[plan.layout[i]].name == "left-right"
        middle = maps.shape[3 if across else 2] // 2
        for side, (row, shown, j) in enumerate(
            ((plan.left[i], plan.left[i], plan.left_caption[i]), (second[i], plan.right[i], choice[i]))
        ):
            part = maps[i].transpose(1, 2) if across else maps[i]
            part = part[:, middle:] if side else part[:, :middle]
            pooled = project_image(model.clip, part.mean(dim=(1, 2))[None])[0]
            images.append(pooled / pooled.norm())
            captions.append(catalog.caption(int(row), int(j)))
            ids.append((int(catalog.image_ids[shown]), captions[-1]))
    texts = model.encode_text(captions)
    total = torch.zeros(())
    for a in range(len(images)):
        rivals = [
            b for b in range(len(images)) if a == b or not mask or (ids[a][0] != ids[b][0] and ids[a][1] != ids[b][1])
        ]
        for by_image in (True, False):
            scores = {b: scale * (images[a] @ texts[b] if by_image else texts[a] @ images[b]) for b in rivals}
            total = total + torch.stack(list(scores.values())).logsumexp(0) - scores[a]
    return main + weight * total / (2 * len(images))


@pytest.mark.parametrize("policy", [{}, {"caption": "wrong"}, {"layout": "squeezed-halves", "rho": 1}])
@pytest.mark.parametrize("mask", [True, False])
def test_a_step_has_the_gradients_of_a_slow_reference(
    tiny_catalog: Catalog, tiny_model: str, policy: dict[str, Any], mask: bool
) -> None:
    asked = recipe(tiny_model, policy={"halves": 0.7, **policy}, mask_false_negatives=mask)
    ours, model = learner(asked), ClipModel.create(tiny_model, seed=3)
    made = renderer(tiny_catalog, asked, model)
    batch = made.render(0, B)
    loss, expected = ours.learn(batch, 0), reference(model, batch, made, 0.7, mask)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert grads.keys() == gradients(ours).keys()
    for name, gradient in gradients(ours).items():
        torch.testing.assert_close(gradient, grads[name], atol=1e-5, rtol=1e-4)


@settings(max_examples=6, deadline=None)
@given(chunks=st.integers(2, B), start=st.integers(0, 60), loss=st.sampled_from(["clip", "siglip"]))
def test_parts_give_the_gradients_of_the_whole(
    chunks: int, start: int, loss: str, tiny_catalog: Catalog, tiny_model: str
) -> None:
    asked = recipe(tiny_model, policy={"halves": 1.0, "rho": 0.3}, loss=loss)
    whole, parts = learner(asked), learner(asked.model_copy(update={"grad_cache_chunks": chunks}))
    batch = renderer(tiny_catalog, asked, whole.model).render(start, start + B)
    assert whole.learn(batch, 0).item() == pytest.approx(parts.learn(batch, 0).item(), abs=1e-5)
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradient, gradients(parts)[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("chunks", [1, 3])
def test_weight_0_changes_no_bit(tiny_catalog: Catalog, tiny_model: str, chunks: int) -> None:
    asked = recipe(tiny_model, grad_cache_chunks=chunks)
    batch = renderer(tiny_catalog, asked, ClipModel.create(tiny_model)).render(0, B)
    assert batch.halves is None
    ours, model = learner(asked), ClipModel.create(tiny_model, seed=3)
    loss = ours.learn(batch, 0)
    image, text = model.encode_image(batch.images), model.encode_tokens(batch.tokens)
    expected = contrastive_loss(image, text, model.logit_scale.exp(), shared_sources(batch.sources, batch.texts))
    if chunks == 1:
        assert loss.item() == expected.item()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_a_batch_without_composites_has_the_main_loss_alone(tiny_catalog: Catalog, tiny_model: str) -> None:
    asked = recipe(tiny_model, policy={"rho": 1e-9, "halves": 1})
    ours, plain = learner(asked), learner(recipe(tiny_model))
    batch = renderer(tiny_catalog, asked, ours.model).render(0, B)
    assert batch.halves is not None
    assert len(batch.halves) == 0
    without = replace(batch, halves=None)
    assert ours.learn(batch, 0).item() == pytest.approx(plain.learn(without, 0).item(), abs=1e-6)


def steps(catalog: Catalog, recipes: list[Recipe]) -> list[dict[str, Any]]:
    """A few steps of each process's share; rho is so low that some shares hold no composite."""
    found: list[dict[str, Any]] = []
    with process_group("cpu") as world:
        for asked in recipes:
            ours = learner(asked, world)
            made, rows = renderer(catalog, asked, ours.model), B // world.size
            losses, counts, grads = [], [], {}
            for step in range(4):
                start = step * B + world.rank * rows
                batch = made.render(start, start + rows)
                assert batch.halves is not None
                losses.append(world.sum([float(ours.learn(batch, step))])[0] / world.size)
                counts.append(len(batch.halves))
                grads = grads or gradients(ours)
            found.append({"losses": losses, "gradients": grads, "counts": counts})
    return found


def test_two_processes_do_what_one_does(tiny_catalog: Catalog, tiny_model: str, tmp_path: Path) -> None:
    kinds = ({}, {"grad_cache_chunks": 2}, {"loss": "siglip", "mask_false_negatives": False})
    recipes = [recipe(tiny_model, policy={"rho": 0.08, "halves": 1.0}, seed=4, **kind) for kind in kinds]
    alone = [steps(tiny_catalog, [asked])[0] for asked in recipes]
    pair = together(2, tmp_path, steps, tiny_catalog, recipes)
    counts = list(zip(*(found[0]["counts"] for found in pair), strict=True))
    assert [a + b for a, b in counts] == alone[0]["counts"]
    assert any(a != b and 0 in (a, b) for a, b in counts), counts
    for rank in pair:
        for found, expected in zip(rank, alone, strict=True):
            assert found["losses"] == pytest.approx(expected["losses"], abs=1e-4)
            for name, gradient in found["gradients"].items():
                torch.testing.assert_close(gradient, expected["gradients"][name], atol=1e-5, rtol=1e-4)


def test_it_learns(tiny_catalog: Catalog, tiny_model: str) -> None:
    asked = recipe(tiny_model, policy={"rho": 1, "halves": 1}, learning_rate=5e-3)
    ours = learner(asked)
    batch = renderer(tiny_catalog, asked, ours.model).render(0, B)
    losses = [float(ours.learn(batch, step)) for step in range(25)]
    assert math.log(B) < losses[0]
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize("chunks", [1, 2])
def test_every_parameter_gets_a_gradient(tiny_catalog: Catalog, tiny_model: str, chunks: int) -> None:
    asked = recipe(tiny_model, policy={"halves": 1}, grad_cache_chunks=chunks)
    ours = learner(asked)
    ours.learn(renderer(tiny_catalog, asked, ours.model).render(0, B), 0)
    assert [name for name, p in ours.model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_a_tower_without_a_map_is_refused_before_training(tmp_path: Path) -> None:
    clip = fresh(tmp_path, "modified-resnet")
    model = ClipModel.create("nano")
    model.clip.visual = clip.visual  # pyright: ignore
    with pytest.raises(UserError, match=r"policy\.halves needs the feature map.*set policy\.halves=0"):
        Learner.create(recipe("nano", policy={"halves": 1}), model, 10, torch.float32, World())
    Learner.create(recipe("nano", policy={"halves": 1, "rho": 0}), model, 10, torch.float32, World())


@pytest.mark.parametrize("layout", ["cutmix", "blend", "first-image"])
def test_layouts_without_halves_are_refused(layout: str) -> None:
    with pytest.raises(ValueError, match=f"layout {layout} has no halves that stand apart"):
        Policy(halves=1, layout=layout)


def test_two_views_of_one_image_are_refused() -> None:
    with pytest.raises(ValueError, match="set halves to 0"):
        Policy(halves=1, partner="self", caption="first")
