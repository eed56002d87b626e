"""Catalogs cached on disk: Arrow, memory-mapped, made anew when the source has changed."""

import csv
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa

from clipc.catalog.catalog import About, Catalog
from clipc.catalog.rows import Source
from clipc.errors import UserError
from clipc.files import whole_file

FORMAT = 10
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


def _load(path: Path, root: Path, mark: str) -> Catalog | None:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        metadata = table.schema.metadata or {}
        meta = json.loads(metadata[_META])
        if meta["mark"] != mark or any(_stamp(root / name) != stamp for name, stamp in meta["images"].items()):
            return None
        rejects = pa.ipc.open_stream(metadata[_REJECTS]).read_all()
        about: dict[str, Any] = json.loads(meta["about"])
        about |= {name: tuple(about[name]) for name in ("notes", "warnings", "label_columns")}
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):
        return None
    table, rejects_file = table.replace_schema_metadata(None), _rejects_file(path) if rejects.num_rows else None
    return Catalog(table, root, meta["fingerprint"], About(**about), rejects, rejects_file)


def _save(catalog: Catalog, path: Path, mark: str, source: Source) -> None:
    rejects = pa.BufferOutputStream()
    with pa.ipc.new_stream(rejects, catalog.rejects.schema) as stream:
        stream.write_table(catalog.rejects)
    images = _image_stamps(catalog, source) if source.loose else {}
    about = json.dumps(vars(catalog.about))
    meta = json.dumps({"mark": mark, "fingerprint": catalog.fingerprint, "about": about, "images": images})
    table = catalog.table.replace_schema_metadata({_META: meta, _REJECTS: rejects.getvalue().to_pybytes()})
    with whole_file(path) as new:
        with pa.OSFile(str(new), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)
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
