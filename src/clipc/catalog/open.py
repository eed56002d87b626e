"""``open_catalog``: a source of any kind becomes a catalog."""

import glob
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from clipc.catalog.build import build
from clipc.catalog.cache import through_cache
from clipc.catalog.catalog import Catalog
from clipc.catalog.rows import IMAGE_SUFFIXES, Source, SourceOptions
from clipc.catalog.sources.folder import folder, walk
from clipc.catalog.sources.grid import TABLE_SUFFIXES, WORKBOOK_SUFFIXES
from clipc.catalog.sources.huggingface import DATASET_FILES, huggingface, parquet_image_column, parquet_with_images
from clipc.catalog.sources.table import table
from clipc.catalog.sources.tar import tars
from clipc.catalog.split import with_splits
from clipc.errors import UserError
from clipc.extension import is_object_reference, load, source_file
from clipc.files import cache_folder
from clipc.progress import Progress, silent

KINDS = (
    "a tar, a folder or a glob of tars; a .csv, .tsv, .jsonl or .parquet table; a folder of images; "
    "a Hugging Face dataset on disk or hf:owner/name; module:object of your own; or demo"
)
"""The kinds of sources, for messages."""

_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z")


def open_catalog(
    source: str | Path, options: SourceOptions | None = None, *, progress: Progress = silent, **fields: Any
) -> Catalog:
    """Opens pairs of images and captions from a source of any kind.

    Args:
        source: A tar, a folder of tars or a glob that matches tars; a table (CSV, TSV, JSON lines, Parquet); a folder
            of images with captions beside them or in class folders; a Hugging Face dataset saved on disk, or
            ``hf:owner/name``; ``module:object``, a :class:`~clipc.catalog.rows.Source` of your own; or ``demo``, the
            built-in generated set.
        options: How the source is read, where clipc should not detect it.
        progress: Receives the number of rows read and images checked.
        **fields: Fields of :class:`SourceOptions`, instead of or beside ``options``: ``label_columns=["defect"]``.

    Returns:
        The catalog, memory-mapped from the cache where one can be written. Splits are those of the source; only a
        ``group_column`` has missing ones made (:func:`~clipc.catalog.with_splits`).

    Raises:
        UserError: The source is of no known kind, or not one pair in it can be read.
    """
    options = replace(options or SourceOptions(), **fields)
    store = cache_folder(options.cache)
    read_as = {k: v for k, v in asdict(options).items() if k not in ("images", "group_column", "cache")}
    is_code = is_object_reference(str(source)) and not str(source).startswith("hf:")
    if is_code and isinstance(source, str) and not os.path.exists(source):
        # The catalog is made anew when the code of the user's own source has changed.
        own: Source = load(source, Source, "a clipc.Source")
        pairs = replace(own, root=own.root.absolute(), watched=[*own.watched, source_file(source)])
        read_as["own"] = source
    else:
        pairs = _find(str(source), store, options, progress)
    if options.caption_templates and not pairs.tabular:
        raise UserError(
            f"{source} is no table, so --caption-template has no columns to make captions from; "
            "write a CSV file with the image paths and the columns, and name that."
        )
    catalog = through_cache(pairs, read_as, store, lambda: build(pairs, progress, options.intensity))
    return catalog if options.group_column is None else with_splits(catalog, group_column=options.group_column)


def _find(source: str, store: Path, options: SourceOptions, progress: Progress) -> Source:
    """The source that a name means."""
    if source == "demo":
        from clipc.demo import VERSION, make_demo

        demo = make_demo(store / "demo" / f"{options.lang}-v{VERSION}", options.lang, progress=progress)
        return tars(sorted(demo.glob("*.tar")), "demo", replace(options, encoding=None))
    if source.startswith("hf:"):
        hub_name = source.removeprefix("hf:")
        return huggingface(hub_name, hub_name, options, _blob(store, source))
    path = Path(source).expanduser().absolute()
    try:
        if path.is_dir():
            return _in_folder(path, store, options)
        if path.is_file():
            return _in_file(path, store, options)
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror or error}.") from None
    names = sorted(glob.glob(str(path), recursive=True))
    matches = [match.absolute() for match in map(Path, names) if match.is_file()]
    if matches and all(match.suffix.lower() == ".tar" for match in matches):
        # A link that the user names may lead anywhere.
        return tars([match.resolve() for match in matches], matches[0].parent.name, options)
    if matches:
        raise UserError(f"{source} matches {_some(matches)}; a glob must match tars only. A source is {KINDS}.")
    raise UserError(f"there is no {source}{_near(path)}. A source is {KINDS}.")


def _in_file(path: Path, store: Path, options: SourceOptions) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".tar":
        return tars([path.resolve()], path.stem, options)
    if suffix in WORKBOOK_SUFFIXES:
        raise UserError(f"{path} is a workbook; save the sheet as CSV (UTF-8) and name that.")
    if suffix in _COMPRESSED:
        raise UserError(
            f"{path} is compressed; unpack it first (images are read from the files in place). A source is {KINDS}."
        )
    if suffix == ".parquet" and (image := parquet_image_column(path, options)) is not None:
        return parquet_with_images(path, path.stem, options, _blob(store, path), image)
    if suffix in TABLE_SUFFIXES:
        return table(path, path.stem, options)
    raise UserError(f"{path} is a file of no known kind. A source is {KINDS}.")


def _in_folder(path: Path, store: Path, options: SourceOptions) -> Source:
    name = path.name or "data"
    top = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if any((path / name).is_file() for name in DATASET_FILES):
        return huggingface(path, name, options, _blob(store, path))
    files = [path / file for file in walk(path)[0]]
    if paths := [file for file in files if file.suffix.lower() == ".tar"]:
        return tars(paths, name, options)
    tables = [entry for entry in top if entry.is_file() and entry.suffix.lower() in TABLE_SUFFIXES and _is_table(entry)]
    tables = [entry for entry in tables if entry.stem.lower() == "metadata"] or tables
    if len(tables) == 1:
        return table(tables[0], name, options)
    if len(tables) > 1:
        raise UserError(f"{path} holds several tables ({_some(tables)}); name one of them.")
    if any(file.suffix.lower() in IMAGE_SUFFIXES for file in files):
        return folder(path, name, options)
    raise UserError(f"{path} holds no pairs: there is {_some(top) or 'nothing'} in it. A source is {KINDS}.")


def _is_table(path: Path) -> bool:
    """A ``.txt`` or ``.json`` in a folder is more often a read-me, a caption or settings than the table."""
    if path.suffix.lower() == ".json":
        return path.stem.lower() == "metadata"
    return path.suffix.lower() != ".txt" or path.stem.lower() in ("captions", "metadata")


def _blob(store: Path, source: str | Path) -> Path:
    return store / "images" / blake2b(str(source).encode(), digest_size=8).hexdigest()


def _some(paths: Sequence[Path]) -> str:
    names = [path.name + ("/" if path.is_dir() else "") for path in paths[:5]]
    return ", ".join(names) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")


def _near(path: Path) -> str:
    """What exists in the place of a missing source."""
    if not path.parent.is_dir():
        return f" (the folder {path.parent} does not exist)"
    from difflib import get_close_matches

    close = get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.6)
    return f", but there is {path.parent / close[0]}" if close else f" in {path.parent}"
