"""The tables in a folder that make up one set: one table, one a split, or shards."""

import os
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import IMAGE_SUFFIXES, SPLIT_NAMES
from clipc.catalog.sources.class_folders import split_name, splits_of_names
from clipc.catalog.sources.encoding import detect_encoding
from clipc.catalog.sources.grid import TABLE_SUFFIXES, read_parquet
from clipc.catalog.sources.huggingface import parquet_image_column
from clipc.catalog.sources.sidecars import TEXT_SUFFIXES
from clipc.catalog.sources.texts import Texts
from clipc.errors import UserError, first_names

_EXAMINED = 50
_HEAD = 1 << 16
_SEPARATORS = re.compile(r"[\W_\d]+")
_TEXTS = (".txt", ".json")
_CELLS = re.compile(r"[,;\t|\"':{}\[\]]")
_COUNT = re.compile(r"0|[1-9]\d*")
_IMAGE_NAME = re.compile("|".join(re.escape(suffix) + r"\b" for suffix in IMAGE_SUFFIXES), re.IGNORECASE)


class SetTable(NamedTuple):
    """A table of a set: its path relative to the set's folder, and the split that its name or folder gives."""

    file: str
    split: str | None


def set_tables(root: Path, files: Sequence[str]) -> list[SetTable]:
    """The tables of the set in a folder; none where the folder holds images without a table.

    Tables named ``metadata`` are preferred to others, and tables in the folder itself to those in folders within it.
    The latter count where they are named as splits, or lie apart from the images that they name.

    Args:
        root: The folder.
        files: The files below it, relative to it, with ``/``.

    Raises:
        UserError: There are several tables that are not of one set.
    """
    images = {file.rpartition("/")[0] for file in files if file.lower().endswith(IMAGE_SUFFIXES)}
    tables = _tables(files, images, _logs(files))
    texts = [file for file in tables if file.lower().endswith(_TEXTS)]
    named = [file for file in texts if _stem(file).lower() in ("captions", "metadata")]
    if len(texts) <= _EXAMINED:
        known = set(files)
        top = [file for file in texts if file not in named and "/" not in file and not _is_beside(file, known)]
        named += [file for file in top if names_images(root / file)]
        if any(names_images(root / file) for file in named):  # metadata.json may describe the set, not its images
            named = [file for file in named if names_images(root / file)]
    tables = [file for file in tables if not file.lower().endswith(_TEXTS)] + named
    top = [file for file in tables if "/" not in file]
    deep = [file for file in tables if "/" in file]
    metadata = [file for file in top if _stem(file).lower() == "metadata"]
    metadata = metadata or [file for file in deep if _stem(file).lower() == "metadata"]
    return as_one_set(root, metadata or top or [file for file in deep if _lies_apart(root, file, images)])


def unrelated_tables(root: Path, files: Sequence[str]) -> list[str]:
    """The tables in a folder of images with captions that name none of the images, such as ``log.csv``.

    Args:
        root: The folder.
        files: The files below it, relative to it, with ``/``.
    """
    separated = tuple({*TABLE_SUFFIXES} - {*_TEXTS})
    tables = [file for file in files if file.lower().endswith((*separated, "metadata.json", "metadata.txt"))]
    if not tables:
        return []
    images = {file.rpartition("/")[0] for file in files if file.lower().endswith(IMAGE_SUFFIXES)}
    tables = _tables(tables, images, _logs(files))
    if not images or not 0 < len(tables) <= _EXAMINED:
        return []
    names = {_stem(file) for file in files if file.lower().endswith(IMAGE_SUFFIXES)}
    texts = [file for file in files if file.lower().endswith(TEXT_SUFFIXES)]
    of_images = [file for file in texts if _stem(file) in names or os.path.splitext(_stem(file))[0] in names]
    if 2 * len(of_images) < len(names) or Texts(root, "", None).are_numbers(of_images[:_EXAMINED]):
        return []
    return [file for file in tables if not _names_any(root / file, names)]


def as_one_set(root: Path, files: Iterable[str]) -> list[SetTable]:
    """Tables with the splits that their names give, in order.

    Raises:
        UserError: They are of several sets: their names differ in more than splits and numbers.
    """
    tables = sorted(files)
    splits, families = [_split(file) for file in tables], {_family(file) for file in tables}
    if len(families) > 1:
        about_images = [file for file in tables if not file.lower().endswith(".parquet") and names_images(root / file)]
        if about_images and len(about_images) < len(tables):
            return as_one_set(root, about_images)
    forms = len({file.rpartition(".")[0] for file in tables}) < len(tables)  # pairs.csv and pairs.json
    if forms or len(families) > 1 or len({split is None for split in splits}) > 1:
        raise UserError(f"{root} holds several tables ({first_names(tables)}); name one of them.")
    if len({SPLIT_NAMES.get(split or "") for split in splits}) == 1:  # test-bench.csv is no split of its own
        stems = [_stem(file) for file in tables]
        in_stem = [any(word in SPLIT_NAMES for word in _SEPARATORS.split(stem.lower())) for stem in stems]
        sure = splits_of_names(stems)
        splits = [own if named else split for split, named, own in zip(splits, in_stem, sure, strict=True)]
    return [SetTable(file, split) for file, split in zip(tables, splits, strict=True)]


