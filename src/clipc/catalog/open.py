"""The one way in: a source of any kind becomes a catalog."""

import glob
import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from clipc.catalog.build import build
from clipc.catalog.cache import cache_folder, through_cache
from clipc.catalog.catalog import Catalog
from clipc.catalog.folder import folder
from clipc.catalog.grid import TABLE_SUFFIXES
from clipc.catalog.headings import Wanted
from clipc.catalog.huggingface import MARKS, huggingface, parquet_image_column, parquet_with_images
from clipc.catalog.rows import IMAGE_SUFFIXES, Source
from clipc.catalog.table import table
from clipc.catalog.tar import tars
from clipc.errors import UserError
from clipc.progress import Progress, silent

KINDS = (
    "a tar, a folder or a glob of tars; a .csv, .tsv, .jsonl or .parquet table; a folder of images; "
    "a Hugging Face dataset on disk or hf:owner/name; or demo"
)
"""The kinds of sources, as told to a user."""

_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z")


def open_catalog(
    source: str | Path,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    caption_columns: Sequence[str] = (),
    label_columns: Sequence[str] = (),
    split_column: str | None = None,
    key_column: str | None = None,
    encoding: str | None = None,
    cache: Path | None = None,
    lang: str = "en",
    progress: Progress = silent,
) -> Catalog:
    """Opens pairs of images and captions, whatever form they are kept in.

    Args:
        source: A tar, a folder of tars or a glob that matches tars; a table (CSV, TSV, JSON lines, Parquet); a folder
            of images with captions beside them or in class folders; a Hugging Face dataset saved on disk, or
            ``hf:owner/name``; or ``demo``, the built-in generated set.
        images: For tables: the folder that image paths are relative to; the table's own by default.
        image_column: For tables: the column with image paths; found by name by default, as are the next four.
        caption_columns: The columns with captions.
        label_columns: The columns with class labels, the main one first.
        split_column: The column with the split.
        key_column: The column with a unique key.
        encoding: The encoding of tables and caption files; detected by default.
        cache: Where to keep catalogs; ``$CLIPC_CACHE`` or the user's cache folder by default.
        lang: The language (``en``, ``ja``) of captions that are made: of the demo set and from class names.
        progress: Told of the work.

    Returns:
        The catalog, memory-mapped from the cache where one can be written.

    Raises:
        UserError: The source is of no known kind, or not one pair in it can be read.
    """
    store = cache_folder(cache)
    wanted = Wanted(image_column, tuple(caption_columns), tuple(label_columns), split_column, key_column)
    found = _find(str(source), store, wanted, images.absolute() if images else None, encoding, lang, progress)
    options = {"wanted": wanted.__dict__, "encoding": encoding, "lang": lang}
    return through_cache(found, options, store, lambda: build(found, progress))


def _find(
    source: str,
    store: Path,
    wanted: Wanted,
    images: Path | None,
    encoding: str | None,
    lang: str,
    progress: Progress,
) -> Source:
    """The source that a name means."""
    if source == "demo":
        from clipc.demo import VERSION, make_demo

        made = make_demo(store / "demo" / f"{lang}-v{VERSION}", lang, progress=progress)
        return tars(sorted(made.glob("*.tar")), name="demo", lang=lang)
    if source.startswith("hf:"):
        hub_name = source.removeprefix("hf:")
        return huggingface(hub_name, name=hub_name, wanted=wanted, blob=_blob(store, source))
    path = Path(source).expanduser().absolute()
    try:
        if path.is_dir():
            return _in_folder(path, store, wanted, images, encoding, lang)
        if path.is_file():
            return _in_file(path, store, wanted, images, encoding, lang)
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror or error}.") from None
    matches = [Path(match).absolute() for match in sorted(glob.glob(str(path), recursive=True))]
    matches = [match for match in matches if match.is_file()]
    if matches and all(match.suffix.lower() == ".tar" for match in matches):
        named = [match.resolve() for match in matches]  # links that the user names may lead anywhere
        return tars(named, name=matches[0].parent.name, encoding=encoding, lang=lang)
    if matches:
        raise UserError(f"{source} matches {_some(matches)}; a glob must match tars only. A source is {KINDS}.")
    raise UserError(f"there is no {source}{_near(path)}. A source is {KINDS}.")


def _in_file(path: Path, store: Path, wanted: Wanted, images: Path | None, encoding: str | None, lang: str) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".tar":
        return tars([path.resolve()], name=path.stem, encoding=encoding, lang=lang)
    if suffix in _COMPRESSED:
        raise UserError(f"{path} is compressed; unpack it first (pairs are read where they lie). A source is {KINDS}.")
    if suffix == ".parquet" and (image := parquet_image_column(path, wanted)) is not None:
        return parquet_with_images(path, name=path.stem, wanted=wanted, blob=_blob(store, path), image=image)
    if suffix in TABLE_SUFFIXES:
        return table(path, name=path.stem, images=images, wanted=wanted, encoding=encoding)
    raise UserError(f"{path} is a file of no known kind. A source is {KINDS}.")


def _in_folder(path: Path, store: Path, wanted: Wanted, images: Path | None, encoding: str | None, lang: str) -> Source:
    name = path.name or "data"
    top = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if any((path / mark).is_file() for mark in MARKS):
        return huggingface(path, name=name, wanted=wanted, blob=_blob(store, path))
    files = _files(path)
    if paths := [file for file in files if file.suffix.lower() == ".tar"]:
        return tars(paths, name=name, encoding=encoding, lang=lang)
    tables = [entry for entry in top if entry.is_file() and entry.suffix.lower() in TABLE_SUFFIXES and _is_table(entry)]
    named = [entry for entry in tables if entry.stem.lower() == "metadata"]
    if len(named or tables) == 1:
        return table((named or tables)[0], name=name, images=images, wanted=wanted, encoding=encoding)
    if len(tables) > 1:
        raise UserError(f"{path} holds several tables ({_some(tables)}); name one of them.")
    if any(file.suffix.lower() in IMAGE_SUFFIXES for file in files):
        return folder(path, name=name, encoding=encoding, lang=lang)
    raise UserError(f"{path} holds no pairs: there is {_some(top) or 'nothing'} in it. A source is {KINDS}.")


def _files(path: Path) -> list[Path]:
    """All files below a folder; hidden ones and links to folders are passed over."""
    found: list[Path] = []
    for at, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [Path(at, name) for name in files if not name.startswith(".")]
    return found


def _is_table(path: Path) -> bool:
    """A ``.txt`` or ``.json`` in a folder is more often a read-me, a caption or settings than the table."""
    if path.suffix.lower() == ".json":
        return path.stem.lower() == "metadata"
    return path.suffix.lower() != ".txt" or path.stem.lower() in ("captions", "metadata")


def _blob(store: Path, source: str | Path) -> Path:
    return store / "images" / blake2b(str(source).encode(), digest_size=8).hexdigest()


def _some(paths: Sequence[Path], most: int = 5) -> str:
    names = [path.name + ("/" if path.is_dir() else "") for path in paths[:most]]
    return ", ".join(names) + (f" and {len(paths) - most} more" if len(paths) > most else "")


def _near(path: Path) -> str:
    """What there is where the source was looked for."""
    if not path.parent.is_dir():
        return f" (the folder {path.parent} does not exist)"
    from difflib import get_close_matches

    close = get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.6)
    return f", but there is {path.parent / close[0]}" if close else f" in {path.parent}"
