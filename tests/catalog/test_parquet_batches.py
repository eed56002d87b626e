"""What a Parquet file unpacks to is known before it is read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipc.catalog.parquet_batches import safe_batch
from clipc.catalog.sources.grid import read_grid
from clipc.errors import UserError


@pytest.mark.parametrize("size", [1, 1000, 100_000, 3_000_000])
def test_the_size_of_a_dictionary_is_read_from_its_page(tmp_path: Path, size: int) -> None:
    file = tmp_path / "a.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 50, pa.int32()), pa.array(["x" * size]))
    pq.write_table(pa.table({"a": column}), file, dictionary_pagesize_limit=1 << 30)
    rows = safe_batch(file, pq.read_metadata(file))
    assert rows == (1 << 27) // (size + 4)  # a value is stored with its length


def test_a_long_value_that_is_stored_once_does_not_fill_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(["x" * 2_000_000]))
    pq.write_table(pa.table({"image": ["a.png"] * 4000, "text": text}), file, dictionary_pagesize_limit=1 << 30)
    before = pa.total_allocated_bytes()
    records = read_grid(file).records
    for _ in range(100):
        next(records)
        assert pa.total_allocated_bytes() - before < 400_000_000


def test_a_column_of_a_thousand_times_its_size_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    column = pa.array(["x" * 1_000_000] * 600)
    pq.write_table(pa.table({"a": column}), file, use_dictionary=False, compression="zstd")
    with pytest.raises(UserError, match="column a of row group 0 unpacks to 572 MiB"):
        read_grid(file)


def test_strings_that_are_no_text_cost_their_own_row(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    offsets, data = pa.py_buffer(np.array([0, 2, 4, 8], np.int32)), pa.py_buffer(b"ok\xff\xfefine")
    raw = pa.Array.from_buffers(pa.string(), 3, [None, offsets, data])
    pq.write_table(pa.table({"image": ["a", "b", "c"], "text": raw}), file)
    values = [record.values for record in read_grid(file).records]
    assert [value["text"] for value in values if isinstance(value, dict)] == ["ok", "fine"]
    assert "cannot be read" in str(values[1])
