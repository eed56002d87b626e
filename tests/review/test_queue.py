"""The queue is a deterministic table of the plan's composites, made without a pixel."""

from pathlib import Path

import numpy as np
import pytest

from clipc.catalog.catalog import Catalog
from clipc.compose.rules.schema import NeverRule, PairRule, Rules
from clipc.errors import UserError
from clipc.prepare.plans import make_plans
from clipc.recipe.recipe import Recipe, read_recipe
from clipc.review.queue import ReviewQueue, removed, review_queue


def test_composites_are_those_of_the_plan_in_its_order(
    queue: ReviewQueue, factory_catalog: Catalog, any_partner: Recipe
) -> None:
    plan = make_plans(any_partner.policy, factory_catalog.split("train"), any_partner.seed).rows(0, 90)
    composed = plan[np.flatnonzero(plan.right >= 0)]
    shown = queue.plans.plan[: len(composed)]
    assert len(composed) > 10
    for column in ("left", "right", "layout", "left_caption", "right_caption", "wording", "swapped"):
        assert (getattr(shown, column) == getattr(composed, column)).all()


def test_the_queue_is_distinct_and_grows_at_its_end(
    queue: ReviewQueue, factory_catalog: Catalog, any_partner: Recipe
) -> None:
    assert len(set(queue.names)) == len(queue) == 300
    assert review_queue(any_partner, factory_catalog, 50).names == queue.names[:50]
    assert [queue.rows[name] for name in queue.names[:5]] == [0, 1, 2, 3, 4]


def test_no_image_is_read(factory_catalog: Catalog, any_partner: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Catalog, "encoded", None)
    assert len(review_queue(any_partner, factory_catalog, 2000)) == 2000


def test_few_possible_composites_end_the_queue(factory_catalog: Catalog, any_partner: Recipe) -> None:
    small = factory_catalog.take(np.arange(3))
    possible = len(review_queue(any_partner, small, 1000))
    assert possible == 3 * 2 * 2  # ordered pairs, in two layouts


def test_a_score_puts_doubtful_composites_first(factory_catalog: Catalog, any_partner: Recipe) -> None:
    queue = review_queue(any_partner, factory_catalog, 200, score="checks")
    assert queue.scores is not None
    doubt = np.abs(queue.scores - 0.5)
    first = queue.plans.plan.left[:90]
    assert len(np.unique(first)) == 90  # one of each pair before any second one
    assert (np.diff(doubt[:90]) >= 0).all()
    assert review_queue(any_partner, factory_catalog, 200, score="checks").names == queue.names


def test_rules_of_the_recipe_hold_in_the_queue(factory_catalog: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("pairs:\n  - require: a.camera = b.camera\n", "utf-8")
    recipe = read_recipe("small", (f'policy.rules="{file}"',))
    queue = review_queue(recipe, factory_catalog, 100)
    cameras = queue.pairs.column("camera")
    assert all(cameras[a] == cameras[b] for a, b in zip(queue.plans.plan.left, queue.plans.plan.right, strict=True))


def test_removed_composites_are_those_that_the_rules_name(queue: ReviewQueue) -> None:
    rules = Rules(
        pairs=(PairRule(forbid="a.label = 'dent' and b.label = 'stain'"),), never=(NeverRule(when="camera = 'line 1'"),)
    )
    two, never = removed(rules, queue.plans, queue.candidates)
    labels, cameras = queue.pairs.column("label"), queue.pairs.column("camera")
    pairs = list(zip(queue.plans.plan.left.tolist(), queue.plans.plan.right.tolist(), strict=True))
    assert two.tolist() == [{labels[a], labels[b]} == {"dent", "stain"} for a, b in pairs]
    assert never.tolist() == ["line 1" in (cameras[a], cameras[b]) for a, b in pairs]


def test_what_cannot_be_queued_is_one_sentence(factory_catalog: Catalog, any_partner: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="baseline cannot order composites"):
        review_queue(any_partner, factory_catalog, 10, score="baseline")
    file = tmp_path / "rules.yaml"
    file.write_text("never:\n  - when: label is not null\n", "utf-8")
    with pytest.raises(UserError, match="no composite of the 90 training pairs can be made"):
        review_queue(read_recipe("small", (f'policy.rules="{file}"',)), factory_catalog, 10)
