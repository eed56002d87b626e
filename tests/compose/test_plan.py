import pickle
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from clipc.catalog import About, Catalog
from clipc.compose.layout import LEFT_RIGHT, PLAIN, STRONG
from clipc.compose.plan import Plan, Plans, plan_epoch
from clipc.compose.policy import Policy


def catalog_of(counts: Sequence[int]) -> Catalog:
    """A catalog without pictures: all that planning needs."""
    table = pa.table({"captions": pa.array([[f"{i}.{j}" for j in range(n)] for i, n in enumerate(counts)])})
    return Catalog(table, Path(), "x", About("x"))


catalogs = st.lists(st.integers(1, 5), min_size=1, max_size=40).map(catalog_of)
policies = st.builds(
    Policy,
    rho=st.floats(0, 1),
    treatment=st.sampled_from(["compose", "augment"]),
    axis=st.sampled_from(["random", "left-right", "top-bottom"]),
)


@given(catalogs, policies, st.integers(0, 2**40), st.integers(0, 9))
def test_plan_is_pure_and_right(catalog: Catalog, policy: Policy, seed: int, epoch: int) -> None:
    plan = plan_epoch(catalog, policy, seed, epoch)
    again = plan_epoch(catalog, policy, seed, epoch)
    assert plan.table().equals(again.table())
    assert sorted(plan.left) == list(range(len(catalog)))
    composed = plan.right >= 0
    assert (plan.right != plan.left).all()
    assert (plan.left_caption >= 0).all()
    assert (plan.left_caption < catalog.caption_counts[plan.left]).all()
    assert (plan.right_caption[composed] < catalog.caption_counts[plan.right[composed]]).all()
    assert (plan.layout[composed] != PLAIN).all()
    found = plan.statistics()
    assert found["rows"] == len(catalog) == sum(found["layouts"].values())
    assert found["composed"] + found["strong"] == round(found["share"] * found["rows"])
    if policy.treatment == "augment":
        assert not composed.any()
    elif policy.axis == "left-right":
        assert (plan.layout[composed] == LEFT_RIGHT).all()


@settings(max_examples=30)
@given(catalogs, st.integers(0, 100), st.integers(1, 60), st.integers(1, 7))
def test_concatenated_plans_in_any_pieces(catalog: Catalog, start: int, count: int, piece: int) -> None:
    plans = Plans(catalog, Policy(rho=0.5), seed=1)
    whole = plans.rows(start, start + count)
    stops = [*range(start, start + count, piece), start + count]
    parts = [Plans(catalog, Policy(rho=0.5), seed=1).rows(a, b) for a, b in pairwise(stops)]
    assert whole.table().equals(Plan.concatenate(parts).table())


def test_arms_see_the_same_pairs_in_the_same_order() -> None:
    catalog = catalog_of([3] * 200)
    plain, low, high, control = (
        plan_epoch(catalog, policy, 7, 3)
        for policy in (Policy(rho=0), Policy(rho=0.15), Policy(rho=0.5), Policy(rho=0.5, treatment="augment"))
    )
    for other in (low, high, control):
        np.testing.assert_array_equal(plain.left, other.left)
        np.testing.assert_array_equal(plain.left_caption, other.left_caption)
    assert ((low.right >= 0) <= (high.right >= 0)).all()
    both = low.right >= 0
    np.testing.assert_array_equal(low.right[both], high.right[both])
    np.testing.assert_array_equal(high.right >= 0, control.layout == STRONG)


def test_partners_are_uniform_and_new_in_every_epoch() -> None:
    catalog = catalog_of([1] * 12)
    seen = np.zeros((12, 12))
    for epoch in range(600):
        plan = plan_epoch(catalog, Policy(rho=1), 0, epoch)
        seen[plan.left, plan.right] += 1
    assert (np.diag(seen) == 0).all()
    assert chisquare(seen[~np.eye(12, dtype=bool)]).pvalue > 1e-4


def test_one_pair_has_no_partner_and_stays_plain() -> None:
    plan = plan_epoch(catalog_of([2]), Policy(rho=1), 0, 0)
    assert plan.right.tolist() == [-1]
    assert plan.layout.tolist() == [PLAIN]


def test_plans_travel_to_workers() -> None:
    plans = Plans(catalog_of([2] * 9), Policy(), seed=4)
    before = plans.rows(5, 30).table()
    assert pickle.loads(pickle.dumps(plans)).rows(5, 30).table().equals(before)


def test_share_is_near_rho() -> None:
    plan = plan_epoch(catalog_of([1] * 20_000), Policy(rho=0.3), 0, 0)
    assert plan.statistics()["share"] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("field", ["layout", "partner"])
def test_unknown_names_are_answered_by_what_exists(field: str) -> None:
    with pytest.raises(ValueError, match=r"did you mean|there are"):
        Policy.model_validate({field: "centre-halve"})
