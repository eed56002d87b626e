"""Several sources as one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from clipc.catalog.rows import SPLIT_NAMES, Reject, Row, Source, SourceInfo
from clipc.catalog.sources.class_folders import split_word
from clipc.errors import UserError, first_names


class Part(NamedTuple):
    """A table that is a part of a set.

    Attributes:
        name: Its path in the set.
        split: The split that the whole part is, or None.
        source: Its pairs.
    """

    name: str
    split: str | None
    source: Source


def joined(parts: Sequence[Part], root: Path, name: str) -> Source:
    """Sources as one, whose rows are those of the parts, one part after the other.

    A row without a split has its part's. Image paths become relative to ``root``, and so do keys that are the image's
    path. Any other key stays, unless a row of an earlier part has it: then the part's name and a slash precede it.
    The names of tables in rejects become paths in the set, as the parts' names are.

    Args:
        parts: The sources, at least one.
        root: A folder that holds the roots of all.
        name: The set's name.
    """

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        keys: set[str] = set()
        infos: list[SourceInfo] = []
        for part in parts:
            infos.append(SourceInfo())
            own: set[str] = set()
            image_prefix = _prefix(part.source.root.relative_to(root))
            table_prefix = _prefix(PurePosixPath(part.name).parent)
            for row in _rows(part, infos[-1], many=len(parts) > 1):
                if isinstance(row, Reject):
                    yield row._replace(file=table_prefix + row.file)
                    continue
                has_path_as_key = row.key == row.file
                row.file = image_prefix + row.file
                if has_path_as_key:
                    row.key = row.file
                elif row.key in keys:
                    row.key = f"{part.name}/{row.key}"
                if row.place:
                    row.place = table_prefix + row.place
                row.split = row.split or part.split
                own.add(row.key)
                yield row
            keys |= own
        _merge(infos, [part.name for part in parts], info)

    sources = [part.source for part in parts]
    watched = list(dict.fromkeys(path for source in sources for path in source.watched))
    loose, tabular = any(source.loose for source in sources), all(source.tabular for source in sources)
    return Source(root, name, watched, read, loose, tabular)


def _prefix(folder: PurePath) -> str:
    """What makes paths relative to a folder relative to the folder above: its path and a slash, nothing for ``.``."""
    return "" if folder == PurePath() else f"{folder.as_posix()}/"


def _rows(part: Part, info: SourceInfo, many: bool) -> Iterator[Row | Reject]:
    try:
        yield from part.source.read(info)
    except UserError as error:
        raise UserError(f"{error} To read one table alone, name it." if many else str(error)) from None


def _merge(infos: Sequence[SourceInfo], names: Sequence[str], into: SourceInfo) -> None:
    """Adds what became known about the parts; a sentence that not all parts have is preceded by their names."""
    if len(names) > 1:
        into.notes.append(f"{len(names)} tables are read as one set: {first_names(names)}")
    for kind in ("notes", "warnings"):
        own = [getattr(info, kind) for info in infos]
        for sentence in dict.fromkeys(sentence for sentences in own for sentence in sentences):
            having = [name for name, sentences in zip(names, own, strict=True) if sentence in sentences]
            where = "" if len(having) == len(names) else f"{first_names(having)}: "
            getattr(into, kind).append(where + sentence)
    into.guessed_label = next((info.guessed_label for info in infos if info.guessed_label is not None), None)
    for info in infos:
        into.class_captions += info.class_captions
        into.label_columns += [column for column in info.label_columns if column not in into.label_columns]
        for column, classes in info.class_names.items():
            into.class_names.setdefault(column, {}).update(classes)


def with_splits_of_folders(source: Source) -> Source:
    """The source; where no row has a split, those that the folders of the images name.

    Nothing is changed unless most images are in folders that are named as splits, some for training and others not.
    """

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        rows = list(source.read(info))
        pairs = [row for row in rows if isinstance(row, Row)]
        names = [] if any(row.split for row in pairs) else [_folder_split(row) for row in pairs]
        splits = {SPLIT_NAMES.get(name or "") for name in names}
        outside = sum(name is None for name in names)
        if "train" in splits and len(splits - {None}) > 1 and 2 * outside < len(names):
            rest = f"; {outside:,} images in other folders count as train" if outside else ""
            info.notes.append(f"splits are those that the images' folders name{rest}")
            for row, name in zip(pairs, names, strict=True):
                row.split = name
        yield from rows

    return replace(source, read=read)


def _folder_split(row: Row) -> str | None:
    return next((split for part in row.file.split("/")[:-1] if (split := split_word(part))), None)
