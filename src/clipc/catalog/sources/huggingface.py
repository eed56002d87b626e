"""Tables with the encoded images inside: Hugging Face datasets, on disk or from the hub, and Parquet files.

The images' bytes are written once into one file, and the catalog's rows point into it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from clipc.catalog.classes import class_names_of_numbers
from clipc.catalog.lfs import LFS_POINTER, is_lfs_pointer
from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import Reject, Row, Source, SourceInfo
from clipc.catalog.sources.grid import read_parquet
from clipc.catalog.sources.headings import find_headings
from clipc.catalog.sources.image_columns import by_preference, describe_choice, image_bytes, parquet_image_columns
from clipc.catalog.sources.pairs import split_labels
from clipc.catalog.values import captions, main_label
from clipc.errors import UserError
from clipc.files import whole_file
from clipc.installation import install_command

DATASET_FILES = ("dataset_dict.json", "dataset_info.json", "state.json")
"""Files by which a dataset saved on disk is recognised."""

_BLOB = "images.bin"
_CAPTIONS_SEEN = 100_000


class _Part(NamedTuple):
    """One table: its name for rejects, its split if the table is one, its columns, and its records or their errors."""

    name: str
    split: str | None
    columns: Sequence[str]
    records: Iterable[Mapping[str, Any] | str]


def huggingface(source: str | Path, name: str, options: SourceOptions, blob: Path) -> Source:
    """The pairs in a dataset of the ``datasets`` package (the extra ``hub``).

    Splits are the dataset's own; class numbers become class names.

    Args:
        source: A folder that ``save_to_disk`` made, or ``owner/name`` (or ``owner/name:configuration``) on the hub.
        name: The set's name.
        options: The columns that the user named.
        blob: The folder that the images' bytes are written into; made if needed.
    """

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        splits = _load(source)
        features = splits[next(iter(splits))].features
        from datasets import Image, config

        images = by_preference(column for column, kind in features.items() if isinstance(kind, Image))
        image = options.image_column or next(iter(images), None)
        if image is None:
            raise UserError(f"{name} has no image column; its columns are: {', '.join(features)}.")
        if image not in features:
            raise UserError(f"{name} has no column {image!r}; it has {', '.join(features)}.")
        describe_choice(image, images, info)
        parts: list[_Part] = []
        for split, rows in splits.items():
            records = _with_class_names(rows.cast_column(image, Image(decode=False)), features)
            parts.append(_Part(split, split, list(features), records))
        readable = [Path(config.HF_CACHE_HOME), *([source] if isinstance(source, Path) else [])]
        return _rows(parts, blob, image, options, readable, info)

    watched = sorted(p for p in source.rglob("*") if p.is_file()) if isinstance(source, Path) else []
    return Source(blob, name, watched, read, loose=True, tabular=True)


def parquet_with_images(path: Path, name: str, options: SourceOptions, blob: Path, image: str) -> Source:
    """The pairs in a Parquet file whose column ``image`` holds encoded images.

    Args:
        path: The file.
        name: The set's name.
        options: The columns that the user named.
        blob: The folder that the images' bytes are written into.
        image: The column with the images, as bytes or as a struct with ``bytes``.
    """

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        describe_choice(image, parquet_image_columns(path), info)
        grid = read_parquet(path, batch_size=64)
        part = _Part(path.name, None, grid.names, (record.values for record in grid.records))
        return _rows([part], blob, image, options, [], info)

    return Source(blob, name, [path], read, loose=True, tabular=True)


def _rows(
    parts: Sequence[_Part], blob: Path, image: str, options: SourceOptions, readable: Sequence[Path], info: SourceInfo
) -> Iterator[Row | Reject]:
    """Writes the images' bytes end to end and yields the rows that point to them.

    Args:
        parts: The tables.
        blob: The folder that the bytes are written into.
        image: The column that holds images, as bytes or as ``{"bytes": ..., "path": ...}``.
        options: The columns that the user named.
        readable: Folders from which an image that is stored by its path alone may be read.
        info: Receives the notes.
    """
    headings = find_headings(parts[0].columns, [], replace(options, image_column=image), parts[0].name)
    headings.describe(info)
    offset, captions_seen, rows = 0, list[tuple[str, ...]](), list[Row]()
    with whole_file(blob / _BLOB, "make room, or name another folder for the cache") as new, new.open("wb") as sink:
        for part in parts:
            for number, record in enumerate(part.records, 1):
                key = f"{part.name}/{number - 1:08d}"
                if options.key_column and not isinstance(record, str):
                    key = str(record.get(options.key_column))
                data = record if isinstance(record, str) else _bytes(record.get(image), readable)
                if isinstance(record, str) or isinstance(data, str):
                    yield Reject(part.name, number, key, str(data))
                    continue
                try:
                    texts = [text for name in headings.captions for text in captions(record.get(name), options.lang)]
                    labels = headings.class_labels(record)
                except ValueError as error:
                    yield Reject(part.name, number, key, str(error))
                    continue
                sink.write(data)
                split = record.get(headings.split) if headings.split else part.split
                texts += headings.made_captions(record)
                if len(captions_seen) < _CAPTIONS_SEEN:
                    captions_seen.append(tuple(texts))
                more = headings.metadata(record)
                label = main_label(labels, more)
                rows.append(Row(key, texts, label, split, _BLOB, offset, len(data), part.name, number, more))
                offset += len(data)
    headings.describe_captions(captions_seen, info)
    split_labels(rows, info)
    yield from rows


def _bytes(value: Any, readable: Sequence[Path]) -> bytes | str:
    """The encoded image, or why there is none."""
    try:
        data = image_bytes(value)
    except ValueError as error:
        return str(error)
    if data is not None:
        return data
    if value == b"":
        return "the image is empty"
    if not isinstance(value, Mapping) or not value.get("path"):
        return "there is no image"
    path = Path(str(value["path"])).resolve()
    if not any(path.is_relative_to(folder.resolve()) for folder in readable):
        return "the image is stored in a file outside the set"
    try:
        return path.read_bytes()
    except OSError as error:
        return f"the image {path.name} cannot be read: {error.strerror}"


def _load(source: str | Path) -> dict[str, Any]:
    """The dataset's splits by name."""
    try:
        import datasets
    except ImportError:
        raise UserError(f"Hugging Face datasets need another package: {install_command('hub')}") from None
    try:
        if isinstance(source, Path):
            dataset: Any = datasets.load_from_disk(str(source))
        else:
            name, _, configuration = source.partition(":")
            dataset = datasets.load_dataset(name, configuration or None)
    except Exception as error:  # the package raises many kinds for a wrong name, no network or a damaged folder
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        for file in sorted(source.rglob("*.arrow")) if isinstance(source, Path) else ():
            with suppress(OSError), file.open("rb") as opened:
                reason = f"{file} {LFS_POINTER}" if is_lfs_pointer(opened.read(100)) else reason
        raise UserError(f"the dataset {source} cannot be opened: {reason}") from None
    return dict(dataset) if isinstance(dataset, dict) else {str(dataset.split or "train"): dataset}


def _with_class_names(rows: Any, features: Any) -> Iterator[dict[str, Any]]:
    """The records, class numbers replaced by names, also in lists of them."""
    from datasets import ClassLabel

    kinds = {column: getattr(feature, "feature", feature) for column, feature in features.items()}
    classes = {column: kind.names for column, kind in kinds.items() if isinstance(kind, ClassLabel)}
    for record in rows:
        for column, names in classes.items():
            record[column] = class_names_of_numbers(record[column], names)
        yield record
