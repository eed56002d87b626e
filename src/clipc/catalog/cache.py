"""Catalogs cached on disk: Arrow, memory-mapped, made anew when the source has changed."""

import csv
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from clipc.catalog.catalog import REJECTS, SCHEMA, About, Catalog
from clipc.catalog.rows import Source
from clipc.checksums import DamageError, append_checksum, without_checksum
from clipc.errors import UserError, first_line
from clipc.files import whole_file

logger = logging.getLogger(__name__)

FORMAT = 14
"""Increased whenever catalogs cached by an older clipc must be made anew."""

_FILES_WATCHED = 20_000
_META = b"clipc"
_REJECTS = b"clipc rejects"


def through_cache(source: Source, options: Mapping[str, Any], folder: Path, make: Callable[[], Catalog]) -> Catalog:
    """The catalog of a source, from the cache if the source is unchanged, else made and stored.

    A change is detected by the names, sizes and times of the files that the source watches (and of the image files, or,
    if these are many, of their folders). Without a cache that can be read and written the catalog is made every time.

    Args:
        source: The source.
        options: Everything else that the catalog depends on, as JSON values.
        folder: The cache folder, as of :func:`~clipc.files.cache_folder`.
        make: Makes the catalog.
    """
    identity = json.dumps([FORMAT, str(source.root), source.name, dict(options)], sort_keys=True, default=str)
    name = "".join(c if c.isalnum() else "-" for c in source.name)[:40]
    path = folder / "catalogs" / f"{name}-{blake2b(identity.encode(), digest_size=6).hexdigest()}.arrow"
    watched = {str(p): _stamp(p) for p in source.watched}
    mark = blake2b(json.dumps([identity, watched], sort_keys=True).encode(), digest_size=16).hexdigest()
    if (catalog := _load(path, source.root, mark)) is not None:
        return catalog
    catalog = make()
    with suppress(UserError):
        _save(catalog, path, mark, source)
    return _load(path, source.root, mark) or catalog


class _About(BaseModel):
    """The schema of :class:`~clipc.catalog.catalog.About` in a cached catalog."""

    model_config = ConfigDict(extra="forbid")

    name: str
    generated: bool
    notes: list[str]
    warnings: list[str]
    label_columns: list[str]
    class_names: dict[str, dict[str, str]]
    splits_made: bool
    class_captions: bool
    intensity: dict[str, list[float]]


class _Meta(BaseModel):
    """The schema of what a cached catalog says of itself."""

    mark: str
    fingerprint: str
    about: _About
    images: dict[str, list[int] | None]


def _load(path: Path, root: Path, mark: str) -> Catalog | None:
    """The cached catalog; None where there is none, it is damaged, or the source has changed."""
    if not path.is_file():
        return None
    try:
        table = pa.ipc.open_file(pa.py_buffer(without_checksum(memoryview(_map(path))))).read_all()
        metadata = table.schema.metadata or {}
        meta = _Meta.model_validate_json(metadata[_META], strict=True)
        if meta.mark != mark or any(_stamp(root / name) != stamp for name, stamp in meta.images.items()):
            return None
        rejects = pa.ipc.open_stream(metadata[_REJECTS]).read_all()
        if not set(SCHEMA) <= set(table.schema) or rejects.schema != REJECTS:
            raise DamageError("its columns are not those of a catalog")
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        reason = "its head is damaged" if isinstance(error, ValidationError | KeyError) else first_line(error)
        logger.warning("the cached catalog %s is damaged (%s); it is made anew.", path, reason)
        return None
    table, rejects_file = table.replace_schema_metadata(None), _rejects_file(path) if rejects.num_rows else None
    about = meta.about.model_dump()
    about |= {name: tuple(about[name]) for name in ("notes", "warnings", "label_columns")}
    return Catalog(table, root, meta.fingerprint, About(**about), rejects, rejects_file)


def _map(path: Path) -> mmap:
    with path.open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def _save(catalog: Catalog, path: Path, mark: str, source: Source) -> None:
    rejects = pa.BufferOutputStream()
    with pa.ipc.new_stream(rejects, catalog.rejects.schema) as stream:
        stream.write_table(catalog.rejects)
    images = _image_stamps(catalog, source) if source.loose else {}
    about = vars(catalog.about)
    meta = json.dumps({"mark": mark, "fingerprint": catalog.fingerprint, "about": about, "images": images})
    table = catalog.table.replace_schema_metadata({_META: meta, _REJECTS: rejects.getvalue().to_pybytes()})
    with whole_file(path) as new:
        with pa.OSFile(str(new), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)
        append_checksum(new)
        _write_rejects(catalog, _rejects_file(path))


def _rejects_file(path: Path) -> Path:
    return path.with_suffix(".rejects.csv")


def _write_rejects(catalog: Catalog, path: Path) -> None:
    """Writes the rejects as a CSV file: UTF-8 with a byte order mark, by which spreadsheets detect the encoding."""
    if not catalog.rejects.num_rows:
        path.unlink(missing_ok=True)
        return
    with whole_file(path) as new, new.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(catalog.rejects.column_names)
        writer.writerows(row.values() for row in catalog.rejects.to_pylist())


def _image_stamps(catalog: Catalog, source: Source) -> dict[str, list[int] | None]:
    files = [str(file) for file in catalog.table["file"].unique().to_pylist()]
    names = {os.path.dirname(file) for file in files}
    if len(files) <= _FILES_WATCHED:
        names.update(files)
    return {name: _stamp(source.root / name) for name in sorted(names)}


def _stamp(path: Path) -> list[int] | None:
    """Size and modification time of a file, 0 and the time of a folder; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [0 if path.is_dir() else status.st_size, status.st_mtime_ns]
