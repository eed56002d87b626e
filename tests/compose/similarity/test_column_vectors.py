"""The user's own vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clipc.catalog.catalog import SCHEMA, About, Catalog
from clipc.compose.similarity.column import column_vectors
from clipc.errors import UserError

LISTS = pa.list_(pa.float32())


def catalog_of(values: Any, kind: Any = None) -> Catalog:
    column = values if isinstance(values, pa.ChunkedArray) else pa.array(values, kind)
    n = len(column)
    table = pa.table({field.name: pa.nulls(n, field.type) for field in SCHEMA})
    table = table.set_column(0, "key", pa.array([f"k{i}" for i in range(n)]))
    return Catalog(table.append_column("vector", column), Path(), "f", About("vectors"))


@pytest.mark.parametrize(
    "values",
    [
        [[3.0, 4.0], [0.0, -2.0]],
        ["3 4", "0  -2.0"],
        ["3, 4", "0,-2"],
        ["[3, 4]", "[0, -2e0]"],
        pa.chunked_array([[[3.0, 4.0]], [], [[0.0, -2.0]]], LISTS),
    ],
)
def test_every_way_to_write_a_vector(values: Any) -> None:
    vectors = column_vectors(catalog_of(values), "vector")
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, -1]], rtol=1e-6)


@pytest.mark.parametrize("values", [[[3.0, 4.0], None, [0.0, 0.0]], ["3 4", " ", "0 0"]])
def test_unknown_vectors_are_zero(values: Any) -> None:
    np.testing.assert_allclose(column_vectors(catalog_of(values), "vector"), [[0.6, 0.8], [0, 0], [0, 0]], rtol=1e-6)


def test_large_numbers_do_not_overflow() -> None:
    vectors = column_vectors(catalog_of([[3e38, 3e38], [1e-30, 0]], LISTS), "vector")
    np.testing.assert_allclose(vectors, [[0.5**0.5, 0.5**0.5], [1, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0], [1.0]], r"column 'vector' of 'k1' \(row 2\) has 1 numbers, but 'k0' has 2"),
        (["1 2", "1 two"], r"'k1' \(row 2\) is '1 two', which is no list of numbers"),
        (["1 2", "[1, [2]]"], "no list of numbers"),
        (["1 2", '[1, "x"]'], "no list of numbers"),
        (["1 2", "[1, true]"], "no list of numbers"),
        (["1 2", "[1, 2"], "no list of numbers"),
        ([5, 6], r"'k0' \(row 1\) is '5'"),
        ([[1.0, 2.0], [1.0, None]], r"'k1' \(row 2\) is"),
        ([[1.0, 2.0], [1.0, float("nan")]], r"'k1' \(row 2\) holds a number that is not finite"),
        (["1 2", "1 inf"], "not finite"),
        ([None, ""], "the column 'vector' is empty"),
    ],
)
def test_what_is_wrong_is_named(values: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        column_vectors(catalog_of(values), "vector")


def test_a_wrong_name_is_answered_by_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'vector'"):
        column_vectors(catalog_of([[1.0]]), "vektor")
