"""The sandbox computes what is allowed as DuckDB does."""

from collections.abc import Callable, Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.compose.rules.sandbox import Sandbox
from clipc.errors import UserError

from .expressions import TABLE, column


@pytest.fixture(scope="module")
def plain() -> Iterator[Callable[[str], pa.Table]]:
    """DuckDB's own answer to an expression, without any safety."""
    connections = [duckdb.connect()]
    connections[0].register("t", TABLE)
    yield lambda text: connections[0].sql(f"select {text} as k from t").to_arrow_table()
    connections.pop().close()


ALLOWED = [
    "lower(x) || upper(x)",
    "x like 'l%' or x ilike 'RIGHT' or x not like '%f_'",
    "x like '!%' escape '!'",
    "trim(x) = ltrim(rtrim(x))",
    "substring(x from 2 for 2) || substr(x, 1, 1) || left(x, 2) || right(x, 2)",
    "contains(x, 'e') and starts_with(x, 'l') and ends_with(x, 't') and prefix(x, 'l') and suffix(x, 't')",
    "replace(x, 'l', 'L') || concat(x, n, r)",
    "regexp_extract(lower(x), '\\b(left|right)\\b', 1)",
    "regexp_replace(x, '[aeiou]', '_', 'g')",
    "regexp_full_match(x, '[a-z]*', 'i') and x ~ 'e' and x !~ 'q' and x similar to 'l.*'",
    "split_part(x, 'e', 1) || strip_accents('é') || nfc_normalize(x)",
    "coalesce(nullif(x, ''), 'none') || ifnull(x, '?')",
    "greatest(n, 2) + least(n, 1) - abs(n) * 3",
    "round(r, 1) + floor(r) + ceil(r) + sqrt(abs(r)) + n / 2 + n // 2 + n % 2 - -n",
    "year(day) * 10000 + month(day) * 100 + day(day) + extract(dow from day)",
    "date_diff('day', day, date '2024-02-29')",
    "case n when 1 then 'one' when 2 then 'two' else 'more' end",
    "case when n > 1 then x end",
    "n between 0 and 1 or n not between -5 and 5 or r in (0.5, n) or x not in ('left')",
    "x is distinct from 'left' and n is not null and (n > 1) is true",
    "x::varchar || n::text || cast(r as decimal(10, 2)) || day::varchar(10)",
    "try_cast(x as integer) is null and try_cast(x as date) is null",
    "'e' in x and length(x) > 2",
    "1e3 + 1_000 + 123456789012345678",
    "day < '2023-01-01'",
    "null",
]


@pytest.mark.parametrize("text", ALLOWED)
def test_allowed_expressions_are_what_duckdb_makes_of_them(
    sandbox: Sandbox, plain: Callable[[str], pa.Table], text: str
) -> None:
    expected = plain(text)
    result = sandbox.evaluate(TABLE, {"k": sandbox.parse(text)})
    assert result.equals(expected)


_leaves = st.sampled_from(["n", "r", "1", "-2", "0.5", "nullif(1, 1)", "length(x)"])
_numbers = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "floor", "ceil", "round", "-"]), inner),
        st.builds("coalesce({}, {})".format, inner, inner),
        st.builds("case when {} > {} then {} else {} end".format, inner, inner, inner, inner),
        st.builds("try_cast(x || {} as integer)".format, inner),
        st.builds("cast({} as integer)".format, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(text=_numbers)
def test_any_allowed_expression_is_what_duckdb_makes_of_it(
    sandbox: Sandbox, plain: Callable[[str], pa.Table], text: str
) -> None:
    try:
        expected = plain(text)
    except duckdb.Error:
        with pytest.raises(UserError):
            column(sandbox, text)
        return
    result = sandbox.evaluate(TABLE, {"k": sandbox.parse(text)})
    assert result.schema == expected.schema
    np.testing.assert_array_equal(result["k"].to_numpy(), expected["k"].to_numpy())  # NaN equals NaN here


def test_rows_keep_their_order_over_many_messages(sandbox: Sandbox) -> None:
    numbers = np.random.Generator(np.random.Philox(0)).integers(0, 1000, 450_001)
    table = pa.table({"n": numbers})
    result = sandbox.evaluate(table, {"twice": sandbox.parse("n * 2"), "one": sandbox.parse("1")})
    assert result.column_names == ["twice", "one"]
    assert (result["twice"].to_numpy() == 2 * numbers).all()
    assert len(result["one"]) == len(numbers)


def test_pairs_are_taken_by_position(sandbox: Sandbox) -> None:
    generator = np.random.Generator(np.random.Philox(1))
    table = pa.table({"n": generator.integers(0, 9, 1000), "s": [f"v{i % 7}" for i in range(1000)]})
    numbers, texts = table["n"].to_numpy(), np.array(table["s"].to_pylist())
    for _ in range(2):  # the second call finds the table loaded
        a, b = generator.integers(0, 1000, (2, 300_000))
        result = sandbox.evaluate_pairs(
            table, a, b, {"less": sandbox.parse("a.n < b.n"), "same": sandbox.parse("A.S = b.s and a.n < 5")}
        )
        assert (result["less"].to_numpy() == (numbers[a] < numbers[b])).all()
        assert (result["same"].to_numpy() == ((texts[a] == texts[b]) & (numbers[a] < 5))).all()
    other = pa.table({"n": [1, 2]})
    assert sandbox.evaluate_pairs(other, np.array([0]), np.array([1]), {"k": sandbox.parse("a.n - b.n")})[
        "k"
    ].to_pylist() == [-1]
    assert sandbox.evaluate_pairs(other, np.array([0, 1]), np.array([1, 1]), {"k": sandbox.parse("true")}).num_rows == 2


def test_empty_tables_have_types(sandbox: Sandbox) -> None:
    empty = TABLE.slice(0, 0)
    result = sandbox.evaluate(empty, {"k": sandbox.parse("x = 'left'")})
    assert (result.num_rows, result.schema.field("k").type) == (0, pa.bool_())
    nothing = np.array([], dtype=np.int64)
    assert sandbox.evaluate_pairs(TABLE, nothing, nothing, {"k": sandbox.parse("a.x = b.x")}).num_rows == 0
    assert sandbox.evaluate(TABLE, {}).shape == (4, 0)


def test_columns_of_any_type_can_be_compared(sandbox: Sandbox) -> None:
    table = pa.table(
        {
            "view": pa.array(["PA", "AP", None]).dictionary_encode(),
            "large": pa.array(["PA", "L", ""], pa.large_string()),
            "tags": [["u"], [], None],
            "none": pa.nulls(3),
        }
    )
    assert column(sandbox, "view = 'no such view'", table) == [False, False, None]
    assert column(sandbox, "view = large", table) == [True, False, None]
    assert column(sandbox, "list_contains(tags, 'u')", table) == [True, False, None]
    assert column(sandbox, "none is null or none = 'x'", table) == [True] * 3


def test_columns_that_differ_in_case_stay_apart(sandbox: Sandbox) -> None:
    table = pa.table({"View": ["a"], "view": ["b"], "column0_": ["c"], "rows": ["d"], "a": ["e"]})
    assert column(sandbox, "View || view || column0_ || rows || a", table) == ["abcde"]
