"""Tables of any format as records: CSV and other separated text, JSON lines, Parquet."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

from clipc.catalog.rows import IMAGE_SUFFIXES
from clipc.catalog.sources.encoding import Encoding, detect_encoding, named_encoding
from clipc.errors import UserError

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
"""File name endings, in lower case, of tables that can be read."""

_SNIFFED = 64 << 20
_LONGEST_LINE = 16 << 20
_SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}


class Record(NamedTuple):
    """One row: its number as a spreadsheet counts (from 1, the heading included), and its values or what is wrong."""

    number: int
    values: Mapping[str, Any] | str


class Grid(NamedTuple):
    """A table: its columns, its records one after the other, how it was read, and whether values are text only."""

    names: list[str]
    records: Iterator[Record]
    note: str
    texts: bool


def read_grid(path: Path, encoding: str | None = None) -> Grid:
    """Opens a table.

    Args:
        path: The file; Parquet is recognised by its ending or first bytes, JSON by its first character, and
            everything else is text with separators.
        encoding: The encoding of a text file; detected by default.

    Raises:
        UserError: It cannot be read as a table.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return read_parquet(path)
        with open(path, "rb") as file:
            head = file.read(_SNIFFED + 1)
        if not head.strip(b"\0 \r\n\t"):
            raise UserError(f"{path} is empty.")
        if head[:4] == b"PAR1":
            return read_parquet(path)
        if head[:2] == b"PK":
            raise UserError(f"{path} is a workbook or an archive; save the sheet as CSV first.")
        try:
            coding = named_encoding(encoding) if encoding else detect_encoding(head, whole=len(head) <= _SNIFFED)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        text = head[: 1 << 20].decode(coding.codec, coding.errors)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    if text.lstrip("\ufeff \r\n\t")[:1] in ("{", "["):
        return _json(path, coding, text)
    return _separated(path, coding, text)


def _separated(path: Path, coding: Encoding, text: str) -> Grid:
    separator, quoting = _dialect(text, path.suffix.lower())

    def rows() -> Iterator[tuple[int, list[str] | str]]:
        with open(path, encoding=coding.codec, errors=coding.errors, newline="") as file:
            yield from _rows(file, separator, quoting)

    first = next(rows(), (0, ""))[1]
    cells = [cell.strip().lstrip("\ufeff") for cell in first] if isinstance(first, list) else []
    has_heading = not any(cell.lower().endswith(IMAGE_SUFFIXES) for cell in cells)
    names = _distinct(cells if has_heading else [""] * len(cells))
    note = f"read as {coding.readable}, separated by {_SEPARATORS[separator]}"
    note += "" if has_heading else ", without a heading"
    return Grid(names, _records(rows(), names, has_heading), note, texts=True)


def _records(rows: Iterable[tuple[int, list[str] | str]], names: list[str], has_heading: bool) -> Iterator[Record]:
    for number, row in islice(rows, int(has_heading), None):
        if isinstance(row, str):
            yield Record(number, row)
        elif len(row) > len(names) and any(cell.strip() for cell in row[len(names) :]):
            yield Record(number, f"the row has {len(row)} cells, the heading {len(names)}: is a separator not quoted?")
        elif any(cell.strip() for cell in row):
            yield Record(number, dict(zip(names, row, strict=False)))


def _rows(file: Iterable[str], separator: str, quoting: Any) -> Iterator[tuple[int, list[str] | str]]:
    """Numbered rows, or what is wrong with one. A quote that is never closed costs its own line, not those after it."""
    again: list[str] = []
    used: list[str] = []
    lines = iter(file)

    def feed() -> Iterator[str]:
        while (line := again.pop() if again else next(lines, None)) is not None:
            used.append(line)
            yield line

    reader = csv.reader(feed(), delimiter=separator, quoting=quoting)
    for number in count(1):
        used.clear()
        try:
            row, fault = next(reader, None), None
        except csv.Error as error:
            row, fault = [], f"the row cannot be read: {error}"
        if row is None:
            return
        unclosed = len(used) > 1 and sum(line.count('"') for line in used) % 2 == 1
        if len(used) > 1 and (fault or unclosed):
            again.extend(reversed(used[1:]))
            reader = csv.reader(feed(), delimiter=separator, quoting=quoting)
            fault = "a quotation mark is not closed"
        if fault or row:
            yield number, fault or row


def _dialect(text: str, suffix: str) -> tuple[str, Any]:
    """The separator and the ``csv`` quoting mode that split the text into the most even table."""
    scores: dict[tuple[str, Any], tuple[float, bool, bool, int]] = {}
    for separator in _SEPARATORS:
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            rows = [row for _, row in islice(_rows(io.StringIO(text, newline=""), separator, quoting), 200)]
            width = len(rows[0]) if rows else 0
            if width < 2:
                continue
            even = sum(len(row) == width and isinstance(row, list) for row in rows) / len(rows)
            fits = (separator == "\t") == (suffix == ".tsv")
            scores[separator, quoting] = (round(even, 2), quoting == csv.QUOTE_MINIMAL, fits, width)
    return max(scores, key=lambda dialect: scores[dialect], default=(",", csv.QUOTE_MINIMAL))


def _json(path: Path, coding: Encoding, text: str) -> Grid:
    def records() -> Iterator[Record]:
        with open(path, encoding=coding.codec, errors=coding.errors, newline="\n") as file:
            if text.lstrip("\ufeff \r\n\t").startswith("["):
                try:
                    whole = json.load(file)
                except (ValueError, RecursionError) as error:
                    raise UserError(f"{path} is damaged: {error}.") from None
                for number, value in enumerate(whole, 1):
                    yield Record(number, value if isinstance(value, dict) else "is no object")
                return
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
                if line.strip("\ufeff\0 \r\n\t"):
                    yield Record(number, _object(line.lstrip("\ufeff")))

    names: dict[str, None] = {}
    for _, value in islice(records(), 1000):
        if not isinstance(value, str):
            names.update(dict.fromkeys(value))
    return Grid(list(names), records(), f"read as {coding.readable} JSON", texts=False)


def _object(line: str) -> dict[str, Any] | str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"the line is no JSON: {error}"
    return value if isinstance(value, dict) else "the line is no JSON object"


def read_parquet(path: Path, batch_size: int = 4096) -> Grid:
    """Opens a Parquet file; ``batch_size`` rows at a time are held in memory.

    Raises:
        UserError: It is no Parquet file that can be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is no Parquet file that can be read: {error}.") from None

    def records() -> Iterator[Record]:
        number = 0
        rows = (values for batch in file.iter_batches(batch_size=batch_size) for values in batch.to_pylist())
        try:
            for number, values in enumerate(rows, 1):
                yield Record(number, values)
        except (pa.ArrowException, OSError) as error:
            yield Record(number + 1, f"the file is damaged from here on: {error}")

    return Grid(file.schema_arrow.names, records(), "read as Parquet", texts=False)


def _distinct(names: list[str]) -> list[str]:
    """Column names with empty and repeated ones made distinct: ``column 3``, ``text``, ``text 2``."""
    distinct: list[str] = []
    for place, name in enumerate(names, 1):
        base = name or f"column {place}"
        candidates = chain([base], (f"{base} {number}" for number in count(2)))
        distinct.append(next(candidate for candidate in candidates if candidate not in distinct))
    return distinct
