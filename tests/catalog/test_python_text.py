import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.python_text import python_text, python_value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4) | st.dictionaries(TEXTS, VALUES, max_size=4))
def test_it_reads_what_python_prints(value: object) -> None:
    assert python_value(repr(value)) == value


@given(TEXTS)
def test_it_unquotes_as_python_does(text: str) -> None:
    for written in (repr(text), ascii(text)):
        assert python_text(written) == ast.literal_eval(written)


def test_tuples_are_lists_and_final_commas_are_read() -> None:
    assert python_value("('a', 1, ('b',),)") == ["a", 1, ["b"]]


@pytest.mark.parametrize(
    "text", ["['a', f()]", "[1", "['a' 'b']", "{'a'}", "[" * 9999 + "]" * 9999, "['a]", "x", "[--1]"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        python_value(text)
