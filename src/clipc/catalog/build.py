"""``build``: the rows of any source, checked and made into a catalog."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Literal

import pyarrow as pa

from clipc.catalog.catalog import REJECTS, SCHEMA, About, Catalog, fingerprint
from clipc.catalog.classes import numeric_class_warning
from clipc.catalog.columns import Columns
from clipc.catalog.doubts import clean_label, tell_of_splits, variant_warning
from clipc.catalog.images.inspect_images import ImageFacts, Place, inspect_images, set_intensity
from clipc.catalog.images.intensity import dark_warnings, intensity_note
from clipc.catalog.rows import SPLIT_NAMES, Reject, Row, Source, SourceInfo
from clipc.errors import UserError
from clipc.limits import CAPTION, CAPTIONS, COLUMNS, NAME
from clipc.progress import Progress, silent

_MANY_LABELS = 20
_LONGEST_KEY = 200


def build(
    source: Source,
    progress: Progress = silent,
    intensity: Literal["auto"] | None = None,
    captions_needed: bool = True,
) -> Catalog:
    """Reads a source, checks every row and image, and makes the catalog of the valid ones.

    A row is rejected (and listed in the rejects with the reason) if it has no caption with a word in it, text that is
    no valid Unicode, the key of an earlier row, a path that leads out of the root, or an image that cannot be decoded.

    Args:
        source: The source to read.
        progress: Receives the number of rows read and of images checked.
        intensity: Whether the images are scaled as one set (:class:`~clipc.catalog.rows.SourceOptions`).
        captions_needed: Whether a row without a caption is rejected.

    Raises:
        UserError: Not one row is valid; the message says why.
    """
    info = SourceInfo()
    rejects: list[Reject] = []
    columns = Columns()
    origins: list[tuple[str, int | None]] = []  # the file and row to name if the image is rejected
    for number, row in enumerate(_valid_rows(source.read(info), rejects, captions_needed)):
        columns.add(row)
        origins.append((row.place or row.file, row.number))
        if number % 1000 == 999:
            progress("reading rows", number + 1, 0)
    table = columns.table()
    places = list(map(Place, *(table[name].to_pylist() for name in ("file", "offset", "size"))))
    scale = set_intensity(source.root, places) if intensity == "auto" else {}
    facts = inspect_images(source.root, places, progress, scale)
    for origin, key, reason in zip(origins, table["key"].to_pylist(), facts, strict=True):
        if isinstance(reason, str):
            rejects.append(Reject(*origin, key, reason))
    valid = {row: image for row, image in enumerate(facts) if not isinstance(image, str)}
    if not valid:
        raise _nothing_valid(source, rejects, info.warnings)
    table = _with_image_facts(table.take(pa.array(valid, pa.int64())), list(valid.values()))
    table = _without_unique_labels(table, info)
    info.class_names = {c: {clean_label(k): v for k, v in names.items()} for c, names in info.class_names.items()}
    _tell_of_images(valid.values(), scale, info)
    tell_of_splits(table, info)
    columns_of_labels = _label_columns(table, info)
    for name in columns_of_labels:
        labels = list(map(str, table[name].drop_null().unique().to_pylist()))
        names = info.class_names.get(name, {})
        info.warnings += filter(None, [numeric_class_warning(name, labels, names), variant_warning(name, labels)])
    if uncaptioned := sum(not captions for captions in table["captions"].to_pylist()):
        info.notes.append(f"{uncaptioned:,} images have no caption")
    if columns.left_out:
        info.warnings.append(f"only the first {COLUMNS:,} metadata columns are kept: take those that you need not away")
    notes, warnings = tuple(info.notes), tuple(info.warnings)
    about = About(
        source.name,
        _is_generated(table),
        notes,
        warnings,
        columns_of_labels,
        info.class_names,
        class_captions=info.class_captions >= len(origins),
        intensity=scale,
    )
    rejected = pa.Table.from_pylist([reject._asdict() for reject in rejects], schema=REJECTS)
    return Catalog(table, source.root, fingerprint(table, scale), about, rejected)


def _valid_rows(rows: Iterable[Row | Reject], rejects: list[Reject], captions_needed: bool) -> Iterable[Row]:
    """The rows without an error, captions and splits normalised; the others are added to the rejects."""
    keys: set[str] = set()
    for row in rows:
        if isinstance(row, Reject):
            key = None if row.key is None else _printable(row.key)
            rejects.append(Reject(_printable(row.file), row.row, key, _printable(row.reason)))
            continue
        row.captions = [
            " ".join(caption.replace("\0", " ").split()) if len(caption) <= 2 * CAPTION else caption
            for caption in row.captions
        ]
        error = _error(row, captions_needed) or ("an earlier row has the same key" if row.key in keys else None)
        if error is not None:
            rejects.append(Reject(_printable(row.place or row.file), row.number, _printable(row.key), error))
            continue
        keys.add(row.key)
        row.captions = [caption for caption in row.captions if _has_word(caption)]
        name = (row.split or "").strip().lower()
        row.split = SPLIT_NAMES.get(name, name) or None
        row.label = None if row.label is None else clean_label(row.label) or None
        yield row


def _error(row: Row, captions_needed: bool) -> str | None:
    if not row.key.strip():
        return "it has no key"
    for what, text in (("key", row.key), ("file name", row.file), ("label", row.label or "")):
        if len(text) > NAME:
            return f"the {what} has {len(text):,} characters, more than {NAME:,}"
        if not _is_text(text):
            return f"bad characters in the {what}: it is not in the encoding that the source is read with"
    if "\0" in row.file:
        return "bad characters in the file name"
    if len(row.captions) > CAPTIONS:
        return f"there are {len(row.captions):,} captions, more than {CAPTIONS:,}"
    if any(len(caption) > CAPTION for caption in row.captions):
        return f"a caption has {max(map(len, row.captions)):,} characters, more than {CAPTION:,}"
    if not all(map(_is_text, row.captions)):
        return "bad characters in a caption: it is not in the encoding that the source is read with"
    if captions_needed and not any(map(_has_word, row.captions)):
        return "the caption is empty" if any(row.captions) or row.captions else "there is no caption"
    return None


def _has_word(caption: str) -> bool:
    return any(character.isalnum() for character in caption)


def _is_text(text: str) -> bool:
    """Whether a string is Unicode that can be written: bytes that could not be decoded are lone surrogates in it."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _with_image_facts(table: pa.Table, facts: list[ImageFacts]) -> pa.Table:
    """The rows with the sizes and hashes of their images, columns in the catalog's order."""
    values = dict(zip(ImageFacts._fields, zip(*facts, strict=True), strict=True))
    metadata = [column for column in table.schema if column.name not in SCHEMA.names]
    schema = pa.schema([*SCHEMA, pa.field("dhash", pa.uint64()), *metadata])
    arrays = [pa.array(values[c.name], c.type) if c.name in values else table[c.name] for c in schema]
    return pa.table(arrays, schema=schema).combine_chunks()


