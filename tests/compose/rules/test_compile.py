import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.compose.captions.joint import Wording
from clipc.compose.entries import Candidates
from clipc.compose.layouts.tiles import LEFT_RIGHT, TOP_BOTTOM
from clipc.compose.rules import conditions
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.compile import compile_rules
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.rules.conditions import EitherOrder
from clipc.compose.rules.read import read_rules
from clipc.compose.rules.schema import Rules
from clipc.errors import UserError

from ..pairs import catalog_of

Pair = dict[str, Any]
Truth = bool | None


def compile_for(catalog: Catalog, **rules: Any) -> CompiledRules:
    return compile_rules(Rules.model_validate(rules), CatalogColumns(catalog), Wording())


def every(n: int) -> Candidates:
    """All ordered pairs of n entries."""
    a, b = (side.ravel().astype(np.int64) for side in np.meshgrid(range(n), range(n), indexing="ij"))
    return Candidates(a, b, np.full(n * n, LEFT_RIGHT, np.uint8), np.zeros(n * n, bool))


def equal(x: object, y: object) -> Truth:
    return None if x is None or y is None else x == y


def both(x: Truth, y: Truth) -> Truth:
    return False if x is False or y is False else None if x is None or y is None else True


def negated(x: Truth) -> Truth:
    return None if x is None else not x


def less(x: Truth, y: Truth) -> Truth:
    return negated(both(negated(x), negated(y)))


# Expressions beside what they mean, in Python and in three truths.
MEANINGS: dict[str, Callable[[Pair, Pair], Truth]] = {
    "a.view = b.view": lambda a, b: equal(a["view"], b["view"]),
    "a.view <> b.view": lambda a, b: negated(equal(a["view"], b["view"])),
    "not (a.age = b.age)": lambda a, b: negated(equal(a["age"], b["age"])),
    "a.view = b.view and a.age = b.age": lambda a, b: both(equal(a["view"], b["view"]), equal(a["age"], b["age"])),
    "a.view = b.view and a.age < b.age": lambda a, b: both(
        equal(a["view"], b["view"]), None if a["age"] is None or b["age"] is None else a["age"] < b["age"]
    ),
    "a.view = 'PA' or b.view = 'PA'": lambda a, b: less(equal(a["view"], "PA"), equal(b["view"], "PA")),
    "a.view = 'PA' and b.view = 'AP'": lambda a, b: both(equal(a["view"], "PA"), equal(b["view"], "AP")),
    "a.view is null": lambda a, b: a["view"] is None,
    "a.view is not distinct from b.view": lambda a, b: a["view"] == b["view"],
    "abs(a.age - b.age) < 3": lambda a, b: (
        None if a["age"] is None or b["age"] is None else abs(a["age"] - b["age"]) < 3
    ),
    "word(a.caption, 'left') and word(b.caption, 'right')": lambda a, b: (
        bool(re.search(r"\bleft\b", a["caption"])) and bool(re.search(r"\bright\b", b["caption"]))
    ),
    "lower(a.view) = lower(b.view)": lambda a, b: equal(a["view"], b["view"]),
    "a.key <> b.key": lambda a, b: a["key"] != b["key"],
    "true": lambda a, b: True,
}

