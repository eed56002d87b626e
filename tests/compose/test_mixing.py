"""Batches that are composed as a whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.compose.batches import Batches, BatchSampling
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.prepare.plans import make_plans

from .pairs import catalog_of

BATCHES = Policy(mixing="batches")


def plans(policy: Policy, pairs: int, size: int, samples: int | None = None, seed: int = 0) -> Plans:
    catalog = catalog_of([[f"caption {i}"] for i in range(pairs)])
    return make_plans(policy, catalog, seed, batches=Batches(size=size), samples=samples)


@given(st.integers(3, 40), st.integers(1, 3), st.floats(0, 1), st.integers(0, 2**40))
def test_a_batch_is_composed_whole_or_not_at_all(pairs: int, size: int, rho: float, seed: int) -> None:
    made = plans(BATCHES.model_copy(update={"rho": rho}), pairs, size, seed=seed)
    for step in range(60):  # Most of the time some of these straddle two epochs.
        composed = made.rows(step * size, (step + 1) * size).right >= 0
        assert composed.all() or not composed.any()


def test_the_share_is_near_rho_and_more_batches_are_composed_at_a_higher_one() -> None:
    shares = []
    low = np.zeros(2000, dtype=bool)
    for rho in (0.0, 0.3, 0.7, 1.0):
        composed = plans(BATCHES.model_copy(update={"rho": rho}), 50, 8).rows(0, 16000).right[::8] >= 0
        assert (composed >= low).all()
        shares.append(composed.mean())
        low = composed
    assert shares == pytest.approx([0, 0.3, 0.7, 1], abs=0.04)


@pytest.mark.parametrize("sampling", ["random", "distinct"])
def test_order_captions_and_partners_are_those_of_mixed_batches(sampling: BatchSampling) -> None:
    catalog = catalog_of([[f"caption {i}", "another"] for i in range(50)])
    mixed, whole = (
        make_plans(policy, catalog, 3, batches=Batches(sampling, 8)).rows(0, 400)
        for policy in (Policy(rho=0.5), Policy(rho=0.5, mixing="batches"))
    )
    both = (mixed.right >= 0) & (whole.right >= 0)
    assert (mixed.left == whole.left).all()
    assert both.any()
    for name in ("right", "left_caption", "right_caption", "layout", "swapped"):
        assert (getattr(mixed, name)[both] == getattr(whole, name)[both]).all()


@pytest.mark.parametrize(("until", "limit"), [(0.5, 5), (0.55, 5), (0.57, 5), (0.6, 6)])
def test_no_batch_is_composed_that_ends_after_the_share_of_the_run(until: float, limit: int) -> None:
    made = plans(Policy(mixing="batches", rho=1, until=until), 7, 4, samples=40)
    composed = (made.rows(0, 40).right >= 0).reshape(10, 4)
    assert composed.tolist() == [[batch < limit] * 4 for batch in range(10)]


def test_a_pair_without_a_partner_stays_plain() -> None:
    catalog = catalog_of([["a"], ["b"], ["c"]], view=["x", "x", "y"])
    plan = make_plans(Policy(mixing="batches", rho=1, group="view"), catalog, 0, batches=Batches(size=3)).rows(0, 3)
    assert sorted(plan.left[plan.right < 0]) == [2]
    assert plan.statistics()["fallbacks"]["alone"] == 1


def test_the_augmentation_control_may_have_such_batches_too() -> None:
    made = plans(Policy(mixing="batches", rho=0.5, treatment="augment"), 20, 4)
    treated = (made.rows(0, 400).layout > 0).reshape(100, 4)
    assert (treated.all(axis=1) | ~treated.any(axis=1)).all()
    assert treated.mean() == pytest.approx(0.5, abs=0.15)
