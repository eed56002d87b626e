"""Metadata columns take the type of what is in them."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipc.catalog import columns
from clipc.catalog.open import open_catalog
from clipc.catalog.rows import Row
from clipc.catalog.values import plain_values

NUMBERS = pa.list_(pa.float32())
RECORDS: list[dict[str, Any]] = [
    {"vector": [0.5, -1, 2], "box": [1, 2, 30, 40], "mixed": [1.0, 2], "texts": ["a", "b"], "late": None},
    {"vector": [1.5, 0.25, 0], "box": None, "mixed": "none", "texts": [], "late": None},
    {"vector": None, "box": [], "mixed": 7, "texts": None, "late": [3.5]},
]


def catalog_of(folder: Path, picture: Any, suffix: str) -> Any:
    records = [{"image": f"{n}.jpg", "caption": f"part {n}", **record} for n, record in enumerate(RECORDS)]
    for record, n in zip(records, range(3), strict=True):
        (folder / record["image"]).write_bytes(picture(n))
    if suffix == "parquet":
        for record in records:
            del record["mixed"]  # a Parquet column has one type
        pq.write_table(pa.Table.from_pylist(records), folder / "t.parquet")
    else:
        (folder / "t.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return open_catalog(folder / f"t.{suffix}")


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_lists_of_numbers_arrive_as_lists(tmp_path: Path, picture: Any, suffix: str) -> None:
    catalog = catalog_of(tmp_path, picture, suffix)
    types = {field.name: field.type for field in catalog.table.schema}
    assert [types[name] for name in ("vector", "box", "late")] == [NUMBERS] * 3
    assert catalog.column("vector") == [[0.5, -1.0, 2.0], [1.5, 0.25, 0.0], None]
    assert catalog.column("box") == [[1.0, 2.0, 30.0, 40.0], None, None]
    assert catalog.column("late") == [None, None, [3.5]]
    assert "texts" not in types


def test_lists_among_other_values_become_texts(tmp_path: Path, picture: Any) -> None:
    assert catalog_of(tmp_path, picture, "jsonl").column("mixed") == ["[1.0, 2.0]", "none", "7"]


def column_of(values: list[Any], chunk: int) -> pa.ChunkedArray:
    """The column of some values, collected in chunks of that many rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_CHUNK", chunk)
        made = columns.Columns()
        for n, value in enumerate(values):
            made.add(Row(f"k{n}", ["c"], None, None, "f", more={"v": value, **plain_values({"v": value})}))
        return made.table()["v"]


def test_a_column_that_turns_to_text_late_is_text_from_the_start() -> None:
    column = column_of([[1, 2], None, [0.5], "text"], 2)
    assert column.to_pylist() == ["[1.0, 2.0]", None, "[0.5]", "text"]


def test_integers_beyond_the_precision_of_floats_are_rounded_where_floats_follow() -> None:
    column = column_of([2**53 + 1, 2**62 + 1, 0.5], 2)
    assert column.type == pa.float64()
    assert column.to_pylist() == [2.0**53, 2.0**62, 0.5]


INTEGERS = st.integers(-(2**64), 2**64) | st.integers(-9, 9)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LISTS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=3)
VALUES = st.none() | st.booleans() | INTEGERS | FLOATS | LISTS | st.sampled_from(["text", "1.50", "\ud800"])


@given(st.lists(st.none() | INTEGERS | FLOATS, min_size=1) | st.lists(VALUES, min_size=1), st.integers(1, 5))
@example([2**53 + 1, 0.5], 1)
@example([1.0, "text"], 1)
@example([1e16, 1e-7, "text"], 2)
@example([2**53 + 1, 0.5, "text"], 2)
@example([True, False, "text"], 2)
@example([None, [0.5]], 1)
def test_chunks_do_not_change_a_column(values: list[Any], chunk: int) -> None:
    whole, parts = column_of(values, len(values) + 1), column_of(values, chunk)
    assert parts.type == whole.type
    assert parts.to_pylist() == whole.to_pylist()


@pytest.mark.parametrize("value", [[10**400], [True, 2], [None, 1.0], [[1.0]], {}, [], math.nan])
def test_what_is_no_plain_value_is_left_out(value: Any) -> None:
    assert plain_values({"v": value}) == {}
