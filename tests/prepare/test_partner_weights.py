"""Raking reaches the stated shares as iterative proportional fitting does, and gives the nearest where it cannot."""

from typing import Any

import numpy as np
import pytest

from clipc.compose.partners.group_weights import GroupWeights
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.prepare.partner_weights import CandidateCounts, balance_partners, joint_shares, rake
from clipc.prepare.plans import make_plans
from compose.pairs import catalog_of


def all_candidates(groups: Any, allowed: Any) -> CandidateCounts:
    """Every allowed partner of every pair, once."""
    first, second = np.nonzero(allowed)
    rows = np.unique(first, return_inverse=True)[1]
    return CandidateCounts(rows, groups[first], groups[second], np.ones(len(first)))


def proportional_fitting(candidates: CandidateCounts, centres: Any, cells: Any, rounds: int = 3000) -> Any:
    """Deming and Stephan's way: one margin after the other; ``cells`` are (a, b, wanted), -1 for any first pair."""
    mass = candidates.count.astype(float)
    for _ in range(rounds):
        for a, b, wanted in cells:
            one = np.ones(len(mass)) if a < 0 else centres[candidates.first, a]
            inside = (one * centres[candidates.second, b]) > 0
            mass = mass / np.bincount(candidates.row, mass)[candidates.row] / candidates.rows
            now = mass[inside].sum()
            mass[inside] *= wanted / now
            mass[~inside] *= (1 - wanted) / (1 - now)
    return mass / np.bincount(candidates.row, mass)[candidates.row] / candidates.rows


def test_the_dual_gives_what_iterative_proportional_fitting_gives() -> None:
    rng = np.random.default_rng(0)
    n = 40
    groups = rng.integers(0, 4, n).astype(np.int32)
    centres = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1]], dtype=np.float64)
    # Partners of the same group are far more frequent.
    allowed = (rng.random((n, n)) < np.where(groups[:, None] == groups, 0.9, 0.2)) & ~np.eye(n, dtype=bool)
    candidates = all_candidates(groups, allowed)
    before = joint_shares(candidates, centres, None)
    linked = np.zeros((3, 3), dtype=bool)
    linked[0, 2] = linked[1, 2] = True
    wanted = before[1:, :1] @ before[:1, 1:]
    solved = rake(candidates, centres, linked, wanted)
    cells = [(0, 2, wanted[0, 2]), (1, 2, wanted[1, 2]), (-1, 2, before[0, 3])]
    np.testing.assert_allclose(
        candidates.probability(solved), proportional_fitting(candidates, centres, cells), atol=2e-5
    )
    after = joint_shares(candidates, centres, solved)
    np.testing.assert_allclose(after[1:, 1:][linked], wanted[linked], rtol=1e-3)
    assert after[0, 3] == pytest.approx(before[0, 3], rel=1e-3)


def biased_pairs(n: int, seed: int = 0) -> tuple[Any, Any]:
    """Two lines whose pairs show a defect in 60% and 20%; neighbours are mostly of the same line."""
    rng = np.random.default_rng(seed)
    line = rng.integers(0, 2, n)
    defect = rng.random(n) < np.where(line == 0, 0.6, 0.2)
    features = np.stack([line == 0, line == 1, defect], axis=1).astype(np.float64)
    return catalog_of([1] * n, line=line.tolist(), defect=defect.tolist()), features


LINKED = np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0]], dtype=bool)


def test_independence_is_reached_where_partners_allow_it_and_random_partners_need_no_weights() -> None:
    pairs, features = biased_pairs(300)
    plans = make_plans(Policy(rho=1), pairs, 0)
    balance = balance_partners(plans.policy, pairs, plans.inputs, 0, features, LINKED)
    assert balance.efficiency > 0.99
    assert balance.acceptance > 0.8
    np.testing.assert_allclose(balance.after[LINKED], balance.wanted[LINKED], rtol=0.01)


def test_stated_shares_are_reached() -> None:
    pairs, features = biased_pairs(300)
    plans = make_plans(Policy(rho=1), pairs, 0)
    shares = np.full((3, 3), np.nan)
    shares[0, 2] = 0.5
    linked = np.zeros((3, 3), dtype=bool)
    linked[0, 2] = True
    balance = balance_partners(plans.policy, pairs, plans.inputs, 0, features, linked, shares)
    assert balance.after[0, 2] == pytest.approx(0.5 * features[:, 0].mean(), rel=0.02)
    assert balance.before[0, 2] == pytest.approx(0.4 * features[:, 0].mean(), rel=0.15)


def test_what_partners_cannot_change_is_named_and_stays() -> None:
    pairs, features = biased_pairs(200)
    policy = Policy(rho=1, group="defect")
    plans = make_plans(policy, pairs, 0)
    balance = balance_partners(policy, pairs, plans.inputs, 0, features, LINKED)
    assert balance.fixed[0, 2]
    assert balance.fixed[1, 2]
    np.testing.assert_allclose(balance.after[:2, 2], balance.before[:2, 2], rtol=0.02)
    assert np.isfinite(balance.weights.weights).all()
    assert (balance.weights.weights > 0).all()


def test_the_result_depends_on_the_seed_alone() -> None:
    pairs, features = biased_pairs(120)
    plans = make_plans(Policy(rho=1), pairs, 0)
    one, two = (balance_partners(plans.policy, pairs, plans.inputs, 5, features, LINKED) for _ in range(2))
    np.testing.assert_array_equal(one.weights.weights, two.weights.weights)
    assert isinstance(one.weights, GroupWeights)
    assert one.weights.weights.max() <= 1


def test_partners_that_are_not_drawn_by_chance_cannot_be_weighted() -> None:
    pairs, features = biased_pairs(40)
    policy = Policy(rho=1, partner="diverse")
    with pytest.raises(UserError, match=r"policy\.partner=diverse, which does not draw them by chance"):
        balance_partners(policy, pairs, make_plans(policy, pairs, 0).inputs, 0, features, LINKED)