def names_images(path: Path) -> bool:
    """Whether half of a text file's first lines name an image file; in a ``.txt`` with a separator as tables have."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    lines = [line for line in head.replace(b"\0", b"").decode("utf-8", "replace").splitlines() if line.strip()]
    if lines and lines[0].lstrip("\ufeff \t")[:1] in ("{", "["):
        return len(_IMAGE_NAME.findall("\n".join(lines))) > 1
    rows = lines[1:_EXAMINED] or lines
    needed = ",;|#\t" if path.suffix.lower() == ".txt" else ""
    fitting = [line for line in rows if _IMAGE_NAME.search(line) and (not needed or any(c in line for c in needed))]
    return bool(rows) and 2 * len(fitting) >= len(rows)


def _names_any(path: Path, names: Collection[str]) -> bool:
    """Whether half of a table's first rows name an image, perhaps without its ending but not by a mere count.

    A Parquet file may hold the images themselves.
    """
    try:
        if path.suffix.lower() == ".parquet":
            if parquet_image_column(path, SourceOptions()) is not None:
                return True
            first = islice(read_parquet(path, _EXAMINED).records, _EXAMINED)
            rows = [list(map(str, each.values.values())) for each in first if not isinstance(each.values, str)]
        else:
            with open(path, "rb") as file:
                head = file.read(_HEAD)
            coding = detect_encoding(head, whole=len(head) < _HEAD)
            rows = [_CELLS.split(line) for line in head.decode(coding.codec, coding.errors).splitlines()[:_EXAMINED]]
    except (OSError, UserError):
        return False

    def is_name(cell: str) -> bool:
        return cell.lower().endswith(IMAGE_SUFFIXES) or (cell in names and not _COUNT.fullmatch(cell))

    fitting = sum(any(is_name(cell.strip()) for cell in row) for row in rows)
    return fitting > 0 and 2 * fitting >= len(rows) - 1


def image_root(root: Path, table: SetTable, images: Collection[str]) -> str | None:
    """The folder that the image paths in a table are relative to, if it is not the table's own.

    That is the folder of images which is named as the table's split, unless the table names it; or, for a table in a
    folder without images, the whole set.

    Args:
        root: The set's folder.
        table: The table.
        images: The folders that hold images, relative to the root; none if they are not known.
    """
    own = table.file.rpartition("/")[0]
    split = SPLIT_NAMES.get(table.split or "")
    of_split = [folder for folder in images if split and split in map(_canonical, folder.split("/"))]
    parts = os.path.commonpath(of_split).split("/") if 0 < len(of_split) < len(images) else []
    at = next((at for at, part in enumerate(parts) if _canonical(part) == split), None)
    if at is not None and not f"{own}/".startswith("/".join(parts[: at + 1]) + "/"):
        with suppress(OSError), open(root / table.file, "rb") as file:
            head = file.read(_HEAD).replace(b"\0", b"").replace(b"\\", b"/")
            if f"{parts[at]}/".encode() not in head:
                names_inner = any(f"{part}/".encode() in head for part in parts[at + 1 :])
                return "/".join(parts[: at + 1] if names_inner else parts)
    is_apart = own and images and not any(f"{folder}/".startswith(f"{own}/") for folder in images)
    return "." if is_apart else None


def _canonical(folder: str) -> str | None:
    return SPLIT_NAMES.get(split_name(folder) or "")


def _logs(files: Sequence[str]) -> set[str]:
    """What img2dataset logs: ``00000`` where ``00000_stats.json`` is."""
    return {file.removesuffix("_stats.json") for file in files if file.endswith("_stats.json")}


def _tables(files: Sequence[str], images: set[str], logs: set[str]) -> list[str]:
    """The files that may be tables, where some folders hold images."""
    return [file for file in files if file.lower().endswith(TABLE_SUFFIXES) and not _is_log(file, logs, images)]


def _is_beside(text: str, files: set[str]) -> bool:
    """Whether a text is one image's: ``0001.json`` beside ``0001.jpg``."""
    stem = text.rpartition(".")[0]
    return stem in files or any(stem + suffix in files for suffix in IMAGE_SUFFIXES)


def _is_log(file: str, logs: set[str], images: set[str]) -> bool:
    """Whether a table is img2dataset's log of a folder of images: ``00000.parquet`` beside ``00000_stats.json``."""
    stem = file.rpartition(".")[0]
    return stem.removesuffix("_stats") in logs and stem.removesuffix("_stats") in images


def _lies_apart(root: Path, file: str, images: set[str]) -> bool:
    """Whether a table in a folder within the set's may be the set's: no images are in its own folder."""
    folder = file.rpartition("/")[0]
    return folder not in images and (not images or file.lower().endswith(".parquet") or names_images(root / file))


def _stem(file: str) -> str:
    return file.rpartition("/")[2].rpartition(".")[0]


def _words(file: str) -> list[list[str]]:
    """The words of each part of a path, without its ending."""
    return [_SEPARATORS.split(part.lower()) for part in file.rpartition(".")[0].split("/")]


def _split(file: str) -> str | None:
    """The one split that a table's name gives, or else one of its folders."""
    for words in reversed(_words(file)):
        splits = [word for word in words if word in SPLIT_NAMES]
        if splits:
            return splits[0] if len(splits) == 1 else None
    return None


def _family(file: str) -> tuple[str, ...]:
    """What is left of a table's path without splits and numbers: equal for tables of one set."""
    parts = [
        "-".join(word for word in words if word and word not in SPLIT_NAMES and word != "of") for words in _words(file)
    ]
    return tuple(filter(None, parts))
