import gc
import pickle
import weakref
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from clipc.catalog.catalog import Catalog
from clipc.compose.composites import FALLBACKS
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import LAYOUTS
from clipc.compose.layouts.tiles import LEFT_RIGHT, PLAIN, STRONG
from clipc.compose.plan import Plan, Plans, plan_epoch
from clipc.compose.policy import Policy
from clipc.compose.rules.schema import Rules
from clipc.compose.similarity.caption_vectors import caption_vectors
from clipc.compose.similarity.lookalike import lookalikes
from clipc.compose.similarity.neighbours import nearest
from clipc.prepare.plans import make_plans

from .pairs import catalog_of

WORDS = ["left", "right", "dog", "赤い円", "a dog on the left.", "四角がある。", "", "x"]


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Pairs with captions in two languages, unknown values and near copies."""
    n = draw(st.integers(1, 25))
    captions = draw(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), min_size=n, max_size=n))
    views = draw(st.lists(st.sampled_from(["PA", "AP", "", None]), min_size=n, max_size=n))
    content = draw(st.lists(st.integers(0, 30), min_size=n, max_size=n))
    weights = draw(st.lists(st.sampled_from([0.0, 0.5, 3.0, None]), min_size=n, max_size=n))
    return catalog_of(captions, view=views, content=np.array(content, dtype=np.uint64), liking=weights)


RULES = {
    "fields": {"side": r"regexp_extract(lower(caption), '\b(left|right)\b', 1)"},
    "pairs": [{"require": "a.view = b.view", "unknown": "allow"}, {"forbid": "a.side <> b.side"}],
    "captions": [{"when": "a.view = 'PA' and b.view = 'PA'", "joiner": "; "}, {"forbid": "dog.*dog"}],
    "images": [{"when": "view = 'AP'", "axis": "vertical"}],
    "never": [{"when": "caption = 'x'"}],
}

policies = st.builds(
    Policy,
    rho=st.floats(0, 1),
    treatment=st.sampled_from(["compose", "compose", "compose", "augment"]),
    layout=st.sampled_from([name for name in LAYOUTS if name != "region"]),
    axis=st.sampled_from(["random", "left-right", "top-bottom"]),
    caption=st.sampled_from(["join", "spatial", "both-orders", "one", "first", "second", "wrong"]),
    partner=st.sampled_from(["random", "nearest", "diverse"]),
    group=st.sampled_from([None, "view"]),
    weights=st.sampled_from([None, "column:liking"]),
    pairing=st.sampled_from(["dynamic", "fixed"]),
    mixing=st.sampled_from(["rows", "rows", "batches"]),
    neighbours=st.integers(1, 5),
)
ruled = st.sampled_from([None, RULES])


@settings(max_examples=30, deadline=None)
@given(catalogs(), policies, ruled, st.integers(0, 2**40), st.integers(0, 9))
def test_plan_is_pure_and_right(catalog: Catalog, policy: Policy, rules: object, seed: int, epoch: int) -> None:
    policy = Policy.model_validate({**policy.model_dump(), "rules": rules})
    plans = make_plans(policy, catalog, seed)
    plan = plan_epoch(catalog, policy, seed, epoch, plans.inputs)
    n = len(catalog)
    assert plan.table().equals(plan_epoch(catalog, policy, seed, epoch, plans.inputs).table())
    assert plan.table().equals(make_plans(policy, catalog, seed).rows(epoch * n, (epoch + 1) * n).table())
    assert sorted(plan.left) == list(range(n))
    composed = plan.right >= 0
    assert (plan.right != plan.left).all()
    assert (plan.left_caption >= 0).all()
    assert (plan.left_caption < catalog.caption_counts[plan.left]).all()
    assert (plan.right_caption[composed] < catalog.caption_counts[plan.right[composed]]).all()
    statistics = plan.statistics()
    assert statistics["rows"] == n == sum(statistics["layouts"].values())
    assert statistics["composed"] + statistics["strong"] == round(statistics["share"] * n)
    assert sum(statistics["fallbacks"].values()) == (plan.fallback > 0).sum()
    assert not (composed & (plan.fallback > 0)).any()
    if policy.treatment == "augment":
        assert not composed.any()
        return
    assert np.isin(plan.layout[composed], LAYOUTS[policy.layout].codes).all()
    assert (plan.layout[~composed] == PLAIN).all()
    content = catalog.table["content"].to_numpy()
    assert (content[plan.left[composed]] != content[plan.right[composed]]).all()
    views = np.array([v or "" for v in catalog.column("view")])
    if policy.weights:
        assert not np.isin(plan.right[composed], np.flatnonzero(np.array(catalog.column("liking")) == 0)).any()
    if policy.group:
        assert (views[plan.left[composed]] == views[plan.right[composed]]).all()
        assert (views[plan.left[composed]] != "").all()
    for row in np.flatnonzero(composed):
        first = catalog.caption(int(plan.left[row]), int(plan.left_caption[row]))
        second = catalog.caption(*(int(column[row]) for column in plan.second_caption))
        if rules and policy.caption != "wrong":
            assert {first, second} not in ({"left", "right"}, {"x"})
            assert "x" not in (first, second)
        text = plans.wordings[plan.wording[row]].text(first, second, int(plan.layout[row]), bool(plan.swapped[row]))
        parts = [part.strip(" .。") for part in (first, second)]
        shown = {"one": 1, "first": 1, "second": 1}.get(policy.caption, 2)
        assert sum(part in text for part in parts) >= shown
    if policy.axis == "left-right" and not rules and policy.layout == "centre-halves":
        assert (plan.layout[composed] == LEFT_RIGHT).all()


@settings(max_examples=30)
@given(catalogs(), st.integers(0, 100), st.integers(1, 60), st.integers(1, 7))
def test_concatenated_plans_in_any_pieces(catalog: Catalog, start: int, count: int, piece: int) -> None:
    plans = Plans(catalog, Policy(rho=0.5), seed=1)
    whole = plans.rows(start, start + count)
    stops = [*range(start, start + count, piece), start + count]
    parts = [Plans(catalog, Policy(rho=0.5), seed=1).rows(a, b) for a, b in pairwise(stops)]
    assert whole.table().equals(Plan.concatenate(parts).table())


def arms(catalog: Catalog, policies: Sequence[Policy], epoch: int = 3) -> list[Plan]:
    return [
        make_plans(policy, catalog, 7).rows(epoch * len(catalog), (epoch + 1) * len(catalog)) for policy in policies
    ]


@pytest.mark.parametrize("changes", [{}, {"rules": RULES}, {"group": "view"}, {"partner": "diverse"}])
def test_arms_see_the_same_pairs_in_the_same_order(changes: dict[str, object]) -> None:
    random = np.random.Generator(np.random.Philox(0))
    catalog = catalog_of(
        [[WORDS[random.integers(5)] for _ in range(3)] for _ in range(200)], view=random.choice(["PA", "AP"], 200)
    )
    asked = ({"rho": 0}, {"rho": 0.15}, *({"rho": 0.5, "treatment": t} for t in ("compose", "augment", "half")))
    plain, low, high, control, half = arms(catalog, [Policy.model_validate({**a, **changes}) for a in asked])
    for other in (low, high, control, half):
        np.testing.assert_array_equal(plain.left, other.left)
        np.testing.assert_array_equal(plain.left_caption, other.left_caption)
    assert ((low.right >= 0) <= (high.right >= 0)).all()
    both = low.right >= 0
    assert both.sum() > 10
    for column in ("right", "right_caption", "layout", "swapped", "wording"):
        np.testing.assert_array_equal(getattr(low, column)[both], getattr(high, column)[both])
    np.testing.assert_array_equal((high.right >= 0) | (high.fallback > 0), control.layout == STRONG)
    np.testing.assert_array_equal(half.half_alone, control.layout == STRONG)
    if "rules" not in changes:  # which may set the axis
        np.testing.assert_array_equal(half.layout[high.right >= 0], high.layout[high.right >= 0])
    assert half.statistics()["half"] == half.half_alone.sum()


def test_partners_are_uniform_and_new_in_every_epoch() -> None:
    catalog = catalog_of([1] * 12)
    seen = np.zeros((12, 12))
    for epoch in range(600):
        plan = plan_epoch(catalog, Policy(rho=1), 0, epoch)
        seen[plan.left, plan.right] += 1
    assert (np.diag(seen) == 0).all()
    assert chisquare(seen[~np.eye(12, dtype=bool)]).pvalue > 1e-4


def test_fixed_pairing_makes_the_same_composites_in_every_epoch() -> None:
    catalog = catalog_of([3] * 40)
    plans = make_plans(Policy(rho=0.6, pairing="fixed"), catalog, 5)
    seen: dict[int, tuple[int, ...]] = {}
    for epoch in range(6):
        plan = plans.rows(epoch * 40, (epoch + 1) * 40)
        for row in np.flatnonzero(plan.right >= 0):
            made = (plan.right[row], plan.left_caption[row], plan.right_caption[row], plan.layout[row])
            assert seen.setdefault(int(plan.left[row]), made) == made
    assert len(seen) > 35


def test_near_copies_are_never_partners() -> None:
    content = np.arange(20, dtype=np.uint64)
    content[:15] = 1
    plan = plan_epoch(catalog_of([1] * 20, content=content), Policy(rho=1), 0, 0)
    assert (content[plan.left] != content[plan.right]).all()
    assert (plan.right >= 0).all()


def test_one_pair_has_no_partner_and_stays_plain() -> None:
    plan = plan_epoch(catalog_of([2]), Policy(rho=1), 0, 0)
    assert plan.right.tolist() == [-1]
    assert plan.layout.tolist() == [PLAIN]
    assert FALLBACKS[plan.fallback[0]] == "alone"


def test_plans_travel_to_workers() -> None:
    plans = make_plans(Policy.model_validate({"rules": RULES, "rho": 1}), catalog_of([2] * 9, view=["PA"] * 9), 4)
    before = plans.rows(5, 30).table()
    assert pickle.loads(pickle.dumps(plans)).rows(5, 30).table().equals(before)


def test_plans_go_with_their_last_use() -> None:
    """What they hold (tables of millions of rows, the rules' process) must not wait for a collection of garbage."""
    plans = Plans(catalog_of([1] * 9), Policy(rho=1), 4)
    plans.rows(5, 30)
    gone = weakref.ref(plans)
    gc.disable()
    try:
        del plans
        assert gone() is None
    finally:
        gc.enable()


def test_share_is_near_rho() -> None:
    plan = plan_epoch(catalog_of([1] * 20_000), Policy(rho=0.3), 0, 0)
    assert plan.statistics()["share"] == pytest.approx(0.3, abs=0.02)


def test_neighbours_are_the_partners_of_a_nearest_policy() -> None:
    captions = [[f"{kind} {shade} {i % 3}"] for i in range(6) for kind in ("circle", "square") for shade in ("a", "b")]
    catalog = catalog_of(captions)
    plan = make_plans(Policy(rho=1, partner="nearest", neighbours=4), catalog, 0).rows(0, 24)
    near = nearest(caption_vectors(catalog.column("captions")), 4, excluded=lookalikes(catalog))
    assert (near[plan.left] == plan.right[:, None]).any(axis=1).all()


@pytest.mark.parametrize("field", ["layout", "caption", "partner"])
def test_unknown_names_are_answered_by_what_exists(field: str) -> None:
    with pytest.raises(ValueError, match=r"did you mean|there are|should be"):
        Policy.model_validate({field: "centre-halve"})


def test_policies_that_lack_something_say_what() -> None:
    with pytest.raises(ValueError, match="set region"):
        Policy(layout="region")
    with pytest.raises(ValueError, match="set reference"):
        Policy(layout="region", region="auto")


def test_no_inputs_is_a_plain_random_policy() -> None:
    catalog = catalog_of([1] * 30)
    assert plan_epoch(catalog, Policy(), 1, 2).table().equals(plan_epoch(catalog, Policy(), 1, 2, Inputs()).table())


def test_partners_are_uniform_among_the_allowed_whatever_their_captions() -> None:
    """Each pair with a allowed caption is a partner equally often, and shows each allowed caption equally often."""
    captions = [
        ["u"],
        ["left", "x", "y"],
        ["left", "right"],
        ["x"],
        ["right", "left", "left of", "z"],
        ["left"],
        ["x", "y"],
    ]
    rules = Rules.model_validate({"pairs": [{"forbid": "word(a.caption, 'u') and word(b.caption, 'left')"}]})
    catalog = catalog_of(captions)
    plans = make_plans(Policy(rho=1, rules=rules), catalog, 11)
    shown = Counter[tuple[int, int]]()
    for epoch in range(2000):
        plan = plans.rows(epoch * 7, (epoch + 1) * 7)
        row = int(np.flatnonzero(plan.left == 0)[0])
        shown[int(plan.right[row]), int(plan.right_caption[row])] += 1
    allowed = {(1, 1), (1, 2), (2, 1), (3, 0), (4, 0), (4, 3), (6, 0), (6, 1)}
    assert set(shown) == allowed
    partners = [sum(n for (pair, _), n in shown.items() if pair == p) for p in (1, 2, 3, 4, 6)]
    assert chisquare(partners).pvalue > 1e-3
    for pair in (1, 4, 6):
        assert chisquare([n for (p, _), n in shown.items() if p == pair]).pvalue > 1e-3


def test_guarded_partners_are_the_nearest_allowed_ones() -> None:
    """Rules that refuse all of the nearest pairs leave the next nearest, not plain rows."""
    kinds = [(kind, n) for kind in ("circle", "square") for n in range(30)]
    catalog = catalog_of([[f"a {kind}"] for kind, _ in kinds], kind=[kind for kind, _ in kinds])
    rules = Rules.model_validate({"pairs": [{"forbid": "a.kind = b.kind"}]})
    plan = make_plans(Policy(rho=1, partner="nearest", neighbours=3, rules=rules), catalog, 0).rows(0, 60)
    assert (plan.right >= 0).all()
    assert ((plan.left < 30) != (plan.right < 30)).all()


@pytest.mark.parametrize(("layout", "composed"), [("cutmix", True), ("centre-halves", False)])
def test_axes_keep_neighbours_apart_only_where_images_are_cut(layout: str, composed: bool) -> None:
    """Each pair's only neighbour must be cut along the other axis, which says nothing where nothing is cut."""
    rules = Rules.model_validate({"images": [{"when": "kind = 'a'", "axis": "vertical"}, {"axis": "horizontal"}]})
    catalog = catalog_of([["one word"], ["one word"]], kind=["a", "b"])
    policy = Policy(rho=1, partner="nearest", layout=layout, rules=rules)
    plan = make_plans(policy, catalog, 0).rows(0, 2)
    assert (plan.right >= 0).all() == composed


@settings(max_examples=30)
@given(catalog=catalogs(), policy=policies, until=st.floats(0.01, 1), samples=st.integers(1, 60))
def test_nothing_is_treated_after_a_share_of_the_run(
    catalog: Catalog, policy: Policy, until: float, samples: int
) -> None:
    """Until then the plan is the one without this limit; after it, order and captions are those of plain CLIP."""
    stopped = make_plans(policy.model_copy(update={"until": until}), catalog, 3, samples=samples).rows(0, samples)
    whole = make_plans(policy, catalog, 3).rows(0, samples)
    plain = make_plans(policy.model_copy(update={"rho": 0.0}), catalog, 3).rows(0, samples)
    treated = samples if until == 1 else round(until * samples)
    for name, values in stopped.table().select(["left", "left_caption", "right", "right_caption"]).to_pydict().items():
        assert values[:treated] == whole.table()[name].to_pylist()[:treated]
        assert values[treated:] == plain.table()[name].to_pylist()[treated:]
    assert (stopped.layout[treated:] == PLAIN).all()
    assert (stopped.layout[:treated] == whole.layout[:treated]).all()


@settings(max_examples=20)
@given(catalog=catalogs(), rules=st.sampled_from([None, RULES]))
def test_self_halves_show_each_treated_pair_twice(catalog: Catalog, rules: Any) -> None:
    """As many rows as rules allow to be cut at all; the pair's own caption on both sides, the order as ever."""
    policy = Policy.model_validate({"rho": 0.5, "partner": "self", "caption": "first", "rules": rules})
    plan = make_plans(policy, catalog, 2).rows(0, len(catalog))
    other = make_plans(policy.model_copy(update={"partner": "random"}), catalog, 2).rows(0, len(catalog))
    assert (plan.left == other.left).all()
    composed = plan.right >= 0
    assert (composed | (other.right < 0)).all()
    assert (plan.right[composed] == plan.left[composed]).all()
    assert (plan.right_caption[composed] == plan.left_caption[composed]).all()
    assert set(plan.fallback.tolist()) <= {0, FALLBACKS.index("never")}
    with pytest.raises(ValueError, match="set caption to first"):
        Policy(partner="self")
