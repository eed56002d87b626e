"""``open_catalog``: a source of any kind becomes a catalog."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from clipc.catalog.build import build
from clipc.catalog.cache import through_cache
from clipc.catalog.catalog import Catalog
from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import IMAGE_SUFFIXES, Reject, Row, Source, SourceInfo
from clipc.catalog.selection import with_keys_of
from clipc.catalog.sources.class_folders import split_words
from clipc.catalog.sources.dataset_card import card_files
from clipc.catalog.sources.folder import folder
from clipc.catalog.sources.grid import TABLE_SUFFIXES, WORKBOOK_SUFFIXES
from clipc.catalog.sources.huggingface import DATASET_FILES, huggingface, parquet_with_images
from clipc.catalog.sources.image_columns import parquet_image_column
from clipc.catalog.sources.joined import Part, joined, with_splits_of_folders
from clipc.catalog.sources.listing import list_files
from clipc.catalog.sources.set_tables import SetTable, as_one_set, image_root, set_tables, unrelated_tables
from clipc.catalog.sources.sidecars import TEXT_SUFFIXES
from clipc.catalog.sources.split_lists import split_lists, with_split_lists
from clipc.catalog.sources.table import table
from clipc.catalog.sources.tar import tars
from clipc.catalog.split import with_splits
from clipc.errors import UserError, first_names
from clipc.extension import is_object_reference, load, source_file
from clipc.files import cache_folder, expand_home
from clipc.progress import Progress, silent

KINDS = (
    "a tar, a folder or a glob of tars; a .csv, .tsv, .jsonl or .parquet table; a folder of images; "
    "a Hugging Face dataset on disk or hf:owner/name; module:object of your own; or demo"
)
"""The kinds of sources, for messages."""

_COMPRESSED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".rar", ".7z")
_UNPACK = "unpack it first, a .tar.gz to a .tar or a folder (images are read from the files in place)"


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
    if options.images is not None:
        options = replace(options, images=Path(expand_home(str(options.images))))
    store = cache_folder(options.cache)
    read_as = {k: v for k, v in asdict(options).items() if k not in ("images", "keys", "group_column", "cache")}
    if not options.captions_needed:
        read_as["captions_needed"] = False
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
    catalog = through_cache(
        pairs, read_as, store, lambda: build(pairs, progress, options.intensity, options.captions_needed)
    )
    if options.keys is not None:
        catalog = with_keys_of(catalog, options.keys)
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
    path = Path(expand_home(source)).absolute()
    try:
        if path.is_dir():
            return _in_folder(path, store, options)
        if path.is_file():
            return _in_file(path, store, options)
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror or error}.") from None
    matches = _matches(path)
    kinds = {match.suffix.lower() for match in matches}
    if kinds == {".tar"}:
        # A link that the user names may lead anywhere.
        return tars([match.resolve() for match in matches], matches[0].parent.name, options)
    if len(kinds) == 1 and kinds <= {*TABLE_SUFFIXES}:
        parent = Path(os.path.commonpath([match.parent for match in matches]))
        tables = as_one_set(parent, [match.relative_to(parent).as_posix() for match in matches])
        return _in_tables(parent, tables, parent.name or "data", store, options, [])
    if matches:
        names, what = first_names([match.name for match in matches]), "tars only, or the tables of one set"
        raise UserError(f"{source} matches {names}; a glob must match {what}. A source is {KINDS}.")
    raise UserError(f"there is no {source}{_near(path)}. A source is {KINDS}.")


def _in_file(path: Path, store: Path, options: SourceOptions) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".tar":
        return tars([path.resolve()], path.stem, options)
    if suffix in WORKBOOK_SUFFIXES:
        raise UserError(f"{path} is a workbook; save the sheet as CSV (UTF-8) and name that.")
    if path.name.lower().endswith(_COMPRESSED):
        raise UserError(f"{path} is compressed; {_UNPACK}. A source is {KINDS}.")
    if suffix == ".parquet" and (image := parquet_image_column(path, options)) is not None:
        return parquet_with_images(path, path.stem, options, _blob(store, path), image)
    if suffix in TABLE_SUFFIXES:
        source = with_splits_of_folders(table(path, path.stem, options))
        beside: list[str] = []
        if split_words([path.stem]) == [None]:
            with suppress(OSError):  # a folder may be closed to all who do not know the file's name
                beside = [each.name for each in os.scandir(path.parent) if each.name != path.name]
        return with_split_lists(source, path.parent, split_lists(beside))
    raise UserError(f"{path} is a file of no known kind. A source is {KINDS}.")


def _matches(path: Path) -> list[Path]:
    """The files that match a glob, in order; a folder that exists by its exact name, such as ``[2024]``, is no glob."""
    exact = next(folder for folder in path.parents if folder.is_dir())
    pattern = os.path.join(glob.escape(str(exact)), path.relative_to(exact))
    return [match.absolute() for match in map(Path, sorted(glob.glob(pattern, recursive=True))) if match.is_file()]


def _in_folder(path: Path, store: Path, options: SourceOptions) -> Source:
    name = path.name or "data"
    if any((path / name).is_file() for name in DATASET_FILES):
        return huggingface(path, name, options, _blob(store, path))
    listing = list_files(path, options.images)
    files = listing.files
    compressed = [file for file in files if file.lower().endswith(_COMPRESSED)]
    by_card = card_files(path, files)
    chosen = list(by_card) or files
    if paths := [path / file for file in chosen if file.lower().endswith(".tar")]:
        splits = {path / file: split for file, split in by_card.items()}
        tables = [file for file in files if file.lower().endswith((".csv", ".tsv", ".jsonl"))]
        return _with_warning(tars(paths, name, options, splits), path, compressed, tables)
    if by_card and all(file.lower().endswith(TABLE_SUFFIXES) for file in by_card):
        tables = [SetTable(*each) for each in by_card.items()] if any(by_card.values()) else as_one_set(path, by_card)
        return _with_warning(_in_tables(path, tables, name, store, options, files), path, compressed)
    is_asked = options.image_column or options.caption_columns or options.caption_templates
    unrelated = [] if is_asked else unrelated_tables(path, files)
    if tables := set_tables(path, [file for file in files if file not in unrelated] if unrelated else files):
        named = {each.file for each in tables}
        lists = split_lists([file for file in files if file not in named])
        source = with_split_lists(_in_tables(path, tables, name, store, options, files), path, lists)
        texts, images = (sum(map(_ends(each), files)) for each in (TEXT_SUFFIXES, IMAGE_SUFFIXES))
        if 2 * texts > images > 0:
            source = _with_advice(source, "Texts beside images are not read where a table is: take one of them away.")
        return _with_warning(source, path, compressed)
    if any(file.lower().endswith(IMAGE_SUFFIXES) for file in files):
        if lists := split_lists(files):
            listing = listing._replace(files=[file for file in files if file not in lists])
        return with_split_lists(folder(path, name, options, listing, unrelated), path, lists)
    if compressed:
        raise UserError(
            f"{path} holds compressed files ({first_names(compressed)}); {_UNPACK}, and name the folder again."
        )
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if not entries:
        raise UserError(f"{path} is an empty folder. A source is {KINDS}.")
    there = first_names([entry.name + "/" * entry.is_dir() for entry in entries])
    raise UserError(f"{path} holds no pairs: there is {there} in it. A source is {KINDS}.")


def _ends(suffixes: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda file: file.lower().endswith(suffixes)


def _with_advice(source: Source, advice: str) -> Source:
    """The source, with a sentence after what makes it unreadable."""

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        try:
            yield from source.read(info)
        except UserError as error:
            raise UserError(f"{error} {advice}") from None

    return replace(source, read=read)


def _with_warning(source: Source, path: Path, compressed: Sequence[str], tables: Sequence[str] = ()) -> Source:
    """The source, with a warning of files that are not read.

    Args:
        source: The source.
        path: Its folder.
        compressed: Files in it that would have to be unpacked.
        tables: Tables beside tars.
    """
    if not (compressed or tables):
        return source

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        if compressed:
            info.warnings.append(
                f"compressed files were not read ({first_names(compressed)}): unpack them if they hold pairs"
            )
        if tables:
            info.warnings.append(
                f"tables beside tars were not read ({first_names(tables)}): if they hold the captions, unpack the tars "
                "and name the table"
            )
        yield from source.read(info)

    return replace(source, read=read, watched=[*source.watched, *(path / file for file in compressed)])


def _in_tables(
    path: Path, tables: Sequence[SetTable], name: str, store: Path, options: SourceOptions, files: Sequence[str]
) -> Source:
    """The pairs in the tables of one set.

    Args:
        path: The folder that holds them.
        tables: The tables.
        name: The set's name.
        store: The cache.
        options: How they are read.
        files: The files in the folder.
    """
    blob = _blob(store, path)
    images = {file.rpartition("/")[0] for file in files if file.lower().endswith(IMAGE_SUFFIXES)}
    parts: list[Part] = []
    for file, split in tables:
        at = path / file
        if at.suffix.lower() == ".parquet" and (image := parquet_image_column(at, options)) is not None:
            source = parquet_with_images(at, name, options, blob / file, image)
        else:
            root = None if options.images else image_root(path, SetTable(file, split), images)
            source = with_splits_of_folders(table(at, name, replace(options, images=path / root) if root else options))
        parts.append(Part(file, split, source))
    if len(parts) == 1 and parts[0].split is None:
        return parts[0].source
    roots = {part.source.root for part in parts}
    root = roots.pop() if len(roots) == 1 else Path(os.path.commonpath(roots))
    return joined(parts, root, name)


def _blob(store: Path, source: str | Path) -> Path:
    return store / "images" / blake2b(str(source).encode(), digest_size=8).hexdigest()


def _near(path: Path) -> str:
    """What exists in the place of a missing source."""
    if not path.parent.is_dir():
        return f" (the folder {path.parent} does not exist)"
    from difflib import get_close_matches

    close = get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.6)
    return f", but there is {path.parent / close[0]}" if close else f" in the folder {path.parent}"
