"""Rows of any source into a catalog: every check that does not depend on the kind of source is here."""

import re
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa

from clipc.catalog.catalog import REJECTS, SCHEMA, About, Catalog, fingerprint
from clipc.catalog.columns import Columns
from clipc.catalog.inspect_images import ImageFacts, Place, inspect_images
from clipc.catalog.rows import Reject, Row, Source, SourceNotes
from clipc.errors import UserError
from clipc.progress import Progress, silent

_SPLITS = {
    "train": ("train", "training", "trn", "restval", "学習", "訓練", "トレーニング"),
    "val": ("val", "valid", "validation", "dev", "eval", "検証", "バリデーション"),
    "test": ("test", "testing", "tst", "テスト", "評価", "試験"),
}
_SPLIT_NAMES = {alias: name for name, aliases in _SPLITS.items() for alias in aliases}

KNOWN_SPLITS = frozenset(_SPLIT_NAMES)
"""All names of splits that are understood, in lower case."""


def build(source: Source, progress: Progress = silent) -> Catalog:
    """Reads a source, checks every row and picture, and makes the catalog of those that are right.

    A row is refused (and listed in the rejects with the reason) when it has no caption with a word in it, text that is
    no valid Unicode, a key that an earlier row has, a path that leads out of the root, or an image that cannot be
    decoded.

    Args:
        source: What to read.
        progress: Told of rows read and images checked.

    Raises:
        UserError: Not one row is right; the message says why.
    """
    told = SourceNotes()
    rejects: list[Reject] = []
    columns = Columns()
    sentinels: list[tuple[str, int | None]] = []  # the place and number to name if the picture is refused
    for number, row in enumerate(_checked(source.read(told), rejects)):
        columns.add(row)
        sentinels.append((row.place or row.file, row.number))
        if number % 1000 == 999:
            progress("reading rows", number + 1, 0)
    table = columns.table()
    places = list(map(Place, *(table[name].to_pylist() for name in ("file", "offset", "size"))))
    looks = inspect_images(source.root, places, progress)
    keys = table["key"].to_pylist()
    good: list[int] = []
    seen: list[ImageFacts] = []
    for index, look in enumerate(looks):
        if isinstance(look, str):
            place, number = sentinels[index]
            rejects.append(Reject(place, number, keys[index], look))
        else:
            good.append(index)
            seen.append(look)
    if not good:
        raise nothing_accepted(source, rejects)
    table = _with_looks(table.take(pa.array(good, pa.int64())), seen)
    return Catalog(
        table=table,
        root=source.root,
        fingerprint=fingerprint(table),
        about=About(
            name=source.name,
            generated=_is_generated(table),
            notes=tuple(told.notes),
            label_columns=_label_columns(table, told),
            class_names=told.class_names,
        ),
        rejects=rejects_table(rejects),
    )


def _checked(found: Iterable[Row | Reject], rejects: list[Reject]) -> Iterable[Row]:
    keys: set[str] = set()
    for row in found:
        if isinstance(row, Reject):
            key = None if row.key is None else _printable(row.key)
            rejects.append(Reject(_printable(row.file), row.row, key, _printable(row.reason)))
            continue
        row.captions = [" ".join(caption.replace("\0", " ").split()) for caption in row.captions]
        fault = _fault(row)
        if fault is None and row.key in keys:
            fault = "an earlier row has the same key"
        if fault is not None:
            rejects.append(Reject(_printable(row.place or row.file), row.number, _printable(row.key), fault))
            continue
        keys.add(row.key)
        row.captions = [caption for caption in row.captions if _has_word(caption)]
        row.split = split_name(row.split)
        yield row


def _fault(row: Row) -> str | None:
    if not row.key.strip():
        return "it has no key"
    for what, text in (("key", row.key), ("file name", row.file), ("label", row.label or "")):
        if not _is_text(text):
            return f"bad characters in the {what}: it is not in the encoding that the source is read with"
    if "\0" in row.file:
        return "bad characters in the file name"
    if not all(map(_is_text, row.captions)):
        return "bad characters in a caption: it is not in the encoding that the source is read with"
    if not any(map(_has_word, row.captions)):
        return "the caption is empty" if any(row.captions) or row.captions else "there is no caption"
    return None


def _has_word(caption: str) -> bool:
    return any(character.isalnum() for character in caption)


def _is_text(text: str) -> bool:
    """Whether a string is Unicode that can be written: bytes that could not be decoded are lone surrogates in it."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def split_name(given: str | None) -> str | None:
    """A split's name as clipc writes it (``train``, ``val``, ``test``); unknown ones stay, in lower case."""
    name = (given or "").strip().lower()
    return _SPLIT_NAMES.get(name, name) or None


def _with_looks(table: pa.Table, seen: list[ImageFacts]) -> pa.Table:
    """The rows with what was seen of their pictures, columns in the catalog's order."""
    told = {
        "size": pa.array([look.size for look in seen], pa.int64()),
        "width": pa.array([look.width for look in seen], pa.int32()),
        "height": pa.array([look.height for look in seen], pa.int32()),
        "content": pa.array([look.content for look in seen], pa.uint64()),
        "dhash": pa.array([look.dhash for look in seen], pa.uint64()),
    }
    names = [*SCHEMA.names, "dhash", *(name for name in table.column_names if name not in SCHEMA.names)]
    fields = [SCHEMA.field(name) if name in SCHEMA.names else None for name in names]
    arrays = [told[name] if name in told else table[name] for name in names]
    schema = pa.schema(
        [field or pa.field(name, array.type) for field, name, array in zip(fields, names, arrays, strict=True)]
    )
    return pa.table(arrays, schema=schema).combine_chunks()


def _is_generated(table: pa.Table) -> bool:
    """Whether each row says of itself that a program drew its picture (``"generated": true``)."""
    if "generated" not in table.column_names or table["generated"].type != pa.bool_():
        return False
    return all(table["generated"].to_pylist())


def _label_columns(table: pa.Table, told: SourceNotes) -> tuple[str, ...]:
    """The declared label columns, or ``label``, as far as they are there and tell at least two classes apart."""
    names = told.label_columns or ["label"]
    return tuple(name for name in names if name in table.column_names and len(table[name].drop_null().unique()) >= 2)


def rejects_table(rejects: Iterable[Reject]) -> pa.Table:
    """Rejects as a table with the columns of :data:`clipc.catalog.catalog.REJECTS`."""
    return pa.Table.from_pylist([dict(zip(REJECTS.names, reject, strict=True)) for reject in rejects], schema=REJECTS)


def nothing_accepted(source: Source, rejects: list[Reject]) -> UserError:
    """The error for a source without one right pair: how many were refused, and the commonest reasons."""
    if not rejects:
        return UserError(f"{source.name} holds no pair of an image and a caption (looked in {source.root}).")
    kinds = Counter(re.sub(r"\d+|\(.*\)", "#", reject.reason) for reject in rejects)
    told: list[str] = []
    for kind, count in kinds.most_common(3):
        first = next(reject for reject in rejects if re.sub(r"\d+|\(.*\)", "#", reject.reason) == kind)
        row = f", row {first.row}" if first.row is not None else ""
        key = f", key {first.key!r}" if first.key else ""
        told.append(f"{count:,} times: {first.reason} (first in {first.file}{row}{key})")
    return UserError(f"{source.name}: not one pair could be read; {len(rejects):,} were refused, {'; '.join(told)}.")
