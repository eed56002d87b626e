"""What a Parquet file unpacks to is known before it is read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipc.catalog.parquet_batches import safe_batch
from clipc.catalog.sources.grid import read_grid
from clipc.errors import UserError


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_the_size_of_a_dictionary_is_read_from_its_page(tmp_path: Path, size: int) -> None:
    file = tmp_path / "a.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 50, pa.int32()), pa.array(["x" * size]))
    pq.write_table(pa.table({"a": column}), file, dictionary_pagesize_limit=1 << 30)
    rows = safe_batch(file, pq.read_metadata(file))
    assert rows == (1 << 27) // (size + 4)  # a value is stored with its length


@pytest.mark.parametrize("others", [0, 5000])
def test_a_long_text_that_is_stored_once_is_refused_before_it_is_repeated(tmp_path: Path, others: int) -> None:
    file = tmp_path / "a.parquet"
    texts = pa.array([*(str(number) for number in range(others)), "x" * 2_000_000])
    text = pa.DictionaryArray.from_arrays(pa.array([others] * 4000, pa.int32()), texts)
    pq.write_table(pa.table({"image": ["a.png"] * 4000, "text": text}), file, dictionary_pagesize_limit=1 << 30)
    before = pa.total_allocated_bytes()
    with pytest.raises(UserError, match="a text of the column text has 2,000,000 bytes, more than 131,072"):
        read_grid(file)
    assert pa.total_allocated_bytes() - before < 100_000_000


def test_many_short_texts_are_no_long_one(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    texts = [f"the plate number {row}" for row in range(20_000)]
    pq.write_table(pa.table({"image": ["a.png"] * 20_000, "text": texts}), file, dictionary_pagesize_limit=1 << 30)
    assert sum(isinstance(record.values, dict) for record in read_grid(file).records) == 20_000


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
