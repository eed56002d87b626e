"""Candidate composites are drawn as the plan draws partners, and the plan draws from those that scores keep."""

from typing import Any

import numpy as np
import pytest

from clipc.compose.composites import FALLBACKS
from clipc.compose.inputs import Inputs
from clipc.compose.plan import plan_epoch
from clipc.compose.policy import Policy
from clipc.compose.score import CANDIDATES, Score, candidate_weights
from clipc.prepare.plans import make_plans
from clipc.prepare.scores.candidates import CandidateComposites, draw_candidates
from compose.pairs import catalog_of

RULES = {
    "pairs": [{"require": "a.view = b.view", "unknown": "allow"}],
    "images": [{"when": "view = 'AP'", "axis": "vertical"}],
}


def some_pairs(n: int = 60) -> Any:
    rng = np.random.default_rng(0)
    return catalog_of([2] * n, view=[["PA", "AP"][v] for v in rng.integers(0, 2, n)])


def candidates_of(policy: Policy, pairs: Any, seed: int = 3) -> CandidateComposites:
    return draw_candidates(policy, pairs, make_plans(policy, pairs, seed).inputs, seed)


CHANGES = [{}, {"rules": RULES}, {"group": "view"}, {"partner": "diverse"}, {"partner": "nearest", "neighbours": 5}]


@pytest.mark.parametrize("changes", CHANGES)
def test_candidates_are_distinct_allowed_partners(changes: dict[str, Any]) -> None:
    pairs, policy = some_pairs(), Policy.model_validate({"rho": 0.5, **changes})
    drawn = candidates_of(policy, pairs)
    right, plan = drawn.right, drawn.plan
    views = np.array(pairs.column("view"))
    for row, partners in enumerate(right):
        own = partners[partners >= 0]
        assert len(own) == len(set(own.tolist()))
        assert row not in own
    assert (right >= 0).sum(axis=1).max() == (5 if "neighbours" in changes else CANDIDATES)
    if "rules" in changes or "group" in changes:
        assert (views[plan.left] == views[plan.right]).all()
    if "rules" in changes:
        assert len(np.unique(plan.layout[views[plan.left] == "AP"])) == 1
    again = candidates_of(policy, pairs)
    assert plan.table().equals(again.plan.table())
    assert not plan.table().equals(candidates_of(policy, pairs, seed=4).plan.table())


def test_small_pools_give_all_their_members() -> None:
    pairs = catalog_of([1] * 7, view=["a"] * 4 + ["b"] * 3)
    right = candidates_of(Policy(rho=1, group="view"), pairs).right
    assert [sorted(row[row >= 0].tolist()) for row in right] == [
        *([1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]),
        *([5, 6], [4, 6], [4, 5]),
    ]


def test_the_plan_draws_kept_candidates_in_their_layout_and_by_weight() -> None:
    pairs, policy = some_pairs(40), Policy(rho=1.0, rules=RULES)  # pyright: ignore
    plans = make_plans(policy, pairs, 3)
    drawn = draw_candidates(policy, pairs, plans.inputs, 3)
    rng = np.random.default_rng(1)
    weights = np.where(rng.random(drawn.right.shape) < 0.3, 0.0, rng.random(drawn.right.shape))
    weights[(drawn.right < 0) | (np.arange(40) == 5)[:, None]] = 0
    tables = {"candidates": drawn.right, "candidate_layouts": drawn.layouts, "candidate_weights": weights}
    inputs = Inputs.of(pairs, tables, plans.inputs.compiled_rules)
    uses = np.zeros((40, 40))
    for epoch in range(400):
        plan = plan_epoch(pairs, policy, 3, epoch, inputs)
        composed = np.flatnonzero(plan.right >= 0)
        assert set(plan.left[plan.right < 0].tolist()) == {5}
        assert [FALLBACKS[code] for code in plan.fallback[plan.left == 5]] == ["score"]
        left, right = plan.left[composed], plan.right[composed]
        place = (drawn.right[left] == right[:, None]).argmax(axis=1)
        assert (drawn.right[left, place] == right).all()
        assert (weights[left, place] > 0).all()
        assert (plan.layout[composed] == drawn.layouts[left, place]).all()
        uses[left, right] += 1
    share = np.take_along_axis(uses, np.maximum(drawn.right, 0), axis=1) / 400
    expected = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    assert np.abs(share - expected)[np.arange(40) != 5].max() < 0.12


def test_weights_follow_ranks_and_keep_the_best() -> None:
    rng = np.random.default_rng(0)
    right = rng.integers(-1, 9, (30, CANDIDATES)).astype(np.int32)
    scores = rng.random(right.shape).astype(np.float32)
    valid = right >= 0
    kept = candidate_weights(scores, right, Score(by="checks", keep=0.25))
    assert set(np.unique(kept)) == {0.0, 1.0}
    assert kept.sum() == round(0.25 * valid.sum())
    assert scores[kept > 0].min() > scores[valid & (kept == 0)].max()
    above = candidate_weights(scores, right, Score(by="checks", threshold=0.6))
    assert ((above > 0) == (valid & (scores >= 0.6))).all()
    ranked = candidate_weights(scores, right, Score(by="checks", weight=2))
    same = candidate_weights(scores**3, right, Score(by="checks", weight=2))
    np.testing.assert_allclose(ranked, same)
    assert (np.diff(ranked[valid][np.argsort(scores[valid])]) > 0).all()
    ties = candidate_weights(np.ones_like(scores), right, Score(by="checks", keep=0.5))
    assert (ties[valid] == 1).all()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"keep": 0.5}, "set by to a model"),
        ({"by": "checks"}, "set keep, threshold or weight"),
        ({"by": "checks", "keep": 0.5, "threshold": 0.5}, "leave one of them out"),
    ],
)
def test_a_score_must_be_used(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Score.model_validate(keys)
