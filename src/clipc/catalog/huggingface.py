"""Hugging Face datasets: saved on disk, or by name from the hub; and Parquet files with images inside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clipc.catalog.embedded import Part, embedded
from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import Reject, Row, Source, SourceNotes
from clipc.errors import UserError

MARKS = ("dataset_dict.json", "dataset_info.json", "state.json")
"""Files that tell a dataset saved on disk."""


def huggingface(source: str | Path, *, name: str, options: SourceOptions, blob: Path) -> Source:
    """The pairs in a dataset of the ``datasets`` package (``pip install 'clipc[hub]'``).

    The images' bytes are written once into the blob folder. Splits are the dataset's own; class labels become names.

    Args:
        source: A folder that ``save_to_disk`` made, or ``owner/name`` (or ``owner/name:configuration``) on the hub.
        name: The set's name.
        options: The columns that the user named.
        blob: Where the images are written; made if needed.
    """

    def read(told: SourceNotes) -> Iterator[Row | Reject]:
        parts = _load(source)
        features = parts[next(iter(parts))].features
        image = options.image_column or _image_feature(features, name)
        if image not in features:
            raise UserError(f"{name} has no column {image!r}; it has {', '.join(features)}.")
        from datasets import Image, config

        tables = [
            Part(split, split, list(features), _named(part.cast_column(image, Image(decode=False)), features))
            for split, part in parts.items()
        ]
        readers = [Path(config.HF_CACHE_HOME), *([source] if isinstance(source, Path) else [])]
        return embedded(tables, blob, image, options, readers, told)

    watched = sorted(p for p in source.rglob("*") if p.is_file()) if isinstance(source, Path) else []
    return Source(blob, name, watched, read, loose=True)


def parquet_image_column(path: Path, options: SourceOptions) -> str | None:
    """The column of a Parquet file that holds images themselves rather than their paths, if there is one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return None
    for field in schema:
        kind = field.type
        holds = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        if pa.types.is_struct(kind):
            holds = any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        if holds and options.image_column in (None, field.name):
            return field.name
    return None


def parquet_with_images(path: Path, *, name: str, options: SourceOptions, blob: Path, image: str) -> Source:
    """The pairs in a Parquet file whose column ``image`` holds encoded images.

    Args:
        path: The file.
        name: The set's name.
        options: The columns that the user named.
        blob: The folder that the images' bytes are written into.
        image: The column with the images, as bytes or as a struct with ``bytes``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def records(file: Any) -> Iterator[dict[str, Any]]:
        try:
            for batch in file.iter_batches(batch_size=64):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            yield {image: None, "damage": f"the file is damaged from here on: {error}"}

    def read(told: SourceNotes) -> Iterator[Row | Reject]:
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path} is no Parquet file that can be read: {error}.") from None
        part = Part(path.name, None, file.schema_arrow.names, records(file))
        return embedded([part], blob, image, options, [], told)

    return Source(blob, name, [path], read, loose=True)


def _load(source: str | Path) -> dict[str, Any]:
    """The dataset's splits by name."""
    try:
        import datasets
    except ImportError:
        raise UserError("Hugging Face datasets need the extra: pip install 'clipc[hub]'.") from None
    try:
        if isinstance(source, Path):
            loaded: Any = datasets.load_from_disk(str(source))
        else:
            owner, _, configuration = source.partition(":")
            loaded = datasets.load_dataset(owner, configuration or None)
    except Exception as error:  # the package raises many kinds for a wrong name, no network or a damaged folder
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"the dataset {source} cannot be opened: {reason}") from None
    return dict(loaded) if isinstance(loaded, dict) else {str(loaded.split or "train"): loaded}


def _image_feature(features: Any, name: str) -> str:
    from datasets import Image

    found = [column for column, feature in features.items() if isinstance(feature, Image)]
    if not found:
        raise UserError(f"{name} has no image column; its columns are: {', '.join(features)}.")
    return found[0]


def _named(part: Any, features: Any) -> Iterator[dict[str, Any]]:
    """The records, class numbers made names."""
    from datasets import ClassLabel

    classes = {column: feature.names for column, feature in features.items() if isinstance(feature, ClassLabel)}
    for record in part:
        for column, names in classes.items():
            value = record[column]
            record[column] = names[value] if isinstance(value, int) and 0 <= value < len(names) else None
        yield record
