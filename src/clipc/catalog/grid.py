"""Tables of any format as records: CSV and its kin, JSON lines, Parquet."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from clipc.catalog.encoding import Encoding, detect_encoding, named_encoding
from clipc.catalog.rows import IMAGE_SUFFIXES
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
        path: The file; its ending tells JSON lines and Parquet, everything else is text with separators.
        encoding: The encoding of a text file; detected by default.

    Raises:
        UserError: It cannot be read as a table.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return _parquet(path)
        with open(path, "rb") as file:
            head = file.read(_SNIFFED + 1)
        if not head.strip(b"\0 \r\n\t"):
            raise UserError(f"{path} is empty.")
        if head[:4] == b"PAR1":
            return _parquet(path)
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
    """Numbered rows, or what is wrong with one. A quote that is never closed costs its own line, not all behind it."""
    again: list[str] = []
    used: list[str] = []
    lines = iter(file)

    def feed() -> Iterator[str]:
        while True:
            line = again.pop() if again else next(lines, None)
            if line is None:
                return
            used.append(line)
            yield line

    reader = csv.reader(feed(), delimiter=separator, quoting=quoting)
    number = 0
    while True:
        used.clear()
        number += 1
        fault = None
        row: list[str] = []
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = f"the row cannot be read: {error}"
        unclosed = len(used) > 1 and sum(line.count('"') for line in used) % 2 == 1
        if len(used) > 1 and (fault or unclosed):
            again.extend(reversed(used[1:]))
            reader = csv.reader(feed(), delimiter=separator, quoting=quoting)
            fault = "a quotation mark is not closed"
        if fault or row:
            yield number, fault or row


def _dialect(text: str, suffix: str) -> tuple[str, Any]:
    """The separator, and whether quotation marks have a meaning, that give the most even table."""
    best: tuple[tuple[float, bool, bool, int], str, Any] | None = None
    for separator in _SEPARATORS:
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            rows = [row for _, row in islice(_rows(io.StringIO(text, newline=""), separator, quoting), 200)]
            width = len(rows[0]) if rows else 0
            if width < 2:
                continue
            even = sum(len(row) == width and isinstance(row, list) for row in rows) / len(rows)
            fits = (separator == "\t") == (suffix == ".tsv")
            score = (round(even, 2), quoting == csv.QUOTE_MINIMAL, fits, width)
            if best is None or score > best[0]:
                best = (score, separator, quoting)
    return (best[1], best[2]) if best else (",", csv.QUOTE_MINIMAL)


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
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
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


def _parquet(path: Path) -> Grid:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is no Parquet file that can be read: {error}.") from None

    def records() -> Iterator[Record]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=4096):
                for values in batch.to_pylist():
                    number += 1
                    yield Record(number, values)
        except (pa.ArrowException, OSError) as error:
            yield Record(number + 1, f"the file is damaged from here on: {error}")

    return Grid(file.schema_arrow.names, records(), "read as Parquet", texts=False)


def _distinct(names: list[str]) -> list[str]:
    """Column names with empty and repeated ones made distinct: ``column 3``, ``text``, ``text 2``."""
    seen: dict[str, None] = {}
    for place, name in enumerate(names, 1):
        own = name or f"column {place}"
        number = 2
        while own in seen:
            own = f"{name or f'column {place}'} {number}"
            number += 1
        seen[own] = None
    return list(seen)
