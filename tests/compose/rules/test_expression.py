"""What may stand in an expression, and what is known of it without running it."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clipc.compose.rules.expression import Column, Expression, comparison, equal_terms, hoist
from clipc.compose.rules.sandbox import Sandbox
from clipc.errors import UserError


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with closing(Sandbox()) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a.view = B.view", {("a", "view"), ("b", "view")}),
        ("lower(caption) LIKE '%left%'", {("", "caption")}),
        ("\"Finding Site\" = '肺' and 部位 is not null", {("", "Finding Site"), ("", "部位")}),
        ('a."say ""hi""" = 1', {("a", 'say "hi"')}),
        ("case when x then y else coalesce(z, 'w') end", {("", "x"), ("", "y"), ("", "z")}),
        ("word(a.caption, 'left')", {("a", "caption")}),
        ("1 = 1", set()),
    ],
)
def test_columns_are_known_without_running(sandbox: Sandbox, text: str, columns: set[tuple[str, str]]) -> None:
    assert sandbox.parse(text).columns == {Column(*column) for column in columns}


def test_equal_trees_are_equal_wherever_they_stand(sandbox: Sandbox) -> None:
    assert sandbox.parse("x  <>  1").tree == sandbox.parse("x != 1 -- not one").tree
    assert sandbox.parse("LOWER(x)::int").tree == sandbox.parse("cast( lower(x) as INTEGER)").tree


def test_columns_are_spelt_as_in_the_table(sandbox: Sandbox) -> None:
    spelt = sandbox.parse("a.VIEW = b.View and a.é = 1").resolve_columns(["view", "e\u0301"], sides=True)
    assert spelt.columns == {Column("a", "view"), Column("b", "view"), Column("a", "e\u0301")}
    assert equal_terms(spelt)[0] == ["view"]


def test_an_exact_name_comes_before_one_in_other_case(sandbox: Sandbox) -> None:
    assert sandbox.parse("View = view").resolve_columns(["view", "VIEW", "View"], sides=False).columns == {
        Column("", "View"),
        Column("", "view"),
    }


@pytest.mark.parametrize(
    ("text", "sides", "message"),
    [
        ("a.veiw = b.view", True, "unknown column 'veiw' in `a.veiw = b.view`; did you mean 'view'?"),
        ("wholly = 1", False, "unknown column 'wholly' in `wholly = 1`; there are: age, view."),
        ("view = b.view", True, "column 'view' in `view = b.view` belongs to neither pair; write a.view or b.view"),
        ('view = "lateral view"', False, "unknown column 'lateral view' in"),
        ('a.view = "lateral view"', True, """write a."lateral view" or b."lateral view" to name the pair"""),
        ("a.view = ‘PA’", True, "unknown column '‘PA’' in `a.view = ‘PA’`; type quotation marks straight, as in 'PA'."),
        (
            "a.view = 'x'",
            False,
            "`a.view` in `a.view = 'x'` names a side, but the rule is about one pair; write view",
        ),
    ],
)
def test_wrong_columns_are_told(sandbox: Sandbox, text: str, sides: bool, message: str) -> None:
    with pytest.raises(UserError) as caught:
        sandbox.parse(text).resolve_columns(["view", "age", "__derived"], sides)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "terms", "rest"),
    [
        ("a.x = b.x", ["x"], None),
        ("b.x = a.x and a.y = b.y", ["x", "y"], None),
        ("a.x = b.x and a.y < b.y", ["x"], "a.y < b.y"),
        ("not (a.x <> b.x) and a.y and b.y", ["x"], "a.y and b.y"),
        ("a.x = b.y", [], "a.x = b.y"),
        ("a.x = a.x", [], "a.x = a.x"),
        ("a.x = 'u'", [], "a.x = 'u'"),
        ("a.x = b.x or a.y = b.y", [], "a.x = b.x or a.y = b.y"),
        ("a.x is not distinct from b.x", [], "a.x is not distinct from b.x"),
        ("a.x <> b.x", [], "a.x <> b.x"),
        ("lower(a.x) = lower(b.y)", [], "lower(a.x) = lower(b.y)"),
        ("a.x || b.x = b.x || a.x", [], "a.x || b.x = b.x || a.x"),
    ],
)
def test_terms_of_equality_are_found(sandbox: Sandbox, text: str, terms: list[str], rest: str | None) -> None:
    result, other = equal_terms(sandbox.parse(text))
    assert result == terms
    assert (other and other.tree) == (rest and sandbox.parse(rest).tree)


def test_equal_parts_of_both_sides_go_by_the_name_that_hoisting_gives(sandbox: Sandbox) -> None:
    expression = sandbox.parse("lower(b.x) = lower(a.x) and a.y = b.y and word(a.c, 'left')")
    terms, rest = equal_terms(expression)
    residual, derived = hoist(expression)
    assert equal_terms(residual)[0] == terms == [terms[0], "y"]
    assert derived[terms[0]].tree == sandbox.parse("lower(x)").tree
    assert rest is not None
    assert rest.tree == sandbox.parse("word(a.c, 'left')").tree


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a.patient <> b.patient", ("patient", "<>")),
        ("b.patient != a.patient", ("patient", "<>")),
        ("a.patient = b.patient", ("patient", "=")),
        ("not a.patient = b.patient", ("patient", "<>")),
        ("a.patient <> b.patient and a.x = b.x", None),
        ("a.patient < b.patient", None),
        ("a.patient <> b.name", None),
        ("not a.patient", None),
    ],
)
def test_a_lone_comparison_is_recognised(sandbox: Sandbox, text: str, result: tuple[str, str] | None) -> None:
    assert comparison(sandbox.parse(text).root) == result


