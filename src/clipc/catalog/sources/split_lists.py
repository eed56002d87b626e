"""Lists of file names that name the splits of a set: ``train.txt`` and ``test.txt`` beside its images or its table."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clipc.catalog.rows import IMAGE_SUFFIXES, SPLIT_NAMES, Reject, Row, Source, SourceInfo
from clipc.catalog.sources.class_folders import split_words
from clipc.catalog.sources.paths.finder import fold
from clipc.errors import first_names
from clipc.files import read_text

_MOST_LISTS = 50
_MAX_BYTES = 1 << 28
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MAY_NAME = re.compile("|".join(sorted({name[:3] for name in SPLIT_NAMES} | {"images"})))
_AFTER_NAME = re.compile(r"[\s,;]")
_ORDER = {"test": 0, "val": 1, "train": 2}
_CUB = ("images.txt", "train_test_split.txt")


def split_lists(files: Sequence[str]) -> dict[str, str | None]:
    """The texts among files whose names say that they list a split's images, with that split.

    ``train.txt``, ``val_list.txt``, ``Flickr_8k.testImages.txt``; and the two tables ``images.txt`` and
    ``train_test_split.txt`` of CUB, with None. No text is one that has the name of an image.

    Args:
        files: The files of a set, with ``/``.
    """
    texts = [file for file in files if file[-4:].lower() == ".txt" and _may_be_list(file[file.rfind("/") + 1 : -4])]
    stems = [_CAMEL.sub("_", _stem(file)) for file in texts]
    named: dict[str, str | None] = {
        file: SPLIT_NAMES[split] for file, split in zip(texts, split_words(stems), strict=True) if split is not None
    }
    known = set(texts)
    for file in texts:
        if file.endswith(_CUB[1]) and (images := file.removesuffix(_CUB[1]) + _CUB[0]) in known:
            named |= {file: None, images: None}
    if not named:
        return {}
    images = {_stem(file).lower() for file in files if file.lower().endswith(IMAGE_SUFFIXES)}
    lists = {file: split for file, split in named.items() if _stem(file).lower() not in images}
    return lists if len(lists) <= _MOST_LISTS else {}


def _may_be_list(stem: str) -> bool:
    """Whether a name may be that of a list: a cheap test, since most texts of a set are captions."""
    return not stem.isdecimal() and _MAY_NAME.search(stem.lower()) is not None


def with_split_lists(source: Source, folder: Path, lists: Mapping[str, str | None]) -> Source:
    """The source; where no row has a split, those that lists give, if at least half of their lines name its images.

    An image on two lists is of the split that is measured. Lists of several folders are not mixed: those that name the
    most images count.

    Args:
        source: The source.
        folder: The folder of the lists.
        lists: The lists by path in it, of :func:`split_lists`.
    """
    if not lists:
        return source

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        rows = list(source.read(info))
        pairs = [row for row in rows if isinstance(row, Row)]
        if not any(row.split for row in pairs):
            _apply(folder, lists, pairs, info)
        yield from rows

    return replace(source, read=read, watched=[*source.watched, *(folder / file for file in lists)])


def _apply(folder: Path, lists: Mapping[str, str | None], pairs: Sequence[Row], info: SourceInfo) -> None:
    by_end = _by_end(pairs)
    folders = {part for row in pairs for part in fold(_path(row)).split("/")[:-1]}
    found: dict[str, dict[int, list[str]]] = {}
    used: dict[str, dict[str, None]] = {}
    for file, split, names in _read_lists(folder, lists):
        places = [place for name in names if (place := _place(name, by_end, folders)) is not None]
        if 2 * len(places) < len(names) or not places:
            continue
        at = file.rpartition("/")[0]
        used.setdefault(at, {})[file] = None
        for place in places:
            found.setdefault(at, {}).setdefault(place, []).append(split)
    if not found:
        info.warnings.append(
            f"{first_names(sorted(lists))} {'are' if len(lists) > 1 else 'is'} named as lists of splits, but "
            "most lines name no image of the set, so the splits are not taken from there"
        )
        return
    best = max(found, key=lambda at: len(found[at]))
    splits = {place: min(own, key=_ORDER.__getitem__) for place, own in found[best].items()}
    for place, split in splits.items():
        pairs[place].split = split
    counts = Counter(splits.values())
    listed = ", ".join(f"{name} {counts[name]:,}" for name in ("train", "val", "test") if counts[name])
    note = f"splits are those of {first_names(sorted(used[best]))}: {listed}"
    rest = len(pairs) - len(splits)
    info.notes.append(note + (f"; {rest:,} pairs are on no list and count as train" if rest else ""))
    several = [place for place, own in found[best].items() if len(set(own)) > 1]
    if several:
        info.warnings.append(
            f"lists of two splits name the same images ({len(several):,}; the first is {pairs[several[0]].file}): "
            "these count as test, or else as val; correct the lists if that is wrong"
        )
    if others := sorted(file for at, files in used.items() if at != best for file in files):
        info.warnings.append(f"{first_names(others)} list splits too and are not read, since {best or '.'} lists more")


def _read_lists(folder: Path, lists: Mapping[str, str | None]) -> Iterator[tuple[str, str, list[str]]]:
    """The file, the split and the lines of each list."""
    lines = {file: _lines(folder / file) for file in lists}
    for file, split in lists.items():
        if split is not None:
            yield file, split, lines[file]
        elif file.endswith(_CUB[1]):
            paths = dict(line.split(None, 1) for line in lines[file.removesuffix(_CUB[1]) + _CUB[0]] if " " in line)
            rows = [line.split() for line in lines[file]]
            for is_train, name in (("1", "train"), ("0", "test")):
                yield file, name, [paths.get(row[0], row[0]) for row in rows if row[1:] == [is_train]]


def _lines(path: Path) -> list[str]:
    try:
        text = read_text(path, _MAX_BYTES, "replace")
    except (OSError, ValueError):
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _by_end(pairs: Sequence[Row]) -> dict[str, int | None]:
    """The place of the pair for every end of its image's path, with and without ending; None if several end so."""
    places: dict[str, int | None] = {}
    for place, row in enumerate(pairs):
        path = fold(_path(row))
        for form in {path, os.path.splitext(path)[0]}:
            at = 0
            while True:
                end = form[at:]
                places[end] = None if places.get(end, place) != place else place
                slash = form.find("/", at)
                if slash < 0:
                    break
                at = slash + 1
    return places


def _path(row: Row) -> str:
    """The path of a row's image; its key where it is stored with others."""
    return row.key if row.size >= 0 else row.file


def _place(line: str, by_end: Mapping[str, int | None], folders: set[str]) -> int | None:
    """The place of the pair that a line, or its first word, names by the longest end that is also one of an image.

    Folders that the set does not have may be left out: they are from where the list was written.
    """
    for name in (line, _AFTER_NAME.split(line, maxsplit=1)[0]):
        path = fold(name.strip("\"'").replace("\\", "/")).removeprefix("./")
        for end in (path, os.path.splitext(path)[0]):
            while end not in by_end:
                folder, slash, end = end.partition("/")
                if not slash or folder in folders:
                    break
            else:
                if (place := by_end[end]) is not None:
                    return place
    return None


def _stem(file: str) -> str:
    return os.path.splitext(file.rpartition("/")[2])[0]
