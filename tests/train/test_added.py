"""Composites that are added to the loss: each pair of a batch is shown plain and composed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.compose.plan import Plan, Plans
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.prepare.plans import make_plans
from clipc.progress import silent
from clipc.recipe.run import Run
from clipc.render.batch import Batch
from clipc.render.crop import Augmentation
from clipc.render.pixels import Pixels
from clipc.render.resident import ResidentRenderer
from clipc.render.worker import WorkerRenderer
from clipc.train.distributed import World, process_group
from clipc.train.loss import contrastive_loss, shared_sources
from clipc.train.train import make_trainer
from render.test_resident import Words
from train.test_distributed import together
from train.test_halves import B, gradients, learner, recipe, renderer

ADDED = Policy(rho=0.5, added=True)
COLUMNS = ("left", "right", "left_caption", "right_caption", "layout", "swapped", "fallback")


def row(plan: Plan, i: int) -> list[int]:
    return [int(getattr(plan, name)[i]) for name in COLUMNS]


@pytest.mark.parametrize("pairing", ["dynamic", "fixed"])
def test_each_pair_is_shown_plain_and_then_composed(tiny_catalog: Catalog, pairing: Any) -> None:
    pairs = tiny_catalog.split("train")
    n = len(pairs)
    policies = [policy.model_copy(update={"pairing": pairing}) for policy in (ADDED, Policy(rho=0), Policy(rho=1))]
    added, plain, composed = (make_plans(policy, pairs, 2) for policy in policies)
    plan, even, odd = added.rows(0, 6 * n), plain.rows(0, 3 * n), composed.rows(0, 3 * n)
    for i in range(6 * n):
        assert row(plan, i) == row(odd if i % 2 else even, i // 2)
    assert plan.statistics()["share"] == 0.5


@given(
    start=st.integers(0, 300),
    count=st.integers(1, 100),
    piece=st.integers(1, 30),
    limit=st.sampled_from([None, 0, 40, 88]),
)
def test_any_pieces_are_the_whole(start: int, count: int, piece: int, limit: int | None, tiny_catalog: Catalog) -> None:
    plans = Plans(tiny_catalog.split("train"), ADDED, 1, treated_rows=limit)
    whole = plans.rows(start, start + count)
    parts = [plans.rows(i, min(start + count, i + piece)) for i in range(start, start + count, piece)]
    assert whole.table().equals(Plan.concatenate(parts).table())


@pytest.mark.parametrize("resident", [False, True])
def test_views_are_those_of_both_arms(tiny_catalog: Catalog, resident: bool) -> None:
    pairs, view = tiny_catalog.split("train"), Augmentation(flip=0.5)

    def shown(policy: Policy, start: int, stop: int) -> Batch:
        plans = make_plans(policy, pairs, 2)
        if not resident:
            return WorkerRenderer(plans, view, 16, Words()).render(start, stop)
        pixels = Pixels.decode(plans, view, 16, torch.device("cpu"), silent)
        return ResidentRenderer(plans, view, 16, Words(), pixels).render(start, stop)

    both = shown(ADDED, 20, 96)
    assert both.groups == 2
    for group, policy in enumerate((Policy(rho=0), Policy(rho=1))):
        arm = shown(policy, 10, 48)
        assert arm.groups == 1
        for name in ("images", "tokens", "sources", "texts"):
            assert torch.equal(getattr(both, name)[group::2], getattr(arm, name))


def test_after_a_share_of_the_run_batches_hold_plain_pairs_alone(tiny_catalog: Catalog) -> None:
    asked = recipe("nano", policy={"rho": 0.5, "added": True, "until": 0.6}, samples=10 * B, num_workers=0)
    trainer = make_trainer(asked, Run(Path("unused")), tiny_catalog)
    plans = trainer.renderer.plans
    left = [plans.rows(step * B, (step + 1) * B) for step in range(10)]
    assert [trainer.renderer.render(step * B, (step + 1) * B).groups for step in range(10)] == [2] * 6 + [1] * 4
    order = make_plans(Policy(rho=0), tiny_catalog.split("train"), asked.seed).rows(0, 10 * B).left
    met = [plan.left[::2] if step < 6 else plan.left for step, plan in enumerate(left)]
    assert [int(i) for part in met for i in part] == order[: sum(map(len, met))].tolist()
    assert all((plan.right < 0).all() for plan in left[6:])


@pytest.mark.parametrize("chunks", [1, 3])
def test_the_loss_is_the_sum_of_both(tiny_catalog: Catalog, tiny_model: str, chunks: int) -> None:
    asked = recipe(tiny_model, policy={"rho": 0.5, "added": True}, grad_cache_chunks=chunks)
    ours, other = learner(asked), learner(asked)
    batch = renderer(tiny_catalog, asked, ours.model).render(0, B)
    loss, model = ours.learn(batch, 0), other.model
    image, text = model.encode_image(batch.images), model.encode_tokens(batch.tokens)
    expected = torch.zeros(())
    for group in (slice(0, B, 2), slice(1, B, 2)):
        same = shared_sources(batch.sources[group], batch.texts[group])
        expected = expected + contrastive_loss(image[group], text[group], model.logit_scale.exp(), same)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    for name, gradient in gradients(ours).items():
        torch.testing.assert_close(gradient, gradients(other)[name], atol=1e-5, rtol=1e-4)


def steps(catalog: Catalog, model: str) -> list[float]:
    with process_group("cpu") as world:
        asked = recipe(model, policy={"rho": 0.5, "added": True, "halves": 1.0}, grad_cache_chunks=2)
        ours = learner(asked, world)
        made, rows = renderer(catalog, asked, ours.model), B // world.size
        starts = [step * B + world.rank * rows for step in range(3)]
        losses = [float(ours.learn(made.render(start, start + rows), step)) for step, start in enumerate(starts)]
        return [value / world.size for value in world.sum(losses)]


def test_two_processes_do_what_one_does(tiny_catalog: Catalog, tiny_model: str, tmp_path: Path) -> None:
    expected = steps(tiny_catalog, tiny_model)
    for losses in together(2, tmp_path, steps, tiny_catalog, tiny_model):
        assert losses == pytest.approx(expected, abs=1e-4)


def test_processes_need_whole_pairs(tiny_catalog: Catalog) -> None:
    asked = recipe("nano", policy={"rho": 0.5, "added": True}, batch_size=10)
    with pytest.raises(UserError, match=r"an odd number for each of 2 processes; set batch_size=12"):
        make_trainer(asked, Run(Path("unused")), tiny_catalog, World(0, 2))


@pytest.mark.parametrize("policy", [{"rho": 0.3}, {"rho": 0.5, "mixing": "batches"}])
def test_other_policies_are_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"added .*: set (rho to 0.5|mixing to rows)"):
        Policy(added=True, **policy)
    assert not Policy(added=True, rho=0).adds
