"""Partners whose caption equals the first pair's: drawn only where no other is allowed; nothing else changes."""

from hashlib import blake2b
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from clipc.catalog.catalog import Catalog
from clipc.compose.plan import Plan, plan_epoch
from clipc.compose.policy import Policy
from clipc.prepare.plans import make_plans

from .pairs import catalog_of

CLASSES = ("shirt", "shoe", "bag", "coat")


def of_classes(pairs: int, **more: Any) -> Catalog:
    """Pairs whose captions were made from four class names."""
    names = [CLASSES[i % 4] for i in range(pairs)]
    return catalog_of([[f"a photo of a {name}"] for name in names], kind=names, **more)


def captions(catalog: Catalog, plan: Plan) -> list[tuple[str, str]]:
    """The captions of the composites of a plan."""
    rows = np.flatnonzero(plan.right >= 0)
    columns = (plan.left, plan.left_caption, plan.right, plan.right_caption)
    shown = zip(*(column[rows].tolist() for column in columns), strict=True)
    return [(catalog.caption(a, b), catalog.caption(c, d)) for a, b, c, d in shown]


POLICIES: dict[str, dict[str, Any]] = {
    "random": {},
    "group": {"group": "view"},
    "diverse": {"partner": "diverse"},
    "nearest": {"partner": "nearest", "neighbours": 5},
    "weights": {"weights": "column:liking", "caption": "wrong"},
    "rules": {"rules": {"pairs": [{"forbid": "word(a.caption, 'c1') and word(b.caption, 'c2')"}]}},
    "rules of a group": {"pairing": "fixed", "rules": {"pairs": [{"require": "a.view = b.view"}]}},
}
BEFORE = {
    "random": "232e04d6cf4ef4ca",
    "group": "0363e4f3dbd48296",
    "diverse": "5baf28df353d379d",
    "nearest": "529817a5d7f2598d",
    "weights": "0fafe78272b0cfde",
    "rules": "9daa783930c82266",
    "rules of a group": "b01582c7928efce9",
}
"""Digests of the plans that were made before equal captions mattered."""


def digest(name: str) -> str:
    """The digest of two epochs of a policy's plans, on pairs of one to three captions without any equal two."""
    random = np.random.Generator(np.random.Philox(0))
    texts = [[f"pair {i} c{j} {'abc'[i % 3]}" for j in range(1 + i % 3)] for i in range(300)]
    views, liking = random.choice(["PA", "AP"], 300).tolist(), random.choice([0.0, 0.5, 3.0], 300)
    catalog = catalog_of(texts, view=views, liking=liking)
    plan = make_plans(Policy.model_validate({"rho": 0.6, **POLICIES[name]}), catalog, 3).rows(0, 600)
    columns = (plan.left, plan.right, plan.left_caption, plan.right_caption, plan.third, plan.layout, plan.fallback)
    return blake2b(b"".join(column.tobytes() for column in columns), digest_size=8).hexdigest()


@pytest.mark.parametrize("name", POLICIES)
def test_without_equal_captions_plans_are_what_they_were(name: str) -> None:
    assert digest(name) == BEFORE[name]


@pytest.mark.parametrize("policy", [{}, {"partner": "diverse"}, {"weights": "column:liking"}, {"pairing": "fixed"}])
def test_a_partner_has_another_caption(policy: dict[str, Any]) -> None:
    catalog = of_classes(200, liking=[0.5 + i % 3 for i in range(200)])
    plan = make_plans(Policy(rho=1, **policy), catalog, 0).rows(0, 400)
    assert (plan.right >= 0).all()
    assert all(first != second for first, second in captions(catalog, plan))


def test_where_all_captions_are_equal_plans_are_as_if_none_were() -> None:
    same, distinct = catalog_of([["x"]] * 60), catalog_of([1] * 60)
    for epoch in range(3):
        plan, expected = (plan_epoch(catalog, Policy(rho=0.7), 4, epoch) for catalog in (same, distinct))
        assert plan.table().equals(expected.table())
        assert (plan.right >= 0).sum() > 30


def test_a_group_of_one_caption_keeps_its_pairs_together() -> None:
    """The user's own column is obeyed: a class of one caption is composed with itself, the others are not."""
    catalog = of_classes(80)
    plan = make_plans(Policy(rho=1, group="kind"), catalog, 0).rows(0, 80)
    assert (plan.right >= 0).all()
    assert all(first == second for first, second in captions(catalog, plan))


def test_partners_are_uniform_among_those_with_another_caption() -> None:
    catalog, seen = of_classes(12), np.zeros((12, 12))
    for epoch in range(900):
        plan = plan_epoch(catalog, Policy(rho=1), 0, epoch)
        seen[plan.left, plan.right] += 1
    other = (np.arange(12)[:, None] - np.arange(12)) % 4 != 0
    assert (seen[~other] == 0).all()
    assert chisquare(seen[other]).pvalue > 1e-4


def test_captions_of_one_partner_are_uniform_among_the_others() -> None:
    catalog = catalog_of([["x"], ["x", "y", "z"]])
    shown = np.zeros(3)
    for epoch in range(2000):
        plan = plan_epoch(catalog, Policy(rho=1), 0, epoch)
        shown[plan.right_caption[plan.left == 0]] += 1
    assert shown[0] == 0
    assert chisquare(shown[1:]).pvalue > 1e-4


TEXTS = st.lists(st.sampled_from("xyz"), min_size=1, max_size=3)


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXTS, st.sampled_from("ab"), st.integers(0, 9)), min_size=1, max_size=15), st.booleans())
def test_an_equal_caption_is_joined_only_where_no_other_is_allowed(
    pairs: list[tuple[list[str], str, int]], grouped: bool
) -> None:
    texts, views, content = zip(*pairs, strict=True)
    catalog = catalog_of(texts, view=views, content=np.array(content, dtype=np.uint64))
    rules = {"pairs": [{"forbid": "a.caption = 'x' and b.caption = 'z'"}]}
    policy = Policy.model_validate({"rho": 1, "group": "view" if grouped else None, "rules": rules})
    plan = make_plans(policy, catalog, 1).rows(0, 2 * len(catalog))
    for row in range(len(plan)):
        left = int(plan.left[row])
        first = texts[left][plan.left_caption[row]]
        partners = [i for i in range(len(pairs)) if content[i] != content[left]]
        partners = [i for i in partners if views[i] == views[left] or not grouped]
        allowed = {text for i in partners for text in texts[i] if {first, text} != {"x", "z"}}
        if plan.right[row] < 0:
            assert not allowed
            continue
        second = texts[plan.right[row]][plan.right_caption[row]]
        assert second in (allowed - {first} or allowed)
