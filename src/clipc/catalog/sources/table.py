"""Tables (CSV, TSV, JSON lines, Parquet) whose rows name an image file and its captions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import Reject, Row, Source, SourceInfo, Value
from clipc.catalog.sources.encoding import mark_undecodable
from clipc.catalog.sources.grid import Record, read_grid
from clipc.catalog.sources.headings import Headings, find_headings
from clipc.catalog.sources.layout import unnamed_columns
from clipc.catalog.sources.pairs import PairsByImage
from clipc.catalog.sources.path_columns import image_path, is_web_address
from clipc.catalog.sources.paths.file_names import split_in_name
from clipc.catalog.sources.paths.finder import Finder
from clipc.catalog.values import captions, image_name, is_encoded_image, main_label, plain_id, split_text
from clipc.errors import UserError, first_line
from clipc.limits import NAME

_SAMPLE = 200
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_WHOLE = re.compile(r"-?\d+(\.0)?")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)?\.\d+([eE][+-]?\d+)?|-?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?")


def table(path: Path, name: str, options: SourceOptions) -> Source:
    """The pairs in one table.

    Image paths are relative to the table's folder (or ``options.images``), or to the one folder in it where the first
    of them are found. Rows that name the same image become one pair with all their captions, because many sets have one
    row for each caption. A pair's key is that of a unique key column, else the image's path. Other columns become
    metadata; in text tables a column becomes numeric if all its cells are numbers, but part numbers such as ``007``
    stay text.

    Args:
        path: The table.
        name: The set's name.
        options: The folder that image paths are relative to, the columns that the user named, and the encoding.

    Raises:
        UserError: There is no such image folder.
    """
    root = (options.images or path.parent).absolute()
    if not root.is_dir():
        raise UserError(f"there is no image folder {root}.")
    return Source(root, name, [path], partial(_read, path, root, options), loose=True, tabular=True)


def _read(path: Path, root: Path, options: SourceOptions, info: SourceInfo) -> Iterator[Row | Reject]:
    grid = read_grid(path, options.encoding)
    first = list(islice(grid.records, _SAMPLE))
    sample = [record.values for record in first if not isinstance(record.values, str)]
    if grid.headless:
        image, caption = unnamed_columns(grid.names, sample)
        captions = options.caption_columns or (() if caption is None else (caption,))
        options = replace(options, image_column=options.image_column or image, caption_columns=captions)

    new_finder = partial(Finder, root, rerooted=options.images is not None, split=split_in_name(path.stem))

    def hits(paths: Sequence[str]) -> int:
        return new_finder().choose_prefix(paths)

    headings = find_headings(grid.names, sample, options, path.name, hits)

    def every_path() -> Iterator[str]:
        rows = (record.values for record in read_grid(path, options.encoding).records)
        return (image_path(row.get(headings.image)) for row in rows if not isinstance(row, str))

    finder = new_finder(every_path=every_path)
    info.notes.append(grid.note)
    headings.describe(info)
    finder.choose_prefix([image_path(row.get(headings.image)) for row in sample])
    if finder.prefix:
        info.notes.append(f"images were found in the folder {finder.prefix}")
    pairs = PairsByImage(path.name, headings.key_is_sure, headings.image_ids)
    for record in chain(first, grid.records):
        row = _row(record, headings, finder, path.name, options.lang)
        fault = row if isinstance(row, Reject) else pairs.add(row)
        if fault is not None:
            yield fault
    finder.describe(info)
    rows: list[Row] = []
    for row in pairs.rows(info):
        if finder.is_doubtful(row.file):
            reason = f"different paths end like this file (column {headings.image})"
            yield Reject(path.name, row.number, row.file, reason)
        else:
            rows.append(row)
    headings.describe_labels([row.label for row in rows], info)
    headings.describe_captions([tuple(row.captions) for row in rows], info)
    if not headings.key_is_sure:
        _set_keys(rows, headings, info)
    if grid.text_only:
        _set_types(rows)
        _set_whole_labels(rows)
    yield from rows


def _row(record: Record, headings: Headings, finder: Finder, place: str, lang: str) -> Row | Reject:
    number, values = record
    if isinstance(values, str):
        return Reject(place, number, None, values)
    values = {name: mark_undecodable(value) if isinstance(value, str) else value for name, value in values.items()}
    try:
        image = image_name(values.get(headings.image))
        texts = [caption for name in headings.captions for caption in captions(values.get(name), lang)]
        labels = headings.class_labels(values)
        split = split_text(values.get(headings.split)) if headings.split else None
        made, key, more = headings.made_captions(values), _key(values, headings), headings.metadata(values)
    except (ValueError, RecursionError) as error:
        return Reject(place, number, None, first_line(error))
    if image is not None and is_encoded_image(image):
        return Reject(place, number, None, f"the image is written as text (base64) in the column {headings.image}")
    if image is None:
        return Reject(place, number, None, f"there is no image path in the column {headings.image}")
    if is_web_address(image):
        return Reject(place, number, image, "the image is a web address; clipc reads files, so fetch them first")
    texts += made
    file = finder.find(image) if len(image) <= NAME else None
    if file is None:
        if len(image) > NAME:
            return Reject(place, number, None, f"the image path has {len(image):,} characters, more than {NAME:,}")
        return Reject(place, number, image, f"{finder.reason(image)} (column {headings.image})")
    label = main_label(labels, more)
    return Row(key, texts, label, split, file, place=place, number=number, more=more)


def _key(values: Mapping[str, Any], headings: Headings) -> str:
    return plain_id(values.get(headings.key)) if headings.key else ""


def _set_keys(rows: list[Row], headings: Headings, info: SourceInfo) -> None:
    """Keys from the key column if its values are unique, else from the images' paths."""
    if headings.key is not None:
        keys = {row.key for row in rows}
        if len(keys) == len(rows) and "" not in keys:
            return
        info.notes.append(f"{headings.key} is not unique, so the image paths are the keys")
    for row in rows:
        row.key = row.file


def _set_types(rows: list[Row]) -> None:
    """Text columns to numbers and booleans where every cell with text is one; empty cells to null."""
    names = dict.fromkeys(name for row in rows for name in row.more)
    for name in names:
        cells = {str(value).strip() for row in rows if (value := row.more.get(name)) is not None} - {""}
        kind: Any = str
        if cells and all(_INTEGER.fullmatch(cell) for cell in cells):
            kind = int
        elif cells and all(_DECIMAL.fullmatch(cell) for cell in cells):
            kind = float
        elif cells and {cell.lower() for cell in cells} <= {"true", "false"}:
            kind = _is_true
        for row in rows:
            value: Value = row.more.get(name)
            text = "" if value is None else str(value).strip()
            row.more[name] = kind(text) if text else None


def _set_whole_labels(rows: list[Row]) -> None:
    """``1`` for the label ``1.0`` where all are whole numbers: pandas writes them so beside missing ones."""
    labels = {row.label for row in rows if row.label is not None}
    if labels and all(map(_WHOLE.fullmatch, labels)):
        for row in rows:
            row.label = None if row.label is None else row.label.removesuffix(".0")


def _is_true(text: str) -> bool:
    return text.lower() == "true"
