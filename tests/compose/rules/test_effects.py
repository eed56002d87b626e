"""What rules remove: counted as a slow reference counts, with examples that are what they are said to be."""

from itertools import product

import numpy as np
import pytest

from clipc.catalog import Catalog
from clipc.compose.captions.joint import Wording
from clipc.compose.entries import Entries
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.compile import compile_rules
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.rules.effects import effects, group_sizes
from clipc.compose.rules.schema import CaptionRule, NeverRule, PairRule, Rules
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
