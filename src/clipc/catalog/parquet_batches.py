"""Batches of rows of Parquet files, whose columns may unpack to far more than the file, and hold what is no text."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from clipc.errors import UserError, first_line
from clipc.limits import BATCH_BYTES, CELL, UNPACKED_BYTES, UNPACKED_TIMES


def rows_of(batch: Any) -> Iterator[dict[str, Any] | str]:
    """The rows of a batch; of one that holds a value which Python cannot represent, such as bad UTF-8, the fault."""
    try:
        yield from batch.to_pylist(maps_as_pydicts="lossy")
    except (ValueError, OverflowError, TypeError) as error:
        if batch.num_rows == 1:
            yield f"a value cannot be read: {first_line(error)}"
            return
        for at in range(batch.num_rows):
            yield from rows_of(batch.slice(at, 1))


def safe_batch(path: Path, metadata: Any) -> int:
    """How many rows may be decoded at once, so that values which are stored once and repeated do not fill the memory.

    Args:
        path: The file.
        metadata: Its metadata, as pyarrow reads them.

    Raises:
        UserError: A column of a row group is a thousand times its packed size, or a text that is stored once for many
            rows is longer than :data:`~clipc.limits.CELL`.
    """
    largest, long_texts = 1, dict[str, int]()
    with open(path, "rb") as file:
        for group in range(metadata.num_row_groups):
            for place in range(metadata.num_columns):
                column = metadata.row_group(group).column(place)
                packed, unpacked = column.total_compressed_size, column.total_uncompressed_size
                if unpacked > UNPACKED_BYTES and unpacked > UNPACKED_TIMES * packed:
                    raise UserError(
                        f"{path}: the column {column.path_in_schema} of row group {group} unpacks to "
                        f"{unpacked >> 20:,} MiB, more than {UNPACKED_TIMES} times its size; write smaller row groups."
                    )
                if column.has_dictionary_page:
                    file.seek(column.dictionary_page_offset)
                    page = _page_bytes(file.read(16))
                    largest = max(largest, page)
                    if page > CELL and column.physical_type == "BYTE_ARRAY" and "." not in column.path_in_schema:
                        long_texts.setdefault(column.path_in_schema, group)
    for name, group in long_texts.items():
        _check_texts(path, name, range(group, metadata.num_row_groups))
    return max(1, BATCH_BYTES // largest)


def _check_texts(path: Path, name: str, groups: Iterable[int]) -> None:
    """Checks the lengths of a column's texts that are stored once for many rows, before they are repeated."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, read_dictionary=[name])
    for group in groups:
        for batch in file.iter_batches(batch_size=1, row_groups=[group], columns=[name]):
            values = batch.column(0)
            if not (pa.types.is_dictionary(values.type) and pa.types.is_string(values.type.value_type)):
                return
            longest = max(map(len, values.dictionary.cast(pa.binary()).to_pylist()), default=0)
            if longest > CELL:
                raise UserError(
                    f"{path}: a text of the column {name} has {longest:,} bytes, more than {CELL:,}; leave it out."
                )
            break


def _page_bytes(header: bytes) -> int:
    """The unpacked size of a page, the second number of its header: a Thrift varint after a byte of its own."""
    at = 1
    while at < len(header) and header[at] & 0x80:  # the first number is the kind of page
        at += 1
    value = shift = 0
    for byte in header[at + 2 :]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return value >> 1
