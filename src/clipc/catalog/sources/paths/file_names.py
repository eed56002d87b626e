"""Names of files as people and spreadsheets write them: what makes two equal, and what the name of a folder says."""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from urllib.parse import unquote

from clipc.catalog.rows import IMAGE_SUFFIXES, NAMES, SPLIT_NAMES

# Pairs of similar characters, of which Windows and other systems write different ones.
_LOOKALIKES = str.maketrans(
    {"\u301c": "\uff5e", "\u2212": "\uff0d", "\u2016": "\u2225", "\u00a5": "\\", "\u2014": "\u2015"}
)
_UPLOAD = re.compile(r"/data/upload/\d+/(?P<name>(?:[0-9a-f]{8}-)?(?P<original>[^/]+))")
_LOCAL_FILES = "/data/local-files/?d="
_WORDS = re.compile(r"[\W_\d]+")
_IMAGE_FOLDERS = ("image", "img", "photo", "picture", "画像", "写真")
_OTHER_FOLDERS = set(NAMES["folders"]["masks"]) | {"gt", "ground truth"}
_OTHER_WORDS = (
    {"mask", "masks", "heatmap", "heatmaps", "depth", "depths", "label", "labels", "annotation", "annotations"}
    | {"gt", "groundtruth", "segmentation", "segmentations", "マスク", "注釈"}
)  # fmt: skip


def fold(name: str) -> str:
    """A file name in canonical form: composed (NFC), similar characters unified."""
    return name if name.isascii() else unicodedata.normalize("NFC", name).translate(_LOOKALIKES)


def parts_of(path: str) -> list[str]:
    """The parts of a path with slashes or backslashes."""
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]


def written_parts(path: str) -> list[list[str]]:
    """The parts of a path below the folders that it leaves; those of Label Studio's in each form that it may mean."""
    paths = [path]
    if path[:5].lower() == "file:":
        paths = [unquote(path[5:])]
    elif path.startswith(_LOCAL_FILES):
        paths = [unquote(path.removeprefix(_LOCAL_FILES))]
    elif upload := _UPLOAD.fullmatch(path):
        paths = [upload["name"], upload["original"]]
    every = list(map(parts_of, paths))
    return [parts[len(parts) - parts[::-1].index("..") :] if ".." in parts else parts for parts in every]


def is_image(name: str) -> bool:
    """Whether a name has the ending of an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def keys_of(entry: str) -> Iterator[str]:
    """The keys of an entry: its name; for an image also the name without ending, and a number without zeros."""
    key = fold(entry).casefold()
    yield key
    if key.endswith(IMAGE_SUFFIXES):
        stem = os.path.splitext(key)[0]
        yield stem + ".*"
        if stem.isdecimal() and stem.isascii():
            yield f"{int(stem)}.#"


def other_keys(key: str) -> Iterator[str]:
    """The keys under which a file may be found by a name without ending, or by a number without leading zeros.

    A number may also be written as ``7.0``, as pandas writes whole numbers in a column with missing values.
    """
    if not is_image(key):
        yield key.casefold() + ".*"
        number = key.removesuffix(".0")
        if number.isdecimal() and number.isascii() and (number == "0" or number[0] != "0"):
            if number != key:
                yield number + ".*"
            yield number + ".#"


def split_of_folders(folders: Sequence[str]) -> str | None:
    """The split that the name of the innermost of some folders gives."""
    return next((split for name in reversed(folders) if (split := split_in_name(name))), None)


@lru_cache(maxsize=10_000)
def split_in_name(name: str) -> str | None:
    """The split that the words of a name give, if it is one: ``train_images``, ``set-val-003``."""
    splits = {SPLIT_NAMES[word] for word in _WORDS.split(name.casefold()) if word in SPLIT_NAMES}
    return splits.pop() if len(splits) == 1 else None


@lru_cache(maxsize=10_000)
def may_hold(folder: str, split: str | None) -> bool:
    """Whether a folder may hold the images of a split, or of any: no name in its path says another, or masks.

    Args:
        folder: Its path below the root.
        split: The split; None if it is not known.
    """
    parts = folder.split("/")
    is_split = split is None or split_of_folders(parts) in (None, split)
    return is_split and not any(map(is_named_otherwise, parts))


def is_named_as_images(folder: str) -> bool:
    """Whether a folder's name ends with a word for images: ``images``, ``train_imgs``, ``画像``."""
    return folder.casefold().removesuffix("s").endswith(_IMAGE_FOLDERS)


def is_named_otherwise(folder: str) -> bool:
    """Whether a folder's name says that it holds something else than the images: masks, heat maps, depths, labels."""
    name = folder.casefold()
    return name in _OTHER_FOLDERS or not _OTHER_WORDS.isdisjoint(_WORDS.split(name))
