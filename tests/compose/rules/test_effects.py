"""What rules remove: counted as a slow reference counts, with examples that are what they are said to be."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.compose.captions.joint import Wording
from clipc.compose.entries import Entries
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.compile import compile_rules
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.rules.effects import effects, group_sizes
from clipc.compose.rules.read import parse_rules
from clipc.compose.rules.schema import CaptionRule, ImageRule, NeverRule, PairRule, Rules
from compose.pairs import catalog_of

VIEWS = ["PA", "PA", "AP", "AP", "AP", "", "L"]
SIDES = ["left", "right", "left", "", "right", "left", "left"]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    captions = [[f"the {side} lung", f"film {i} collage" if i == 4 else f"film {i}"] for i, side in enumerate(SIDES)]
    return catalog_of(captions, view=VIEWS, side=SIDES)


@pytest.fixture(scope="module")
def compiled_rules(catalog: Catalog) -> CompiledRules:
    rules = Rules(
        pairs=(
            PairRule(require="a.view = b.view", why="views are read differently", line=3),
            PairRule(forbid="a.side <> b.side"),
            PairRule(forbid="a.view = 'X'"),
        ),
        captions=(CaptionRule(forbid="left.*left", line=9),),
        never=(NeverRule(when="caption like '%collage%'", why="not one picture"), NeverRule(when="side = 'top'")),
    )
    return compile_rules(rules, CatalogColumns(catalog), Wording())


def test_shares_are_those_of_all_pairs_of_captions(compiled_rules: CompiledRules, catalog: Catalog) -> None:
    def broken(one: int, other: int) -> list[bool]:
        (a, i), (b, j) = divmod(one, 2), divmod(other, 2)
        lefts = (i == 0 and SIDES[a] == "left") + (j == 0 and SIDES[b] == "left")
        return [
            VIEWS[a] != VIEWS[b] or not VIEWS[a],
            bool(SIDES[a] and SIDES[b] and SIDES[a] != SIDES[b]),
            False,
            lefts == 2,
        ]

    every = [(a, b) for a, b in product(range(14), repeat=2) if a // 2 != b // 2]
    constraints = np.array([broken(*pair) for pair in every])
    never = np.array([9 in pair for pair in every])
    times = constraints.sum(axis=1) + never
    result = effects(compiled_rules, catalog)
    assert result["candidates"] == 20_000  # a rule on joint captions is slow
    assert result["share"] == pytest.approx((times == 0).mean(), abs=0.012)
    assert result["allowed"] == round(result["share"] * result["candidates"])
    for rule, hit in zip(result["constraints"], constraints.T, strict=True):
        assert rule["share"] == pytest.approx(hit.mean(), abs=0.012)
        assert rule["removed"] == round(rule["share"] * result["candidates"])
        assert rule["only"] / result["candidates"] == pytest.approx((hit & (times == 1)).mean(), abs=0.012)


def test_rules_are_told_as_written_with_examples(compiled_rules: CompiledRules, catalog: Catalog) -> None:
    result = effects(compiled_rules, catalog)
    view, side, nothing, joint = result["constraints"]
    assert (view["text"], view["why"], view["line"]) == ("require: a.view = b.view", "views are read differently", 3)
    assert joint["line"] == 9
    assert (nothing["removed"], nothing["examples"]) == (0, [])
    assert [len(rule["examples"]) for rule in (view, side, joint)] == [3, 3, 3]
    for example in view["examples"]:
        values = [pair["values"]["view"] for pair in example.values()]
        assert values[0] != values[1] or values == ["", ""]
        for pair in example.values():
            assert pair["caption"] in catalog.captions(int(pair["key"]))
            assert VIEWS[int(pair["key"])] == pair["values"]["view"]
    for example in joint["examples"]:
        assert all("left" in pair["caption"] for pair in example.values())
    collage, top = result["exclusions"]
    assert (collage["pairs"], collage["captions"], collage["share"]) == (1, 1, 1 / 14)
    assert collage["examples"] == [{"key": "4", "caption": "film 4 collage", "values": {}}]
    assert (top["pairs"], top["examples"]) == (0, [])


def test_rules_that_can_have_no_effect_say_why() -> None:
    captions = [[f"film {i}"] for i in range(6)]
    catalog = catalog_of(captions, view=["PA"] * 6, side=["left", "right"] * 3, box=["", ""] * 3, lot=[None] * 6)
    rules = parse_rules(
        """
columns: {gone: [nowhere], region_box: [box, other_box]}
fields:
  gone_or: coalesce(gone, 'none')
  room: regexp_extract(caption, 'room ([0-9])', 1)
pairs:
  - require: a.gone_or = b.gone_or
  - forbid: a.lot <> b.lot and a.side = b.side
  - require: a.view = b.view
  - forbid: a.room <> b.room
  - forbid: a.side <> b.side
  - forbid: a.side = 'top' and b.side = 'left'
images:
  - region: region_box
  - when: side = 'top'
    whole: true
  - when: side = 'left'
    mirror: false
