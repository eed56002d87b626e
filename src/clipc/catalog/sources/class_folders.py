"""Splits and classes that the names of folders give."""

import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from clipc.catalog.rows import NAMES, SPLIT_NAMES

_NUMBER = re.compile(r"\d+[_.]\s*(?=\D)")
_WORDS = re.compile(r"[\W_]+")
_WORDS_AND_NUMBERS = re.compile(r"[\W_\d]+")
_YEAR = re.compile(r"(19|20)\d\d")
_IMAGE_FOLDERS = set(NAMES["folders"]["images"])
_VAGUE = {"set", "sets", "data", "dataset", "all"}
_AFTER_SPLIT = {
    *("of", "shard", "shards", "part", "parts", "chunk", "chunks", "pairs", "labels", "annotations", "list"),
    *("metadata", "meta", "captions", "caption", "info", "table", "split"),
}
_MASK_FOLDERS = set(NAMES["folders"]["masks"])


class Meaning(NamedTuple):
    """What the path of a folder says of the images in it.

    Attributes:
        split: The word that names their split, such as ``valid``, or None.
        label: Their class, or None.
        inner: The path below the class folder; empty if there is none.
    """

    split: str | None
    label: str | None
    inner: str


def meanings(folders: Collection[str], are_classes: bool = True) -> dict[str, Meaning]:
    """The meaning of each folder of images.

    The class is the outermost folder, apart from folders that hold all images and folders named as splits or
    ``images``. Splits may also be folders within all class folders. Numbers before class names are left out:
    kohya-style repeat counts (``10_gear``) and indices (``001.Albatross``).

    Args:
        folders: The folders with images, relative to the root, with ``/``; ``""`` is the root.
        are_classes: Whether folders may name classes. Otherwise all outermost folders with a split's name are splits.

    Returns:
        The meanings by folder. Folders that lie beside those of splits, such as ``extra`` beside ``train`` and ``val``,
        have none if folders may name classes.
    """
    paths = {folder: folder.split("/") if folder else [] for folder in folders}
    shared = 0 if "" in folders or not folders else len(PurePosixPath(os.path.commonpath(folders)).parts)
    split_of: dict[str, str | None] = {}
    rests: dict[str, list[str]] = {}
    has_splits = not are_classes or _are_splits([path[shared:] for path in paths.values()])
    for folder, path in paths.items():
        split = next((split for part in path[:shared] if (split := split_word(part))), None)
        rest = path[shared:]
        if are_classes and has_splits and not split and rest and _is_beside_splits(rest[0]):
            continue
        while rest and (_is_image_folder(rest[0]) or (has_splits and not split and split_word(rest[0]))):
            split = split or split_word(rest[0])
            rest = rest[1:]
        split_of[folder], rests[folder] = split, rest
    # Splits within all class folders.
    if all(len(rest) > 1 and split_word(rest[1]) for rest in rests.values()):
        for folder, rest in rests.items():
            split_of[folder] = split_of[folder] or split_word(rest.pop(1))
    names = _without_numbers({rest[0] for rest in rests.values() if rest})
    return {
        folder: Meaning(split_of[folder], names[rest[0]] if rest else None, "/".join(rest[1:]))
        for folder, rest in rests.items()
    }


def _without_numbers(labels: Collection[str]) -> dict[str, str]:
    """The class of each folder's name: without the number before it, if all have one and no two become equal.

    ``4_cylinder`` and ``6_cylinder`` keep their numbers.
    """
    names = {label: _NUMBER.sub("", label, count=1) for label in labels if _NUMBER.match(label)}
    return names if len(set(names.values())) == len(labels) else {label: label for label in labels}


def is_mask_folder(folder: str) -> bool:
    """Whether a folder is, or is in, one that is named as masks are: ``ground_truth`` of MVTec, and the like."""
    return not _MASK_FOLDERS.isdisjoint(folder.lower().split("/"))


def other_folders(folders: Iterable[str]) -> set[str]:
    """The folders whose images show no class: masks (``ground_truth``), and all that is beside a folder ``images``."""
    paths = {folder: folder.lower().split("/") for folder in folders}
    parents = {tuple(path[:at]) for path in paths.values() for at, part in enumerate(path) if _is_image_folder(part)}
    return {
        folder
        for folder, path in paths.items()
        if is_mask_folder(folder)
        or any(
            tuple(path[:at]) in parents and not _is_image_folder(part) and not split_word(part)
            for at, part in enumerate(path)
        )
    }


def split_word(folder: str) -> str | None:
    """The word in a folder's name that names a split, in lower case: ``train`` for ``Train2017``.

    None if the name has other words too, apart from years and vague words (``test_images``).
    """
    words = {*_WORDS.split(_YEAR.sub("", folder.lower()))} - _IMAGE_FOLDERS - _VAGUE - {""}
    name = words.pop() if len(words) == 1 else ""
    return name if name in SPLIT_NAMES else None


def split_words(names: Sequence[str]) -> list[str | None]:
    """The word in each name of a file of a set that names a split: ``train-00000``, ``set_val_003``, ``test_images``.

    Apart from numbers and words such as ``images`` and ``part``, it is the name's last word, so that ``test-bench`` and
    ``train-station`` give none; or it is all that differs from another name (``train-gears-0``, ``test-gears-0``).

    Args:
        names: The names, without endings.
    """
    plain = _IMAGE_FOLDERS | _VAGUE | _AFTER_SPLIT
    words = [[word for word in _WORDS_AND_NUMBERS.split(name.lower()) if word and word not in plain] for name in names]
    splits: list[str | None] = []
    by_rest: dict[tuple[str, ...], set[str]] = {}
    for each in words:
        found = [word for word in each if word in SPLIT_NAMES]
        splits.append(found[0] if len(found) == 1 else None)
        for word in found:
            by_rest.setdefault(tuple(other for other in each if other != word), set()).add(SPLIT_NAMES[word])
    return [
        split if split and (each[-1] == split or len(by_rest[tuple(o for o in each if o != split)]) > 1) else None
        for split, each in zip(splits, words, strict=True)
    ]


def _is_image_folder(name: str) -> bool:
    """Whether a folder's name says that it holds images, and no more: ``images``, ``img_2``."""
    words = {*_WORDS.split(name.lower().strip("0123456789"))} - {""}
    return not words.isdisjoint(_IMAGE_FOLDERS) and words <= _IMAGE_FOLDERS | _VAGUE


def _are_splits(rests: Sequence[Sequence[str]]) -> bool:
    """Whether outermost folders with names of splits are splits. ``train``, ``car`` and ``bus`` are classes.

    They are splits if there are no other outermost folders. Beside others, they are if one of them holds folders, and
    they are of two splits, or all but one are named as splits, or the folders are not equally deep.

    Args:
        rests: The paths of the folders with images, below the folders that hold all of them.
    """
    rests = [rest for rest in rests if rest]
    names = {rest[0] for rest in rests}
    words = {name: split_word(name) for name in names}
    others = [name for name in names if not words[name]]
    if not others:
        return True
    has_folders = any(len(rest) > 1 and words[rest[0]] for rest in rests)
    splits = {SPLIT_NAMES[word] for word in words.values() if word}
    depths = {len(rest) for rest in rests}
    return has_folders and (len(splits) > 1 or len(others) == 1 or len(depths) > 1)


def _is_beside_splits(name: str) -> bool:
    """Whether an outermost folder is passed over where others are splits."""
    return not split_word(name) and not _is_image_folder(name)
