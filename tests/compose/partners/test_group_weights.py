"""Partners by the groups of both pairs: drawn in proportion, never against a rule, and read from a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from clipc.compose.composites import FALLBACKS
from clipc.compose.partners.draw import draw
from clipc.compose.partners.group_weights import GroupWeights, group_weights_document, read_group_weights
from clipc.compose.partners.pools import Pools, neighbour_pools, single_pool
from clipc.compose.plan import Plans, plan_epoch
from clipc.compose.policy import Policy
from clipc.compose.rules.schema import PairRule, Rules
from clipc.errors import UserError
from clipc.prepare.plans import make_plans

from ..pairs import catalog_of

TABLE = np.array([[1.0, 0.2], [0.5, 1.0]])


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def drawn(pools: Pools, weights: GroupWeights, n: int, seed: int, allowed: Any = None) -> np.ndarray:
    rows = np.arange(n, dtype=np.int32)

    def test(which: np.ndarray, partner: np.ndarray) -> np.ndarray:
        return (which != partner) if allowed is None else allowed[which, partner]

    weigh = (weights, generator(10_000 + seed))
    return draw(rows, pools.pool_of_entry[rows], pools, test, generator(seed), n, weigh)


@pytest.mark.parametrize("scarce", [False, True])
def test_partners_are_drawn_in_proportion_to_the_weights_of_both_groups(scarce: bool) -> None:
    n = 20
    groups = (np.arange(n) % 2).astype(np.int32)
    weights = GroupWeights(groups, TABLE * (0.02 if scarce else 1.0))  # scarce: most rows draw from all members
    counts = np.zeros((n, n))
    for seed in range(1500):
        partner = drawn(single_pool(np.ones(n, dtype=np.int64)), weights, n, seed)
        counts[np.arange(n), partner] += 1
    for row in (0, 1):
        wanted = TABLE[groups[row], groups] * (np.arange(n) != row)
        kept = wanted > 0
        assert chisquare(counts[row, kept], 1500 * wanted[kept] / wanted.sum()).pvalue > 1e-3


def test_they_multiply_the_weights_of_members_and_hold_in_pools_of_neighbours() -> None:
    neighbours = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.int32)
    pools = neighbour_pools(neighbours, np.ones(3, dtype=np.int64)).weighted(np.array([1.0, 1.0, 3.0]))
    weights = GroupWeights(np.array([0, 0, 1], dtype=np.int32), np.array([[1.0, 0.5], [1.0, 1.0]]))
    first = np.array([drawn(pools, weights, 3, seed)[0] for seed in range(4000)])
    assert np.mean(first == 2) == pytest.approx(1.5 / 2.5, abs=0.03)


def test_weights_of_one_change_nothing_and_others_change_only_refused_partners() -> None:
    pairs = catalog_of([1] * 200)
    groups = (np.arange(200) % 2).astype(np.int32)
    plain = plan_epoch(pairs, Policy(rho=1), 0, 0, make_plans(Policy(rho=1), pairs, 0).inputs)
    from dataclasses import replace

    base = make_plans(Policy(rho=1), pairs, 0).inputs

    def plan(table: np.ndarray) -> Any:
        inputs = replace(base, tables={"partner_groups": groups, "group_weights": table})
        return plan_epoch(pairs, Policy(rho=1), 0, 0, inputs)

    np.testing.assert_array_equal(plan(np.ones((2, 2))).right, plain.right)
    some = plan(np.array([[1.0, 0.5], [0.5, 1.0]]))
    assert 0.6 < np.mean(some.right == plain.right) < 0.9
    np.testing.assert_array_equal(some.left, plain.left)
    np.testing.assert_array_equal(some.layout, plain.layout)


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.integers(0, 3))
def test_weights_never_break_a_rule(seed: int, partner: int) -> None:
    rng = np.random.default_rng(seed)
    n = 24
    pairs = catalog_of([1] * n, view=rng.integers(0, 3, n).tolist(), line=rng.integers(0, 4, n).tolist())
    rules = Rules(pairs=(PairRule(require="a.view = b.view"), PairRule(forbid="a.line = b.line")))
    policy = Policy(rho=1, rules=rules, partner="nearest" if partner == 3 else "random", neighbours=8)
    plans = make_plans(policy, pairs, seed)
    table = rng.random((3, 3)) ** 4
    table[rng.random((3, 3)) < 0.2] = 0
    given_tables = {"partner_groups": rng.integers(-1, 3, n).astype(np.int32), "group_weights": table}
    from dataclasses import replace

    inputs = replace(plans.inputs, tables={**plans.inputs.tables, **given_tables})
    plan = Plans(pairs, policy, seed, inputs).rows(0, 3 * n)
    view, line = np.array(pairs.column("view")), np.array(pairs.column("line"))
    composed = plan.right >= 0
    left, right = plan.left[composed], plan.right[composed]
    assert (view[left] == view[right]).all()
    assert (line[left] != line[right]).all()
    assert (left != right).all()
    groups = given_tables["partner_groups"]
    both = (groups[left] >= 0) & (groups[right] >= 0)
    assert (table[groups[left][both], groups[right][both]] > 0).all()
    assert (plan.fallback[~composed] == FALLBACKS.index("alone")).all()


def test_a_file_gives_the_weights_by_key_and_is_part_of_the_plans_fingerprint(tmp_path: Path) -> None:
    pairs = catalog_of([1] * 6)
    weights = GroupWeights(np.array([0, 1, 0, 1, 0, 1], dtype=np.int32), np.array([[4.0, 2.0], [0.0, 8.0]]))
    file = tmp_path / "w.json"
    file.write_text(json.dumps(group_weights_document(pairs.keys, weights, {"audited": ["camera"]})))
    some = pairs.take([1, 2, 5])
    given = read_group_weights(str(file), some.keys)
    assert given.groups.tolist() == [1, 0, 1]
    assert given.weights.tolist() == [[1.0, 0.5], [0.0, 1.0]]
    plans = make_plans(Policy(weights=str(file)), pairs, 0)
    assert set(plans.inputs.fingerprints) == {"partner_groups", "group_weights"}
    assert read_group_weights(str(file), ["new", "0"]).groups.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"kind": "clipc group weights", "weights": [[1]]', "holds no group weights"),
        ('{"kind": "clipc group weights", "weights": [[1, 2]], "groups": {"0": 0}}', "must be a square table"),
        ('{"kind": "clipc group weights", "weights": [[-1]], "groups": {"0": 0}}', "must be a square table"),
        ('{"kind": "clipc group weights", "weights": [[1]], "groups": {"0": 3}}', "puts '0' into group 3"),
        ('{"kind": "clipc group weights", "weights": [[1]], "groups": {"z": 0}}', "has no key of the 3 training pairs"),
    ],
)
def test_a_wrong_file_is_one_clear_sentence(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        make_plans(Policy(weights=str(tmp_path / "w.json")), catalog_of([1] * 3), 0)
    assert "\n" not in str(caught.value)
