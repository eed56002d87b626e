"""The layout of separated text: separator, quotation marks, lines above the heading, and the heading if any."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any, NamedTuple

from clipc.catalog.rows import IMAGE_SUFFIXES, NAMES
from clipc.catalog.sources.template import plain_name
from clipc.errors import UserError
from clipc.limits import COLUMNS

_SEPARATORS = ",\t;|"
_SAMPLE = 200
_MAX_ABOVE = 20
_MOST_LINES = 1000
"""The lines of one row: quoted cells may hold line breaks."""
_MOST_EMPTY = 1_000_000
_MOST_UNCLOSED = 1000
_NUMBERED = re.compile(r".+\.\w{3,4}#\d+")
_SEP_LINE = re.compile(r"\"?sep=(.)\"?\r?\n?", re.IGNORECASE)
# Backslash and quotation mark within quotation marks, and text after it: malformed unless it is an escape.
_BACKSLASH_QUOTE = re.compile(r"""(?:^|[,\t;|])"[^"\r\n]*\\"[^",\t;|\r\n]""", re.MULTILINE)
_WORDS = {word for names in NAMES["columns"].values() for word in names}


class Dialect(NamedTuple):
    """How a line is split into cells.

    Attributes:
        separator: The character between cells.
        quoting: A mode of the ``csv`` module.
        backslashes: Whether a quotation mark in a quoted cell is written as a backslash and a quotation mark.
    """

    separator: str
    quoting: Any
    backslashes: bool = False


class Layout(NamedTuple):
    """The layout of a text.

    Attributes:
        dialect: How a line is split.
        above: The number of rows above the heading, or above the first row if there is no heading; blank rows do not
            count.
        heading: The names of the columns; None where there are none.
        width: The number of columns.
        numbered_names: Whether the first cells are names of image files with numbers after them, ``a.jpg#0``.
        start: The number of the row with the heading, or of the first row, from 1; blank rows count.
    """

    dialect: Dialect
    above: int
    heading: list[str] | None
    width: int
    numbered_names: bool = False
    start: int = 1


def text_layout(text: str) -> Layout:
    """The layout that splits a text, of which this is the beginning, into the most even table.

    A heading with names that are known counts more, and the line ``sep=;`` of Excel decides.
    """
    backslashes = _BACKSLASH_QUOTE.search(text) is not None
    told = _SEP_LINE.match(text.lstrip("\ufeff"))
    layouts: list[tuple[tuple[Any, ...], Layout]] = []
    for separator in told[1] if told else _SEPARATORS:
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            dialect = Dialect(separator, quoting, backslashes and quoting == csv.QUOTE_MINIMAL)
            numbered = list(islice(separated_rows(io.StringIO(text, newline=""), dialect), _SAMPLE))
            rows = [row[: COLUMNS + 1] if isinstance(row, list) else row for _, row in numbered]
            layout = _layout([row if isinstance(row, list) else [] for row in rows], dialect, int(told is not None))
            if layout.width < 2:
                continue
            layout = layout._replace(start=numbered[layout.above][0])
            even = sum(len(row) == layout.width and isinstance(row, list) for row in rows) / len(rows)
            known = any(map(_is_word, layout.heading or ())) or (
                layout.heading is None and any(map(_is_plain_image, rows[layout.above]))
            )
            minimal = (quoting == csv.QUOTE_MINIMAL) != layout.numbered_names
            # A tab in every line is there to separate, where a comma may belong to the texts.
            layouts.append(((known, round(even, 2), minimal, separator == "\t", -layout.above, layout.width), layout))
    if layouts:
        return max(layouts, key=lambda scored: scored[0])[1]
    rows = separated_rows(io.StringIO(text, newline=""), Dialect(",", csv.QUOTE_MINIMAL))
    return _layout(
        [row if isinstance(row, list) else [] for _, row in islice(rows, 1)], Dialect(",", csv.QUOTE_MINIMAL)
    )


def separated_rows(file: Iterable[str], dialect: Dialect) -> Iterator[tuple[int, list[str] | str]]:
    """Numbered rows, or what is wrong with one. A quote that is never closed costs its own line, not those after it.

    Raises:
        UserError: Quotation marks of so many rows are not closed that looking for their ends would take too long, or so
            many empty lines follow one another that the file is none that a person or a program would write.
    """
    again: list[str] = []
    used: list[str] = []
    lines = (line.replace('\\"', '""') for line in file) if dialect.backslashes else iter(file)

    def feed() -> Iterator[str]:
        while len(used) < _MOST_LINES and (line := again.pop() if again else next(lines, None)) is not None:
            used.append(line)
            yield line

    reader = csv.reader(feed(), delimiter=dialect.separator, quoting=dialect.quoting)
    faults = empty = 0
    for number in count(1):
        used.clear()
        try:
            row, fault = next(reader, None), None
        except csv.Error as error:
            row, fault = [], f"the row cannot be read: {error}"
            if "field limit" in fault:
                fault = "a cell is longer than 128 KiB: save images that are written as text (base64) as files"
        if row is None:
            return
        unclosed = len(used) > 1 and sum(line.count('"') for line in used) % 2 == 1
        if len(used) > 1 and (fault or unclosed or len(used) >= _MOST_LINES):
            faults += 1
            if faults > _MOST_UNCLOSED:
                raise UserError(
                    f"quotation marks are not closed in more than {_MOST_UNCLOSED:,} rows; save the table anew."
                )
            again.extend(reversed(used[1:]))
            reader = csv.reader(feed(), delimiter=dialect.separator, quoting=dialect.quoting)
            fault = "a quotation mark is not closed"
        if fault or row:
            empty = 0
            yield number, fault or row
        elif (empty := empty + 1) > _MOST_EMPTY:
            raise UserError(f"more than {_MOST_EMPTY:,} empty lines follow one another; save the table anew.")


def clean_cells(row: list[str]) -> list[str]:
    """The cells of a heading, without spaces and byte order marks."""
    return [cell.strip().lstrip("\ufeff").strip() for cell in row]


def unnamed_columns(names: Sequence[str], sample: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """The columns of image files and of captions in a table without a heading, where values tell.

    Image files are the values with an image's ending, or with names that differ in their digits only; captions those
    of the only column with sentences.

    Args:
        names: The columns.
        sample: The first rows.
    """
    texts = {name: [str(row.get(name) or "").strip() for row in sample] for name in names}
    images = [name for name in names if _mostly(map(_is_image, texts[name]))]
    image = next(iter(images), names[0] if names and _is_alike(texts[names[0]][:_MAX_ABOVE]) else None)
    sentences = [name for name in names if name != image and _mostly(map(_is_sentence, texts[name]))]
    return image, sentences[0] if len(sentences) == 1 else None


def _layout(rows: list[list[str]], dialect: Dialect, above: int = 0) -> Layout:
    """The layout of rows that are split already; ``above`` of them are known to lie above the heading."""
    rows = rows[above:]
    widths = Counter(map(len, rows))
    width = max(widths, key=lambda each: (widths[each], each), default=0)
    known = _known_heading(rows)
    for place, row in enumerate(rows[:_MAX_ABOVE]):
        cells = clean_cells(row)
        if any(map(_is_image, cells)) or _is_alike(
            [cell for each in rows[place : place + _MAX_ABOVE] for cell in each[:1]]
        ):
            return Layout(dialect, above + place, None, width, any(map(_NUMBERED.fullmatch, cells[:1])))
        filled = sum(map(bool, cells))
        if place == known or (known is None and (2 * filled > width or (filled > 1 and any(map(_is_word, cells))))):
            return Layout(dialect, above + place, cells, len(cells))
    return Layout(dialect, above, clean_cells(rows[0]) if rows else [], len(rows[0]) if rows else 0)


def _known_heading(rows: list[list[str]]) -> int | None:
    """The place of the first row with two names of columns that are known, above all rows with an image file."""
    for place, row in enumerate(rows[:_MAX_ABOVE]):
        cells = clean_cells(row)
        if sum(map(_is_word, cells)) > 1:
            return place
        if any(map(_is_image, cells)):
            break
    return None


def _is_image(cell: str) -> bool:
    return cell.lower().endswith(IMAGE_SUFFIXES) or _NUMBERED.fullmatch(cell) is not None


def _is_alike(cells: list[str]) -> bool:
    """Whether cells differ in their digits only, as ``ROCO_00017`` and ``ROCO_00018``: none is a heading."""
    shapes = {re.sub(r"\d+", "0", cell) for cell in cells}
    return len(cells) > 1 and len(shapes) == 1 and "0" in next(iter(shapes))


def _is_plain_image(cell: str) -> bool:
    """Whether a cell is the name of an image file, and no text that another separator would split from it."""
    return _is_image(cell.strip()) and not any(separator in cell for separator in _SEPARATORS)


def _is_word(cell: str) -> bool:
    return plain_name(cell) in _WORDS


def _is_sentence(cell: str) -> bool:
    return len(cell.split()) > 2 or (len(cell) > 5 and not cell.isascii())


def _mostly(values: Iterable[bool]) -> bool:
    values = list(values)
    return 2 * sum(values) > len(values)
