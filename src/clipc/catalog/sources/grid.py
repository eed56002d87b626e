"""Tables of any format as records: CSV and other separated text, JSON lines, Parquet."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

from clipc.catalog.classes import class_names_of_numbers
from clipc.catalog.lfs import LFS_POINTER, is_lfs_pointer
from clipc.catalog.parquet_batches import rows_of, safe_batch
from clipc.catalog.rows import IMAGE_SUFFIXES
from clipc.catalog.sources.documents import document_records, record_form
from clipc.catalog.sources.encoding import Encoding, detect_encoding, named_encoding
from clipc.catalog.sources.layout import clean_cells, separated_rows, text_layout
from clipc.errors import UserError, first_line
from clipc.json_files import parse_json
from clipc.limits import COLUMNS, DOCUMENT_BYTES, DOCUMENT_PARTS

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".token", ".jsonl", ".ndjson", ".json", ".parquet")
"""File name endings, in lower case, of tables that can be read."""

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
"""File name endings, in lower case, of spreadsheets that must be saved as CSV first."""

_SNIFFED = 64 << 20
"""The number of bytes from which the encoding is detected."""
_FIRST_BYTES = 1 << 10
"""The number of bytes that tell whether a file is a pointer of Git LFS."""
_LONGEST_LINE = 16 << 20
"""The number of characters of a line of JSON beyond which it is read in parts."""
_PADDING = "\ufeff\0 \r\n\t"
"""The characters that may stand before and after JSON text."""
_BETWEEN_VALUES = "\0 \t\n,\x1e"
"""The characters that may stand between JSON values in one file."""
_NAME_AND_WORDS = re.compile(rf"^\S+(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}) +\S", re.MULTILINE | re.IGNORECASE)
_SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}


class Record(NamedTuple):
    """One row of a table.

    Attributes:
        number: Its number as a spreadsheet counts: from 1, heading and blank rows included.
        values: Its values by column, or what is wrong with it.
    """

    number: int
    values: Mapping[str, Any] | str


class Grid(NamedTuple):
    """A table.

    Attributes:
        names: Its columns.
        records: Its records, to be read once.
        note: How it was read.
        text_only: Whether all values are text.
        headless: Whether the table has no heading. Its columns are then ``image`` and ``caption``, or ``column 1``,
            ``column 2``.
    """

    names: list[str]
    records: Iterator[Record]
    note: str
    text_only: bool
    headless: bool = False


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
        with open(path, "rb") as file:
            head = file.read(_FIRST_BYTES)
            if is_lfs_pointer(head):
                raise UserError(f"{path} {LFS_POINTER}.")
            if path.suffix.lower() == ".parquet":
                return read_parquet(path)
            head += file.read(_SNIFFED + 1 - _FIRST_BYTES)
        if not head.strip(b"\0 \r\n\t"):
            raise UserError(f"{path} is empty.")
        if head[:4] == b"PAR1":
            return read_parquet(path)
        if head[:2] == b"\x1f\x8b":
            raise UserError(f"{path} is compressed by gzip; decompress it and name the result.")
        if head[:2] == b"PK" or head[:4] == b"\xd0\xcf\x11\xe0":
            raise UserError(f"{path} is a workbook or an archive; save the sheet as CSV (UTF-8) and name that.")
        try:
            coding = named_encoding(encoding) if encoding else detect_encoding(head, whole=len(head) <= _SNIFFED)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        text = head[: 1 << 20].decode(coding.codec, coding.errors)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    grid = (_json if text.lstrip(_PADDING)[:1] in ("{", "[") else _separated)(path, coding, text)
    return _checked(grid, path)


def _checked(grid: Grid, path: Path) -> Grid:
    """A table, after its columns were counted.

    Raises:
        UserError: There are too many for a table.
    """
    if len(grid.names) > COLUMNS:
        raise UserError(
            f"{path} has {len(grid.names):,} columns or keys, more than {COLUMNS:,}; keep those of images, captions "
            "and labels."
        )
    return grid


def _separated(path: Path, coding: Encoding, text: str) -> Grid:
    layout = text_layout(text)
    if layout.width > COLUMNS:
        raise UserError(f"{path} has more than {COLUMNS:,} columns; keep those that are needed.")

    def rows() -> Iterator[tuple[int, list[str] | str]]:
        with open(path, encoding=coding.codec, errors=coding.errors, newline="") as file:
            try:
                yield from islice(separated_rows(file, layout.dialect), layout.above, None)
            except (UserError, UnicodeError) as error:
                raise UserError(f"{path}: {first_line(error)}.") from None

    if layout.width < 2 and 2 * len(_NAME_AND_WORDS.findall(text)) > len(text.splitlines()):
        raise UserError(f"{path}: only a space is between image files and captions; write a tab there.")
    # Two columns, the first ``a.jpg#0``: the second is the caption, however short.
    is_captions_file = layout.numbered_names and layout.heading is None and layout.width == 2
    names = ["image", "caption"] if is_captions_file else _distinct(layout.heading or [""] * layout.width)
    note = f"read as {coding.readable}, separated by {_SEPARATORS[layout.dialect.separator]}"
    note += ", quotation marks after backslashes" if layout.dialect.backslashes else ""
    note += "" if layout.heading else ", without a heading"
    note += f", from row {layout.start} on" if layout.above else ""
    records = _records(rows(), names, layout.heading)
    if layout.numbered_names:
        records = (_without_number(record, names[0]) for record in records)
    return Grid(names, records, note, text_only=True, headless=layout.heading is None)


def _records(
    rows: Iterable[tuple[int, list[str] | str]], names: list[str], heading: list[str] | None
) -> Iterator[Record]:
    for number, row in islice(rows, int(heading is not None), None):
        if isinstance(row, str):
            yield Record(number, row)
        elif len(row) > len(names) and any(cell.strip() for cell in row[len(names) :]):
            yield Record(number, f"the row has {len(row)} cells, the heading {len(names)}: is a separator not quoted?")
        elif heading and row[-1].strip() == heading[-1] and clean_cells(row) == heading:
            yield Record(number, "the heading again")
        elif any(cell.strip() for cell in row):
            yield Record(number, dict(zip(names, row, strict=False)))


def _without_number(record: Record, name: str) -> Record:
    """A record whose image has a caption's number after it, as in ``1000268201.jpg#0``, without the number."""
    if isinstance(record.values, str):
        return record
    return Record(record.number, {**record.values, name: record.values[name].rpartition("#")[0]})


