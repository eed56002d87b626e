"""One step of learning: whole, in parts, recomputed."""

import json
import math
from pathlib import Path

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.recipe.recipe import Recipe, make_recipe
from clipc.render.batch import Batch
from clipc.train.distributed import World
from clipc.train.learner import MAX_LOG_SCALE, Learner
from clipc.train.loss import contrastive_loss, shared_sources, siglip_loss

B = 12


def batch(n: int = B, seed: int = 0, size: int = 16) -> Batch:
    chance = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(n, 32, dtype=torch.int64)
    for row, length in zip(tokens, torch.randint(3, 30, (n,), generator=chance).tolist(), strict=True):
        row[0], row[length - 1] = 49406, 49407
        row[1 : length - 1] = torch.randint(1, 1000, (length - 2,), generator=chance)
    return Batch(
        images=torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8, generator=chance),
        tokens=tokens,
        sources=torch.stack([torch.arange(n), torch.randint(-1, n, (n,), generator=chance)], dim=1),
        texts=torch.stack([torch.arange(n) // 2, torch.full((n,), -1)], dim=1),
        treated=0,
        shortened=0,
    )


def learner(model: str, **fields: object) -> Learner:
    recipe = make_recipe({"model": model, "samples": 400, "batch_size": B, "clip_norm": 1e9, "warmup": 0, **fields})
    return made(recipe)


def made(recipe: Recipe) -> Learner:
    model = ClipModel.create(recipe.model, seed=3, sigmoid=recipe.loss == "siglip")
    return Learner.create(recipe, model, 40, torch.float32, World())


def gradients(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in learner.model.named_parameters() if p.grad is not None}


def assert_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], atol: float = 1e-5) -> None:
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        assert torch.allclose(gradient, other[name], atol=atol, rtol=1e-4), name


@pytest.mark.parametrize("mask", [True, False])
def test_a_step_has_the_gradients_of_the_plain_loss(tiny_model: str, mask: bool) -> None:
    ours, shown = learner(tiny_model, mask_false_negatives=mask), batch()
    loss = ours.learn(shown, 0)
    model = ClipModel.create(tiny_model, seed=3)
    same = shared_sources(shown.sources, shown.texts) if mask else None
    image, text = model.encode_image(shown.images), model.encode_tokens(shown.tokens)
    expected = contrastive_loss(image, text, model.logit_scale.exp(), same)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert_close(gradients(ours), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, 1e-6)


@settings(max_examples=8, deadline=None)
@given(chunks=st.integers(2, B), seed=st.integers(0, 99))
def test_parts_give_the_gradients_of_the_whole(chunks: int, seed: int, tiny_model: str) -> None:
    whole, parts = learner(tiny_model), learner(tiny_model, grad_cache_chunks=chunks)
    shown = batch(seed=seed)
    assert whole.learn(shown, 0).item() == pytest.approx(parts.learn(shown, 0).item(), abs=1e-5)
    assert_close(gradients(whole), gradients(parts))


def test_parts_follow_the_whole_through_a_run(tiny_model: str) -> None:
    whole, parts = (learner(tiny_model, grad_cache_chunks=chunks, learning_rate=1e-3) for chunks in (1, 3))
    losses = [(whole.learn(batch(seed=step), step), parts.learn(batch(seed=step), step)) for step in range(15)]
    assert all(abs(float(a) - float(b)) < 1e-4 for a, b in losses)


def test_recomputed_activations_change_nothing(tiny_model: str) -> None:
    kept, again = learner(tiny_model), learner(tiny_model, grad_checkpointing=True)
    kept.learn(batch(), 0)
    again.learn(batch(), 0)
    assert again.model.clip.visual.transformer.grad_checkpointing
    assert_close(gradients(kept), gradients(again), 1e-7)


def test_batch_norm_is_refused_in_parts() -> None:
    with pytest.raises(UserError, match=r"batch norm.*grad_cache_chunks=2.*such as vit"):
        learner("nano", grad_cache_chunks=2)


def test_batch_norm_is_refused_where_activations_are_recomputed() -> None:
    with pytest.raises(UserError, match=r"batch norm.*grad_checkpointing=false.*such as vit"):
        learner("small", grad_checkpointing=True)


