"""Which columns of a table hold encoded images themselves, and which of several is the image of the pair."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipc.catalog.images.decode import DecodeError, image_size
from clipc.catalog.images.formats import is_known
from clipc.catalog.options import SourceOptions
from clipc.catalog.parquet_batches import rows_of, safe_batch
from clipc.catalog.rows import IMAGE_SUFFIXES, NAMES, SourceInfo
from clipc.catalog.sources.template import plain_name
from clipc.errors import first_names

_PEEKED = 16
_RANKS = {name: rank for rank, name in enumerate(NAMES["columns"]["image"])}


def by_preference(columns: Iterable[str]) -> list[str]:
    """Columns that hold images: those that are named ``image`` and the like first, then as they come."""
    return sorted(columns, key=_rank)


def describe_choice(image: str, columns: Sequence[str], info: SourceInfo) -> None:
    """Says which of several columns that hold images is taken; a warning where its name does not tell."""
    others = [name for name in columns if name != image]
    if others:
        sentences = info.notes if _rank(image) < len(_RANKS) else info.warnings
        sentences.append(
            f"the images are those of the column {image}; {first_names(others)} "
            f"{'hold' if len(others) > 1 else 'holds'} images too, which --image-column names"
        )


def parquet_image_columns(path: Path) -> list[str]:
    """The columns of a Parquet file that hold images themselves rather than their paths, the likeliest first.

    Hashes and vectors are bytes too. So a column that is not named as one of images must begin with an image, unless
    no other column can be meant.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, memory_map=True)
        schema = file.schema_arrow
        columns = by_preference(field.name for field in schema if _may_hold(field.type))
        if not columns:
            return []
        texts = [
            field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]
        batches = file.iter_batches(batch_size=min(_PEEKED, safe_batch(path, file.metadata)), columns=columns + texts)
        first = next(([row for row in rows_of(batch) if isinstance(row, dict)] for batch in batches), [])
    except (pa.ArrowException, OSError):
        return []
    pieces = {name: [data for row in first if (data := _first_bytes(row[name]))] for name in columns}
    if first:
        columns = [name for name in columns if pieces[name]]
    sure = [name for name in columns if _rank(name) < len(_RANKS) or any(map(_is_image, pieces[name]))]
    has_paths = any(str(row[name]).lower().endswith(IMAGE_SUFFIXES) for row in first for name in texts)
    return sure if sure or has_paths else columns[:1]


def parquet_image_column(path: Path, options: SourceOptions) -> str | None:
    """The column of a Parquet file that holds its images, if there is one; it may be the user's choice."""
    columns = parquet_image_columns(path)
    if options.image_column:
        return options.image_column if options.image_column in columns else None
    return next(iter(columns), None)


def image_bytes(value: Any) -> bytes | None:
    """The encoded image in a value: bytes, an object with ``bytes``, or a list of one of these; None if there is none.

    Raises:
        ValueError: There are several.
    """
    if isinstance(value, list) and len(value) > 1:
        raise ValueError(f"it holds {len(value)} images; a pair has one")
    if isinstance(value, list):
        return image_bytes(value[0]) if value else None
    if isinstance(value, Mapping):
        value = value.get("bytes")
    return bytes(value) if isinstance(value, (bytes, bytearray)) and value else None


def _first_bytes(value: Any) -> bytes | None:
    return image_bytes(value[:1] if isinstance(value, list) else value)


def _may_hold(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _may_hold(kind.value_type)
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_image(data: bytes) -> bool:
    try:
        image_size(data)
    except DecodeError:
        return is_known(data)
    return True


def _rank(column: str) -> int:
    name = plain_name(column)
    return _RANKS.get(name, _RANKS.get(name.removesuffix("s"), len(_RANKS)))
