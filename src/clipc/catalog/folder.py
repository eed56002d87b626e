"""A folder of images: captions in text files of the same name, or classes as folders."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from clipc.catalog.build import KNOWN_SPLITS
from clipc.catalog.captions import class_caption, readable
from clipc.catalog.classes import beside_data, read_class_names
from clipc.catalog.encoding import Encoding, detect_encoding, named_encoding, visible
from clipc.catalog.finder import fold
from clipc.catalog.inspect_images import Place, Reader
from clipc.catalog.rows import IMAGE_SUFFIXES, Reject, Row, Source, SourceNotes

_SAMPLE = 1000
_LONGEST_TEXT = 1 << 20


def folder(path: Path, *, name: str, encoding: str | None = None, lang: str = "en") -> Source:
    """The pairs in a folder and the folders in it.

    Where a ``.txt`` of the same name lies beside images, it holds the caption. Where there is none in the whole
    folder, the folder that an image lies in is its class, and its caption is made from that name (``a photo of a
    {class name}``, or the readable name that ``classes.json`` gives). Outermost folders named ``train``, ``val`` or
    ``test`` are splits.

    Args:
        path: The folder.
        name: The set's name.
        encoding: The encoding of the captions; detected over the first thousand by default.
        lang: The language of captions made from class names.
    """
    images, texts, folders = _walk(path)

    def read(told: SourceNotes) -> Iterator[Row | Reject]:
        read_class_names(path, told)
        by_name = {fold(text.lower()): text for text in texts}
        wanted = {file: fold(os.path.splitext(file)[0].lower() + ".txt") for file in images}
        beside = {file: by_name[text] for file, text in wanted.items() if text in by_name}
        if beside:
            return _captioned(path, images, beside, encoding, told)
        return _classed(images, lang, told)

    watched = [path / part for part in (*folders, *images, *sorted(texts))]
    classes = beside_data(path, "classes.json")
    return Source(path, name, [*watched, *([classes] if classes else [])], read)


def _walk(root: Path) -> tuple[list[str], set[str], list[str]]:
    """Images, ``.txt`` files and folders below the root, relative to it; links to folders are not followed."""
    images: list[str] = []
    texts: set[str] = set()
    folders: list[str] = []
    for at, inner, files in os.walk(root):
        inner[:] = sorted(part for part in inner if not part.startswith((".", "__MACOSX")))
        relative = Path(at).relative_to(root).as_posix()
        folders.append(relative)
        for file in files:
            own = file if relative == "." else f"{relative}/{file}"
            suffix = os.path.splitext(file)[1].lower()
            if file.startswith("."):
                continue
            if suffix in IMAGE_SUFFIXES:
                images.append(own)
            elif suffix == ".txt":
                texts.add(own)
    return sorted(images, key=_natural), texts, folders


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts ``img2`` before ``img10``."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _captioned(
    root: Path, images: list[str], beside: dict[str, str], encoding: str | None, told: SourceNotes
) -> Iterator[Row | Reject]:
    reader = Reader(root)

    def text(file: str) -> bytes:
        return reader.read(Place(file, 0, -1), most=_LONGEST_TEXT)[0]

    coding = named_encoding(encoding) if encoding else _detected(list(beside.values())[:_SAMPLE], text)
    told.notes.append(f"captions read as {coding.readable}")
    keys = _keys(images)
    for file in images:
        split, _ = _parts(file)
        if file not in beside:
            yield Reject(file, None, keys[file], "there is no .txt with its caption beside it")
            continue
        try:
            caption = text(beside[file]).decode(coding.codec, coding.errors)
        except (ValueError, OSError) as error:
            yield Reject(beside[file], None, keys[file], f"the caption {error}")
            continue
        yield Row(keys[file], [visible(caption.lstrip("\ufeff"))], None, split, file)


def _classed(images: list[str], lang: str, told: SourceNotes) -> Iterator[Row | Reject]:
    keys = _keys(images)
    names = told.class_names.get("label", {})
    made = 0
    for file in images:
        split, label = _parts(file)
        if label is None:
            yield Reject(file, None, keys[file], "it has no .txt with a caption beside it and lies in no class folder")
            continue
        made += 1
        yield Row(keys[file], [class_caption(names.get(label) or readable(label), lang)], label, split, file)
    if made:
        told.notes.append(f"{made:,} captions were made from the class names that the folders give")


def _parts(file: str) -> tuple[str | None, str | None]:
    """The split and the class in an image's path."""
    folders = file.split("/")[:-1]
    split = folders[0] if folders and folders[0].lower() in KNOWN_SPLITS else None
    rest = folders[1:] if split else folders
    return split, rest[-1] if rest else None


def _keys(images: list[str]) -> dict[str, str]:
    """Each image's path without its ending; with it where several images share the rest."""
    stems = {file: os.path.splitext(file)[0] for file in images}
    shared = Counter(stems.values())
    return {file: stem if shared[stem] == 1 else file for file, stem in stems.items()}


def _detected(files: list[str], text: Callable[[str], bytes]) -> Encoding:
    pieces: list[bytes] = []
    for file in files:
        try:
            pieces.append(text(file))
        except ValueError:
            continue
    marked = next((piece for piece in pieces if piece[:2] in (b"\xff\xfe", b"\xfe\xff")), None)
    return detect_encoding(marked or b"\n".join(pieces))