def _json(path: Path, coding: Encoding, text: str) -> Grid:
    document = None if _is_lines(text) else _document(path, coding)
    if document is not None:
        form, values = document_records(document[0], path.name)
        whole = [Record(number, value) for number, value in enumerate(values, 1)]
        return Grid(_names(whole), iter(whole), _json_note(coding, form), text_only=False)

    def records() -> Iterator[Record]:
        with open(path, encoding=coding.codec, errors=coding.errors) as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
                if text := line.strip(_PADDING):
                    yield Record(number, _object(text))

    first = list(islice(records(), 1000))
    names = _names(first)
    if not names:
        raise UserError(f"{path} holds no JSON records: {first[0].values if first else 'it is empty'}.")
    form, convert = record_form(
        dict.fromkeys(names), [record.values for record in first if isinstance(record.values, dict)]
    )
    if not form:
        return Grid(names, records(), _json_note(coding, form), text_only=False)
    flat = (Record(n, convert(values) if isinstance(values, dict) else values) for n, values in records())
    first = list(islice(flat, 1000))
    return Grid(_names(first), chain(first, flat), _json_note(coding, form), text_only=False)


def _json_note(coding: Encoding, form: str) -> str:
    return f"read as {coding.readable} JSON" + (f": {form}" if form else "")


def _names(records: Iterable[Record]) -> list[str]:
    """The names of all values in the first records."""
    values = (record.values for record in islice(records, 1000) if not isinstance(record.values, str))
    return list(dict.fromkeys(name for each in values for name in each))


