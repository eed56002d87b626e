"""Metadata columns take the type of what is in them."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipc.catalog import open_catalog

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


def test_a_column_that_turns_to_text_late_is_text_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from clipc.catalog import columns
    from clipc.catalog.rows import Row
    from clipc.catalog.values import plain_values

    monkeypatch.setattr(columns, "_CHUNK", 2)
    made = columns.Columns()
    for n, value in enumerate([[1, 2], None, [0.5], "text"]):
        made.add(Row(f"k{n}", ["c"], None, None, "f", more=plain_values({"v": value})))
    assert made.table()["v"].to_pylist() == ["[1.0, 2.0]", None, "[0.5]", "text"]


@pytest.mark.parametrize("value", [[10**400], [True, 2], [None, 1.0], [[1.0]], {}, [], math.nan])
def test_what_is_no_plain_value_is_left_out(value: Any) -> None:
    from clipc.catalog.values import plain_values

    assert plain_values({"v": value}) == {}
