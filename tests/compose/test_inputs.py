"""Tables that somebody else made are joined by key, and partners are drawn in proportion to their weights."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import chisquare

from clipc.compose.composites import FALLBACKS
from clipc.compose.inputs import Inputs, keyed_values, partner_weights
from clipc.compose.plan import plan_epoch
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.prepare.plans import make_plans

from .pairs import catalog_of


def test_values_are_joined_by_key(tmp_path: Path) -> None:
    pairs = catalog_of([1] * 4)
    table = pa.table({"key": ["2", "elsewhere", "0"], "weight": [0.5, 9.0, 0.0]})
    pq.write_table(table, tmp_path / "w.parquet")
    (tmp_path / "w.csv").write_text("key,weight\n2,0.5\nelsewhere,9\n0,0\n3,\n")
    for name in ("w.parquet", "w.csv"):
        assert partner_weights(str(tmp_path / name), pairs).tolist() == [0, 1, 0.5, 1]
    assert keyed_values(str(tmp_path / "w.parquet"), pairs, "weights") == [0.0, None, 0.5, None]
    assert partner_weights("column:liking", catalog_of([1] * 3, liking=[2, None, 0])).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,weight\n0,1\n", "has the columns name, weight; it needs two: key and one with values"),
        ("key,weight,more\n0,1,2\n", "it needs two"),
        ("key,weight\n0,1\n0,2\n", "names the key '0' twice"),
        (
            "key,weight\na,1\n",
            "has no key of the 3 training pairs; .* such as '0', the file has keys such as 'a'",
        ),
        ("key,weight\n0,-1\n", "the weight of '0' is '-1', not a number from 0 up"),
        ("key,weight\n0,often\n", "not a number from 0 up"),
        ("key,weight\n0,nan\n", "not a number from 0 up"),
    ],
)
def test_a_wrong_table_is_one_clear_sentence(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        partner_weights(str(tmp_path / "w.csv"), catalog_of([1] * 3))
    assert "\n" not in str(caught.value)


def test_what_names_neither_a_column_nor_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="weights must be column:NAME or a CSV or Parquet file"):
        Policy(weights="liking")
    with pytest.raises(UserError, match="did you mean 'liking'"):
        make_plans(Policy(weights="column:likin"), catalog_of([1] * 3, liking=[1.0] * 3), 0)


def test_boxes_may_come_in_a_table(tmp_path: Path) -> None:
    pairs = catalog_of([1] * 3)
    (tmp_path / "boxes.csv").write_text('key,box\n1,"0,0,20,15"\n')
    plans = make_plans(Policy(layout="region", region=str(tmp_path / "boxes.csv")), pairs, 0)
    assert plans.inputs.regions is not None
    assert plans.inputs.regions[1].tolist() == [0, 0, 0.5, 0.5]
    assert np.isnan(plans.inputs.regions[[0, 2]]).all()


@pytest.mark.parametrize("changes", [{}, {"group": "view"}, {"partner": "nearest", "neighbours": 4}, {"rules": True}])
def test_partners_come_in_proportion_to_their_weights(changes: dict[str, object]) -> None:
    n = 24
    weights = np.array([0, 1, 2, 5] * (n // 4), dtype=float)
    view = np.array(["PA", "AP", "AP"] * (n // 3))
    pairs = catalog_of([[f"word{i % 5} word{i % 7}", f"{i}"] for i in range(n)], liking=weights, view=view)
    if changes.get("rules"):
        changes = {"rules": {"pairs": [{"forbid": "a.view = b.view"}]}}
    plans = make_plans(Policy.model_validate({"rho": 1, "weights": "column:liking", **changes}), pairs, 1)
    allowed = ~np.eye(n, dtype=bool)
    if "group" in changes:
        allowed &= view[:, None] == view
    if "rules" in changes:
        allowed &= view[:, None] != view
    if "neighbours" in changes:
        allowed &= (plans.inputs.tables["neighbours"][:, :, None] == np.arange(n)).any(axis=1)
    chance = allowed * weights
    seen = np.zeros((n, n))
    times = 600
    for epoch in range(times):
        plan = plan_epoch(pairs, plans.policy, 1, epoch, plans.inputs)
        np.testing.assert_array_equal(plan.right < 0, ~chance.any(axis=1)[plan.left])
        seen[plan.left[plan.right >= 0], plan.right[plan.right >= 0]] += 1
    assert (seen[chance == 0] == 0).all()
    rows = np.flatnonzero((chance > 0).sum(axis=1) > 1)
    p = [chisquare(seen[r][chance[r] > 0], times * (chance[r] / chance[r].sum())[chance[r] > 0]).pvalue for r in rows]
    assert len(p) > n // 2
    assert min(p) > 1e-3 / n


def test_without_any_weight_pairs_stay_plain_and_are_counted() -> None:
    pairs = catalog_of([1] * 20, liking=[0.0] * 20)
    plan = make_plans(Policy(rho=0.5, weights="column:liking"), pairs, 0).rows(0, 20)
    assert (plan.right < 0).all()
    assert plan.statistics()["fallbacks"]["alone"] == (plan.fallback == FALLBACKS.index("alone")).sum() > 5


def test_equal_weights_change_nothing() -> None:
    pairs = catalog_of([1] * 50, liking=[2.0] * 50)
    plans = [make_plans(Policy(rho=1, weights=weights), pairs, 3).rows(0, 100) for weights in (None, "column:liking")]
    assert plans[0].table().equals(plans[1].table())


def test_each_table_has_a_fingerprint() -> None:
    pairs, weights = catalog_of([1] * 3), np.array([1.0, 2.0, 0.0])
    one, same, other = (Inputs.of(pairs, {"weights": w}).fingerprints for w in (weights, weights.copy(), weights + 1))
    assert one.keys() == {"weights"}
    assert one == same != other
    assert Inputs().fingerprints == {}