def test_what_looks_at_one_pair_is_hoisted_and_shared(sandbox: Sandbox) -> None:
    text = "word(a.c, 'left') and word(b.c, 'right') and not word(b.c, 'left') and a.n + b.n > 3 and a.y = b.y"
    residual, derived = hoist(sandbox.parse(text))
    again = hoist(sandbox.parse("word(a.c, 'left') or a.x = b.x"))[1]
    assert set(again) < set(derived)  # equal parts have equal names in all expressions
    assert len(derived) == 3
    assert {column.name for column in residual.columns} == {*derived, "n", "y"}
    assert all(expression.columns == {Column("", "c")} for expression in derived.values())


def test_a_whole_expression_about_one_pair_becomes_one_column(sandbox: Sandbox) -> None:
    residual, derived = hoist(sandbox.parse("a.x = 'u' and lower(a.y) = 'v'"))
    assert residual.columns == {Column("a", name) for name in derived}
    assert len(derived) == 1


@pytest.mark.parametrize("text", ["a.x = b.x", "a.x", "1 = 1", "a.x <> b.y or b.x is distinct from a.y"])
def test_bare_columns_and_constants_stay(sandbox: Sandbox, text: str) -> None:
    residual, derived = hoist(sandbox.parse(text))
    assert (residual, derived) == (sandbox.parse(text), {})


def test_what_is_guarded_stays_guarded(sandbox: Sandbox) -> None:
    table = pa.table({"kind": ["n", "t"], "value": ["3", "tall"]})
    text = "case when a.kind = 'n' and b.kind = 'n' then a.value::int = b.value::int else false end"
    residual, derived = hoist(sandbox.parse(text))
    table = table.append_column("none", pa.nulls(2))
    for name, column in zip(derived, sandbox.evaluate(table, derived).columns, strict=True):
        table = table.append_column(name, column)
    rows = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert sandbox.evaluate_pairs(table, *rows, {"k": residual})["k"].to_pylist() == [True, False, False, False]


def _texts(columns: list[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(columns) | st.sampled_from(["'u'", "'Uv'", "''", "nullif('u', 'u')"]),
        lambda inner: st.one_of(
            st.builds("lower({})".format, inner),
            st.builds("({} || {})".format, inner, inner),
            st.builds("coalesce({}, {})".format, inner, inner),
            st.builds("nullif({}, {})".format, inner, inner),
            st.builds("case when {} = {} then {} else {} end".format, inner, inner, inner, inner),
        ),
        max_leaves=4,
    )


def _booleans(columns: list[str]) -> st.SearchStrategy[str]:
    text = _texts(columns)
    leaf = st.one_of(
        st.builds("({} {} {})".format, text, st.sampled_from(["=", "<>", "<", ">=", "is distinct from", "like"]), text),
        st.builds("({} is null)".format, text),
        st.builds("({} between {} and {})".format, text, text, text),
        st.builds("({} in ('u', {}))".format, text, text),
        st.builds("word({}, 'u')".format, text),
        st.builds("regexp_matches({}, '^[uv]')".format, text),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds("({} and {})".format, inner, inner),
            st.builds("({} or {})".format, inner, inner),
            st.builds("(not {})".format, inner),
            st.builds("(case when {} then {} when {} then {} end)".format, inner, inner, inner, inner),
        ),
        max_leaves=5,
    )


_VALUES = pa.table({"x": ["u", "U", "v", None, ""], "y": ["uv", None, "u", "Uv", "v"]})
_A, _B = (grid.ravel() for grid in np.meshgrid(np.arange(5), np.arange(5), indexing="ij"))


def _on_pairs(sandbox: Sandbox, table: pa.Table, expression: Expression) -> list[bool | None]:
    return sandbox.evaluate_pairs(table, _A, _B, {"k": expression})["k"].to_pylist()


@settings(max_examples=80, deadline=None)
@given(text=_booleans(["a.x", "a.y", "b.x", "b.y"]))
def test_hoisting_changes_no_result(sandbox: Sandbox, text: str) -> None:
    expression = sandbox.parse(text)
    try:
        direct = _on_pairs(sandbox, _VALUES, expression)
    except UserError:
        assume(False)
        raise
    residual, derived = hoist(expression)
    table = _VALUES
    if derived:
        for name, column in zip(derived, sandbox.evaluate(_VALUES, derived).columns, strict=True):
            table = table.append_column(name, column)
    assert _on_pairs(sandbox, table, residual) == direct


@settings(max_examples=30, deadline=None)
@given(
    parts=st.lists(st.sampled_from(["a.x = b.x", "b.y = a.y", "lower(a.x) = lower(b.x)", "a.x < b.y", "a.y is null"]))
)
def test_terms_and_the_rest_make_the_whole(sandbox: Sandbox, parts: list[str]) -> None:
    expression = sandbox.parse(" and ".join(parts or ["true"]))
    residual, derived = hoist(expression)
    table = _VALUES
    for name in derived:
        table = table.append_column(name, sandbox.evaluate(_VALUES, derived)[name])
    terms, rest = equal_terms(residual)
    parts_of_it = [_on_pairs(sandbox, table, rest)] if rest else []
    for name in terms:
        values = table[name].to_pylist()
        pairs = [(values[a], values[b]) for a, b in zip(_A, _B, strict=True)]
        parts_of_it.append([None if None in pair else pair[0] == pair[1] for pair in pairs])
    whole = [False if False in row else None if None in row else True for row in zip(*parts_of_it, strict=True)]
    assert whole == _on_pairs(sandbox, _VALUES, expression)