def test_every_parameter_that_learns_gets_a_gradient(tiny_model: str, tmp_path: Path) -> None:
    config = json.loads(Path(tiny_model).read_text("utf-8"))
    (tmp_path / "siglip.json").write_text(json.dumps({**config, "init_logit_bias": -10}), "utf-8")
    made = learner(str(tmp_path / "siglip.json"))
    made.learn(batch(), 0)
    assert [name for name, p in made.model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("chunks", [1, 3])
def test_siglip_learns_its_bias_and_is_loaded_by_open_clip(tiny_model: str, tmp_path: Path, chunks: int) -> None:
    ours, shown = learner(tiny_model, loss="siglip", grad_cache_chunks=chunks, learning_rate=1e-3), batch()
    model = ClipModel.create(tiny_model, seed=3)
    image, text = model.encode_image(shown.images), model.encode_tokens(shown.tokens)
    expected = siglip_loss(
        image, text, torch.tensor(10.0), torch.tensor(-10.0), shared_sources(shown.sources, shown.texts)
    )
    losses = [float(ours.learn(shown, step)) for step in range(20)]
    assert losses[0] == pytest.approx(expected.item(), abs=1e-4)
    assert losses[-1] < losses[0] - 0.1
    assert [name for name, p in ours.model.named_parameters() if p.requires_grad and p.grad is None] == []
    ours.model.save(tmp_path / "saved")
    loaded = open_clip.create_model(f"local-dir:{tmp_path / 'saved'}")
    assert loaded.logit_bias.item() == ours.model.clip.logit_bias.item() != -10
    # What was trained so goes on from its own bias; another model begins at the paper's.
    assert ClipModel.create(str(tmp_path / "saved"), sigmoid=True).clip.logit_bias.item() == loaded.logit_bias.item()
    model.save(tmp_path / "plain")
    begun = ClipModel.create(str(tmp_path / "plain"), sigmoid=True)
    assert begun.clip.logit_bias.item() == -10
    assert begun.logit_scale.exp().item() == pytest.approx(10)


def test_what_a_model_draws_comes_from_the_step(tiny_model: str, tmp_path: Path) -> None:
    config = json.loads(Path(tiny_model).read_text("utf-8"))
    config["vision_cfg"].update(patch_dropout=0.5, image_size=32)
    file = tmp_path / "dropout.json"
    file.write_text(json.dumps(config), "utf-8")
    shown = batch(size=32)
    one, two = learner(str(file), learning_rate=1e-9), learner(str(file), learning_rate=1e-9)
    torch.manual_seed(1)
    first = one.learn(shown, 5).item()
    torch.manual_seed(2)
    drawn = torch.get_rng_state()
    assert two.learn(shown, 5).item() == first
    assert torch.equal(torch.get_rng_state(), drawn)
    assert two.learn(shown, 6).item() != pytest.approx(first, abs=1e-6)


def test_the_rate_follows_the_schedule_and_each_groups_scale() -> None:
    ours = learner("vit", tune={"layer_decay": 0.5}, learning_rate=1e-3)
    ours.learn(batch(size=64), 20)
    rates = {group["lr_scale"]: group["lr"] for group in ours.optimizer.param_groups}
    assert len(rates) > 2
    assert all(rate == pytest.approx(0.5e-3 * scale) for scale, rate in rates.items())


def test_the_temperature_stays_in_bounds(tiny_model: str) -> None:
    ours = learner(tiny_model, learning_rate=1e-3)
    with torch.no_grad():
        ours.model.logit_scale.fill_(9)
    ours.learn(batch(), 0)
    assert ours.model.logit_scale.item() <= MAX_LOG_SCALE


def test_siglips_temperature_knows_no_bound(tiny_model: str) -> None:
    ours = learner(tiny_model, learning_rate=1e-9, loss="siglip")
    with torch.no_grad():
        ours.model.logit_scale.fill_(math.log(117))
    ours.learn(batch(), 0)
    assert ours.model.logit_scale.exp().item() == pytest.approx(117, rel=1e-4)


@pytest.mark.soak
def test_compiled_towers_give_the_same_losses(tiny_model: str) -> None:
    plain, compiled = learner(tiny_model), learner(tiny_model, compile=True)
    for step in range(4):
        shown = batch(seed=step)
        assert compiled.learn(shown, step).item() == pytest.approx(plain.learn(shown, step).item(), abs=1e-4)
    assert plain.model.clip.state_dict().keys() == compiled.model.clip.state_dict().keys()


def test_a_fixed_temperature_stays(tiny_model: str) -> None:
    free, fixed = learner(tiny_model), learner(tiny_model, temperature=0.05)
    for step in range(3):
        for one in (free, fixed):
            one.learn(batch(seed=step), step)
    assert float(fixed.model.logit_scale.detach().exp()) == pytest.approx(20)
    assert float(free.model.logit_scale.detach().exp()) != pytest.approx(1 / 0.07, abs=1e-6)