captions:
  - {when: a.gone = b.gone, joiner: ' + '}
  - {when: a.side = 'left', joiner: ' / '}
  - forbid: zebra
never:
  - when: view = 'L'
  - when: side = 'left'
""",
        "rules.yaml",
    )
    compiled_rules = compile_rules(rules, CatalogColumns(catalog), Wording())
    result = json.loads(json.dumps(effects(compiled_rules, catalog, max_candidates=200)))
    empty, no_match = {"code": "empty-columns"}, {"code": "no-match"}
    reasons = [rule["no_effect"] for part in ("constraints", "exclusions", "shapes") for rule in result[part]]
    assert reasons == [
        {**empty, "columns": ["gone"]}, {**empty, "columns": ["lot"]}, no_match, {**empty, "columns": ["room"]}, None,
        no_match, None,  # a pattern in joint captions is only sampled
        no_match, None,
        {**empty, "columns": ["region_box"]}, no_match, None, {**empty, "columns": ["gone"]}, None,
    ]  # fmt: skip
    region = result["shapes"][0]
    assert (region["pairs"], region["share"]) == (0, 0.0)
    assert compiled_rules.constraints[-1].test.may_break()
    idle = compiled_rules.without_effect()
    assert [rule["no_effect"] for rule in idle] == [reason for reason in reasons if reason]
    assert idle[0]["text"] == "require: a.gone_or = b.gone_or"


def test_a_region_holds_for_the_pairs_that_have_a_box() -> None:
    catalog = catalog_of(
        [1] * 4, box=["0.1,0.1,0.5,0.5", "", "", "0.2,0.2,0.5,0.5"], side=["left", "left", "right", ""]
    )
    rules = Rules(images=(ImageRule(when="side = 'left'", region="box"), ImageRule(region="box")))
    shapes = effects(compile_rules(rules, CatalogColumns(catalog), Wording()), catalog, max_candidates=10)["shapes"]
    assert [(rule["pairs"], rule["share"]) for rule in shapes] == [(1, 0.25), (1, 0.25)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([None, "x", "y"]), st.sampled_from([None, 1, 2])), min_size=2, max_size=6))
def test_what_can_have_no_effect_has_none(values: list[tuple[str | None, int | None]]) -> None:
    catalog = catalog_of([1] * len(values), one=[one for one, _ in values], other=[other for _, other in values])
    texts = (
        "a.one = b.one",
        "a.one <> b.one",
        "a.one = b.one and a.other <> b.other",
        "a.other < b.other",
        "a.one = 'x'",
    )
    rules = Rules(pairs=tuple(PairRule(**{key: text}) for text in texts for key in ("require", "forbid")))
    result = effects(compile_rules(rules, CatalogColumns(catalog), Wording()), catalog, max_candidates=400)
    for rule in result["constraints"]:
        assert rule["no_effect"] is None or rule["removed"] == 0
        if rule["removed"] == 0 and rule["no_effect"] is None:
            assert "and" in rule["text"]  # the parts may never be true together


def test_the_same_seed_tells_the_same(compiled_rules: CompiledRules, catalog: Catalog) -> None:
    assert effects(compiled_rules, catalog, seed=5, max_candidates=300) == effects(
        compiled_rules, catalog, seed=5, max_candidates=300
    )
    assert effects(compiled_rules, catalog, seed=5, max_candidates=300) != effects(
        compiled_rules, catalog, seed=6, max_candidates=300
    )


def test_groups(compiled_rules: CompiledRules, catalog: Catalog) -> None:
    result = effects(compiled_rules, catalog, max_candidates=10)["groups"]
    assert result == {"groups": 3, "median": 2, "largest": 3, "alone": 1, "unknown": 1}


def test_groups_of_captions_of_one_pair() -> None:
    entries = Entries.of(catalog_of([2, 2, 1]))
    assert group_sizes(np.array([0, 1, 1, 1, -1], np.int32), entries) == {
        "groups": 2,
        "median": 2,
        "largest": 2,
        "alone": 0,
        "unknown": 1,
    }
    assert group_sizes(np.full(5, -1, np.int32), entries)["unknown"] == 3


@pytest.mark.parametrize("pairs", [0, 1])
def test_too_few_pairs_for_a_composite(pairs: int) -> None:
    catalog = catalog_of([2] * pairs)
    result = effects(
        compile_rules(Rules(pairs=(PairRule(forbid="a.key = b.key"),)), CatalogColumns(catalog), Wording()), catalog
    )
    assert (result["candidates"], result["share"], result["constraints"][0]["examples"]) == (0, 0.0, [])


def test_two_pairs_are_drawn_in_both_orders_and_never_with_themselves() -> None:
    catalog = catalog_of([1, 1])
    rules = Rules(pairs=(PairRule(forbid="a.key = b.key"), PairRule(forbid="true")))
    same, every = effects(compile_rules(rules, CatalogColumns(catalog), Wording()), catalog, max_candidates=200)[
        "constraints"
    ]
    assert same["removed"] == 0
    assert every["removed"] == 200
    assert {example["first"]["key"] for example in every["examples"]} <= {"0", "1"}
