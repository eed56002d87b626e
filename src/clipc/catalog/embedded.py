"""Tables that hold the encoded images themselves: their bytes are written once into one file that rows point into."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from clipc.catalog.captions import plain_values, strings
from clipc.catalog.headings import find_headings
from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import Reject, Row, SourceNotes
from clipc.files import whole_file

BLOB = "images.bin"
"""The file in the blob folder that all images of a source are written into, end to end."""


class Part(NamedTuple):
    """One table: its name for rejects, its split if that is told from outside, and its records."""

    name: str
    split: str | None
    columns: Sequence[str]
    records: Iterable[Mapping[str, Any]]


def embedded(
    parts: Sequence[Part], blob: Path, image: str, options: SourceOptions, readers: Sequence[Path], told: SourceNotes
) -> Iterator[Row | Reject]:
    """The pairs in tables with embedded images.

    Args:
        parts: The tables.
        blob: The folder that the images' bytes are written into.
        image: The column that holds images, as bytes or as ``{"bytes": ..., "path": ...}``.
        options: The columns that the user named.
        readers: Folders in which an image that is given by its path alone may lie.
        told: Takes the notes.

    Raises:
        UserError: The blob cannot be written, or no captions are found.
    """
    options = replace(options, image_column=image)
    headings = find_headings(parts[0].columns, [], options, parts[0].name)
    told.notes.append(headings.note)
    told.label_columns += ["label", *headings.labels[1:]] if len(headings.labels) > 1 else []
    used = {image, *headings.captions, headings.split, options.key_column, "label"}
    offset = 0
    with whole_file(blob / BLOB, "make room, or name another folder for the cache") as new, new.open("wb") as sink:
        for part in parts:
            for number, record in enumerate(part.records, 1):
                key = str(record.get(options.key_column)) if options.key_column else f"{part.name}/{number - 1:08d}"
                data = _bytes(record.get(image), readers)
                if isinstance(data, str):
                    yield Reject(part.name, number, key, data)
                    continue
                sink.write(data)
                labels = [record.get(name) for name in headings.labels]
                label = None if not labels or labels[0] is None else str(labels[0])
                split = record.get(headings.split) if headings.split else part.split
                captions = [c for name in headings.captions for c in strings(record.get(name))]
                more = {name: value for name, value in plain_values(record).items() if name not in used}
                yield Row(key, captions, label, split, BLOB, offset, len(data), part.name, number, more)
                offset += len(data)


def _bytes(value: Any, readers: Sequence[Path]) -> bytes | str:
    """The encoded image, or why there is none."""
    if isinstance(value, bytes):
        return value or "the image is empty"
    if isinstance(value, Mapping):
        if value.get("bytes"):
            return bytes(value["bytes"])
        path = Path(str(value.get("path") or "")).resolve()
        if value.get("path") and any(path.is_relative_to(reader.resolve()) for reader in readers):
            try:
                return path.read_bytes()
            except OSError as error:
                return f"the image {path.name} cannot be read: {error.strerror}"
        return "the image lies in a file outside the set" if value.get("path") else "there is no image"
    return "there is no image"