def _tell_of_images(images: Collection[ImageFacts], scale: dict[str, list[float]], info: SourceInfo) -> None:
    """Adds what was left out or assumed when images were decoded, how they are scaled, and whether they are dark."""
    counts = Counter(note for image in images for note in image.notes)
    info.notes += [f"{count:,} image{'s' * (count > 1)}: {note}" for note, count in counts.most_common()]
    if scale:
        info.notes.append(intensity_note(scale))
    else:
        info.warnings += dark_warnings(image.brightness for image in images if image.brightness is not None)


def _is_generated(table: pa.Table) -> bool:
    """Whether every row is marked as having an image drawn by a program (``"generated": true``)."""
    if "generated" not in table.column_names or table["generated"].type != pa.bool_():
        return False
    return all(table["generated"].to_pylist())


def _without_unique_labels(table: pa.Table, info: SourceInfo) -> pa.Table:
    """The rows without the labels of a column that only looks like one: most of its values occur once or twice."""
    if info.guessed_label is None:
        return table
    counts = [count["counts"] for count in table["label"].drop_null().value_counts().to_pylist()]
    rare = [count for count in counts if count <= 2]
    if len(rare) < _MANY_LABELS or 2 * sum(rare) <= sum(counts):
        return table
    name = info.guessed_label
    info.warnings.append(
        f"the column {name} is not used as class label, since {sum(rare):,} of {sum(counts):,} rows have one that "
        f"occurs once or twice; if it holds classes all the same, say --label-columns {name}"
    )
    if name not in table.column_names or name == "label":
        table = table.append_column("source_label", table["label"])
    return table.set_column(table.schema.get_field_index("label"), "label", pa.nulls(len(table), pa.string()))


def _label_columns(table: pa.Table, info: SourceInfo) -> tuple[str, ...]:
    """The declared label columns, or ``label``, as far as they exist and hold at least two classes."""
    names = info.label_columns or ["label"]
    return tuple(name for name in names if name in table.column_names and len(table[name].drop_null().unique()) >= 2)


def _nothing_valid(source: Source, rejects: list[Reject], warnings: list[str]) -> UserError:
    """The error for a source without one valid pair: the number of rejects, the commonest reasons, and the warnings."""
    if not rejects:
        return UserError(f"{source.name} holds no pair of an image and a caption (looked in {source.root}).")
    by_reason: defaultdict[str, list[Reject]] = defaultdict(list)
    for reject in rejects:
        by_reason[re.sub(r"\d+|\(.*\)", "#", reject.reason)].append(reject)
    reasons: list[str] = []
    for alike in sorted(by_reason.values(), key=len, reverse=True)[:3]:
        first = alike[0]
        row = f", row {first.row}" if first.row is not None else ""
        key = f", key {first.key[:_LONGEST_KEY]!r}" if first.key else ""
        reasons.append(f"{len(alike):,} times: {first.reason} (first in {first.file}{row}{key})")
    return UserError(
        f"{source.name}: not one pair could be read; {len(rejects):,} were refused, {'; '.join([*reasons, *warnings])}."
    )