def _is_lines(text: str) -> bool:
    """Whether JSON text is objects one a line: the first line is one, and another follows."""
    first, _, rest = text.strip(_PADDING).replace("\r", "\n").partition("\n")
    return bool(rest.strip()) and not isinstance(_object(first.strip(_PADDING)), str)


def _document(path: Path, coding: Encoding) -> tuple[Any] | None:
    """The value that a JSON file holds, in a tuple of one; a list of the values if it holds several.

    Returns:
        None if the text is damaged but does not begin as a list. It is then read as objects one a line, of which only
        the damaged ones are lost.

    Raises:
        UserError: It begins as a list but is damaged.
    """
    if path.stat().st_size > DOCUMENT_BYTES:
        raise UserError(
            f"{path} is one JSON document of more than {DOCUMENT_BYTES >> 20} MiB; write it as JSON lines, one record "
            "a line (.jsonl), which are read one by one."
        )
    with open(path, encoding=coding.codec, errors=coding.errors) as file:
        text = file.read().strip(_PADDING)
    if (parts := sum(map(text.count, "[{,"))) > DOCUMENT_PARTS:
        raise UserError(
            f"{path} is one JSON document of {parts:,} values, more than {DOCUMENT_PARTS:,}; write it as JSON lines, "
            "one record a line (.jsonl), which are read one by one."
        )
    values: list[Any] = []
    at, decoder = 0, json.JSONDecoder()
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            values.append(value)
            while at < len(text) and text[at] in _BETWEEN_VALUES:
                at += 1
    except (ValueError, RecursionError) as error:
        if text.startswith("["):
            raise UserError(f"{path} is damaged: {error}.") from None
        return None
    return (values[0] if len(values) == 1 else values,)


def _object(line: str) -> dict[str, Any] | str:
    try:
        value = parse_json(line)
    except ValueError as error:
        return f"the line is no JSON: {error}"
    return value if isinstance(value, dict) else "the line is no JSON object"


def read_parquet(path: Path, batch_size: int = 4096) -> Grid:
    """Opens a Parquet file; ``batch_size`` rows at a time are held in memory.

    Class numbers become class names where a Hugging Face dataset wrote the file.

    Raises:
        UserError: It is no Parquet file that can be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is no Parquet file that can be read: {first_line(error)}.") from None
    batch_size = min(batch_size, safe_batch(path, file.metadata))
    classes = _class_labels(file.schema_arrow.metadata)

    def records() -> Iterator[Record]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=batch_size):
                for values in rows_of(batch):
                    number += 1
                    if isinstance(values, dict):
                        for column, names in classes.items():
                            if column in values:
                                values[column] = class_names_of_numbers(values[column], names)
                    yield Record(number, values)
        except (pa.ArrowException, OSError) as error:
            yield Record(number + 1, f"the file is damaged from here on: {first_line(error)}")

    return _checked(Grid(file.schema_arrow.names, records(), "read as Parquet", text_only=False), path)


def _class_labels(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """The class names of each column of class numbers, from what Hugging Face's ``datasets`` writes into Parquet."""
    classes: dict[str, list[str]] = {}
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        features: dict[str, Any] = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        for column, kind in features.items():
            inner: Any = kind[0] if isinstance(kind, list) else kind.get("feature", kind)
            if inner.get("_type") == "ClassLabel" and isinstance(inner.get("names"), list):
                classes[column] = [str(name) for name in inner["names"]]
    return classes


def _distinct(names: list[str]) -> list[str]:
    """Column names with empty and repeated ones made distinct: ``column 3``, ``text``, ``text 2``."""
    distinct: list[str] = []
    for place, name in enumerate(names, 1):
        base = name or f"column {place}"
        candidates = chain([base], (f"{base} {number}" for number in count(2)))
        distinct.append(next(candidate for candidate in candidates if candidate not in distinct))
    return distinct
