"""Mined rules are what decisions have in common, counted on decisions that they were not found on."""

from collections.abc import Callable

import numpy as np
import pytest

from clipc.compose.plan import Plan
from clipc.prepare.scores.composites import Composites
from clipc.review.columns import rule_columns
from clipc.review.mining import MIN_DECISIONS, MinedRule, mine_rules
from clipc.review.queue import ReviewQueue


@pytest.fixture(scope="module")
def composites(queue: ReviewQueue) -> Composites:
    return Composites.of_plan(queue.plans, queue.plans.plan)


@pytest.fixture(scope="module")
def mine(queue: ReviewQueue, composites: Composites) -> Callable[[list[bool]], list[MinedRule]]:
    columns = rule_columns(queue.pairs)
    return lambda accepted: mine_rules(queue.plans, columns, composites[: len(accepted)], accepted)


def plan_of(queue: ReviewQueue) -> Plan:
    return queue.plans.plan


def test_two_labels_that_are_always_rejected_are_found(
    queue: ReviewQueue, mine: Callable[[list[bool]], list[MinedRule]], labels: Callable[[int], tuple[str, str]]
) -> None:
    accepted = [set(labels(row)) != {"dent", "stain"} for row in range(len(queue))]
    (rule,) = mine(accepted)
    assert rule.proposal.text in (
        "forbid: (a.label = 'dent' and b.label = 'stain') or (a.label = 'stain' and b.label = 'dent')",
        "forbid: (a.label = 'stain' and b.label = 'dent') or (a.label = 'dent' and b.label = 'stain')",
    )
    assert rule.rejected == rule.support > 10
    assert rule.precision.mean == 1
    assert 0.6 < rule.precision.low < 1


def test_different_cameras_and_distant_numbers_are_found(
    queue: ReviewQueue, mine: Callable[[list[bool]], list[MinedRule]]
) -> None:
    cameras, ovens, plan = queue.pairs.column("camera"), queue.pairs.column("oven"), plan_of(queue)
    pairs = list(zip(plan.left.tolist(), plan.right.tolist(), strict=True))
    texts = [rule.proposal.text for rule in mine([cameras[a] == cameras[b] for a, b in pairs])]
    assert texts == ["forbid: a.camera <> b.camera"]
    far = mine([abs(ovens[a] - ovens[b]) < 40 for a, b in pairs])
    assert any(rule.proposal.text.startswith("forbid: abs(a.oven - b.oven) > ") for rule in far)
    assert all(rule.precision.low > 0.5 for rule in far)


def test_few_or_one_sided_decisions_give_no_rule(mine: Callable[[list[bool]], list[MinedRule]]) -> None:
    assert mine([False] * (MIN_DECISIONS - 1)) == []
    assert mine([True] * 100) == []
    assert mine([False] * 100) == []


def test_chance_makes_few_rules(queue: ReviewQueue, mine: Callable[[list[bool]], list[MinedRule]]) -> None:
    generator = np.random.Generator(np.random.Philox(3))
    made = [bool(mine((generator.random(len(queue)) < 0.6).tolist())) for _ in range(40)]
    assert sum(made) <= 5  # 5% are expected at most; more than 5 of 40 have a chance of 1.4%


def test_intervals_cover_the_true_share(
    queue: ReviewQueue, mine: Callable[[list[bool]], list[MinedRule]], labels: Callable[[int], tuple[str, str]]
) -> None:
    """Experts reject dent with stain in 80 of 100 cases, and others in 5: the rule's share is known."""
    generator = np.random.Generator(np.random.Philox(4))
    pair = [set(labels(row)) == {"dent", "stain"} for row in range(len(queue))]
    inside = list[bool]()
    for _ in range(30):
        chance = generator.random(len(queue))
        rules = mine([bool(c > (0.8 if p else 0.05)) for c, p in zip(chance, pair, strict=True)])
        inside += [r.precision.low <= 0.8 <= r.precision.high for r in rules if "dent" in r.proposal.text][:1]
    assert len(inside) > 20
    assert np.mean(inside) >= 0.9