pairs = st.lists(
    st.tuples(
        st.sampled_from([None, "", "PA", "AP"]),
        st.sampled_from([None, 1, 2, 5]),
        st.lists(st.sampled_from(["left lung", "right lung", "leftmost", "clear"]), min_size=1, max_size=2),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(pairs, st.sampled_from(list(MEANINGS)), st.booleans(), st.sampled_from([None, "refuse", "allow"]), st.booleans())
def test_a_rule_means_what_a_slow_reference_says(
    data: list[tuple[str | None, int | None, list[str]]], text: str, require: bool, unknown: str | None, small: bool
) -> None:
    catalog = catalog_of([c for *_, c in data], view=[v for v, *_ in data], age=[age for _, age, _ in data])
    rule = {"require" if require else "forbid": text, "unknown": unknown}
    with pytest.MonkeyPatch.context() as patch:
        if small:  # as where there are too many different values for a table of all combinations
            patch.setattr(conditions, "_MAX_COMBINATIONS", 0)
        compiled_rules = compile_for(catalog, pairs=[rule])
        result = compiled_rules.allowed(every(len(compiled_rules.never)))
    entries = [
        {"view": view or None, "age": age, "caption": caption, "key": str(row)}
        for row, (view, age, captions) in enumerate(data)
        for caption in captions
    ]

    def broken(a: Pair, b: Pair) -> bool:
        truth = MEANINGS[text](a, b)
        if truth is None:
            return unknown == "refuse" if unknown else require
        return truth != require

    expected = [not broken(a, b) and not broken(b, a) for a in entries for b in entries]
    assert result.tolist() == expected
    if compiled_rules.groups is not None:
        same = (compiled_rules.groups[:, None] == compiled_rules.groups[None]) & (compiled_rules.groups >= 0)[:, None]
        assert (result <= same.ravel()).all()


def test_high_cardinality_equality_needs_no_queries() -> None:
    n = 5000
    catalog = catalog_of([1] * n, patient=[f"p{i // 2}" for i in range(n)], age=list(range(n)))
    compiled_rules = compile_for(
        catalog,
        pairs=[
            {"forbid": "a.patient = b.patient"},
            {"require": "a.age <> b.age"},
            {"require": "word(a.caption, '0') = word(b.caption, '0')"},
        ],
    )
    kinds = [
        type(rule.test.condition).__name__ for rule in compiled_rules.constraints if isinstance(rule.test, EitherOrder)
    ]
    assert "Query" not in kinds
    candidates = Candidates(np.array([0, 2]), np.array([1, 4]), np.ones(2, np.uint8), np.zeros(2, bool))
    assert compiled_rules.allowed(candidates).tolist() == [False, True]


def test_images_captions_and_never() -> None:
    catalog = catalog_of(
        [["ct slice"], ["film"], ["collage"], ["film, lateral"]],
        modality=["ct", "xr", "xr", "xr"],
        box=["10,10,20,20", None, None, "0.5,0.5,1,1"],
    )
    compiled_rules = compile_for(
        catalog,
        images=[
            {"when": "modality = 'ct'", "axis": "vertical", "region": "box"},
            {"axis": "horizontal", "mirror": False},
            {"when": "word(caption, 'lateral')", "whole": True, "mirror": True},
        ],
        captions=[
            {"when": "a.modality = b.modality", "joiner": " / "},
            {"template": "{b}: {a}"},
            {"forbid": "film.*film"},
        ],
        never=[{"when": "word(caption, 'collage')", "why": "several pictures in one"}],
    )
    assert compiled_rules.axis.tolist() == [LEFT_RIGHT, TOP_BOTTOM, TOP_BOTTOM, TOP_BOTTOM]
    assert compiled_rules.mirror.tolist() == [False] * 4
    assert compiled_rules.whole.tolist() == [False, False, False, True]
    assert compiled_rules.regions is not None
    np.testing.assert_allclose(compiled_rules.regions[0], [0.25, 1 / 3, 0.5, 2 / 3], atol=1e-6)
    assert np.isnan(compiled_rules.regions[1:]).all()
    assert compiled_rules.never.tolist() == [False, False, True, False]
    result = compiled_rules.allowed(every(4)).reshape(4, 4)
    assert not result[2].any()
    assert not result[:, 2].any()
    assert not result[1, 3]
    assert result[0, 1]
    candidates = every(4)
    assert compiled_rules.wording(candidates).reshape(4, 4)[0].tolist() == [1, 2, 2, 2]
    assert compiled_rules.wordings[1].text("x", "y", LEFT_RIGHT, False) == "y: x"


def test_fields_build_on_one_another_and_missing_columns_are_unknown() -> None:
    compiled_rules = compile_for(
        catalog_of([["left"], ["right"], ["none"]]),
        columns={"view": ["view_position", "projection"]},
        fields={"side": r"regexp_extract(caption, '(left|right)', 1)", "known": "coalesce(view, side)"},
        pairs=[{"require": "a.known = b.known"}],
    )
    assert compiled_rules.groups is not None
    assert compiled_rules.groups.tolist()[2] == -1
    assert len(set(compiled_rules.groups.tolist())) == 3


@pytest.mark.parametrize("more", [{}, {"age": pa.nulls(3, pa.string())}, {"age": [" ", "", None]}])
@pytest.mark.parametrize(
    "expression", ["abs(a.age - b.age) < 3", "a.age > 60 and b.age > 60", "lower(a.age) = b.age", "word(a.age, 'x')"]
)
def test_a_column_without_a_value_is_unknown_as_text_and_as_number(more: dict[str, Any], expression: str) -> None:
    compiled_rules = compile_for(
        catalog_of([1, 1, 1], **more),
        columns={"years": ["age"]},
        fields={"old": "years > 60"},
        pairs=[{"forbid": "a.old = b.old"}, {"forbid": expression.replace("age", "years")}],
    )
    assert compiled_rules.allowed(every(3)).all()
    compiled_rules = compile_for(
        catalog_of([1, 1, 1], **more),
        columns={"years": ["age"]},
        pairs=[{"require": expression.replace("age", "years")}],
    )
    assert not compiled_rules.allowed(every(3)).any()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("pairs:\n  - require: a.veiw = b.view\n", r"line 2: unknown column 'veiw' .*did you mean 'view'"),
        ("pairs:\n  - forbid: a.view = b.view\n  - require: view = b.view\n", r"line 4: column 'view' .*a\.view"),
        ("fields:\n  x: a.view\n", r"line 2: .*names a side"),
        ("fields:\n  x: lower(y)\n  y: lower(view)\n", r"line 2: unknown column 'y'"),
        ("never:\n  - when: sleep_ms(1)\n", r"line 2: .*sleep_ms.* cannot be used"),
        ("never:\n  - when: view\n", r"line 2: `view` is not a condition"),
        ("pairs:\n  - require: lower(a.view)\n", r"line 2: `lower\(a\.view\)` is not a condition"),
        ("captions:\n  - forbid: '(left'\n", r"line 2: .*"),
        ("captions:\n  - when: a.x = 1\n    joiner: x\n", r"line 2: unknown column 'x'"),
        ("images:\n  - region: bax\n", r"line 2: unknown column 'bax'"),
        ("images:\n  - region: view\n", r"line 2: column 'view' of pair '0' holds 'PA', which is no box"),
        ("never:\n  - when: word(size_in_mm, 'x')\n", r"line 2: .*`word` looks into texts, write cast"),
        ("pairs:\n  - require: a.view = (select 1)\n", r"line 2: .*subquery"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Any, rules: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: x\n" + rules)
    with pytest.raises(UserError, match=r"mine\.yaml, " + message.replace("line 2", "line [23]")):
        compile_rules(
            read_rules(file), CatalogColumns(catalog_of([1, 1], view=["PA", "AP"], size_in_mm=[3, 4])), Wording()
        )
