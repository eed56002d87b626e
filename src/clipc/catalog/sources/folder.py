"""A folder of images: captions in text files of the same name, or classes as folders."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from clipc.catalog.classes import beside_data, class_caption, read_class_names, readable
from clipc.catalog.images.inspect_images import Place, Reader
from clipc.catalog.rows import IMAGE_SUFFIXES, SPLIT_NAMES, Reject, Row, Source, SourceInfo, SourceOptions
from clipc.catalog.sources.encoding import Encoding, detect_encoding, mark_undecodable, named_encoding
from clipc.catalog.sources.finder import fold

_SAMPLE = 1000
_MAX_TEXT = 1 << 20


def folder(path: Path, name: str, options: SourceOptions) -> Source:
    """The pairs in a folder and the folders in it.

    An image's caption is the ``.txt`` of the same name beside it. If no image has one, the folder of an image is its
    class, and its caption is made from the class name (``a photo of a {class name}``, or the readable name in
    ``classes.json``). Outermost folders named ``train``, ``val`` or ``test`` are splits.

    Args:
        path: The folder.
        name: The set's name.
        options: The encoding of the captions (by default detected from the first thousand), and the language of
            captions made from class names.
    """
    files, folders = walk(path)
    images = sorted((file for file in files if _suffix(file) in IMAGE_SUFFIXES), key=_natural)
    texts = sorted(file for file in files if _suffix(file) == ".txt")

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        read_class_names(path, info)
        by_name = {fold(text.lower()): text for text in texts}
        text_names = {file: fold(os.path.splitext(file)[0].lower() + ".txt") for file in images}
        beside = {file: by_name[text] for file, text in text_names.items() if text in by_name}
        if beside:
            return _with_texts(path, images, beside, options.encoding, info)
        return _with_classes(images, options.lang, info)

    watched = [path / part for part in (*folders, *images, *texts)]
    classes = beside_data(path, "classes.json")
    return Source(path, name, [*watched, *([classes] if classes else [])], read)


def walk(root: Path) -> tuple[list[str], list[str]]:
    """Files and folders below the root, relative to it; hidden ones are left out, links to folders not followed."""
    files: list[str] = []
    folders: list[str] = []
    for at, inner, names in os.walk(root):
        inner[:] = sorted(part for part in inner if not part.startswith((".", "__MACOSX")))
        relative = Path(at).relative_to(root).as_posix()
        folders.append(relative)
        prefix = "" if relative == "." else f"{relative}/"
        files += [prefix + name for name in names if not name.startswith(".")]
    return files, folders


def _suffix(file: str) -> str:
    return os.path.splitext(file)[1].lower()


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts ``img2`` before ``img10``."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _with_texts(
    root: Path, images: list[str], beside: dict[str, str], encoding: str | None, info: SourceInfo
) -> Iterator[Row | Reject]:
    reader = Reader(root)

    def text(file: str) -> bytes:
        return reader.read(Place(file, 0, -1), max_bytes=_MAX_TEXT)[0]

    coding = named_encoding(encoding) if encoding else _detect(list(beside.values())[:_SAMPLE], text)
    info.notes.append(f"captions read as {coding.readable}")
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
        yield Row(keys[file], [mark_undecodable(caption.lstrip("\ufeff"))], None, split, file)


def _with_classes(images: list[str], lang: str, info: SourceInfo) -> Iterator[Row | Reject]:
    keys = _keys(images)
    names = info.class_names.get("label", {})
    count = 0
    for file in images:
        split, label = _parts(file)
        if label is None:
            yield Reject(file, None, keys[file], "it has no .txt with a caption beside it and is in no class folder")
            continue
        count += 1
        yield Row(keys[file], [class_caption(names.get(label) or readable(label), lang)], label, split, file)
    if count:
        info.notes.append(f"{count:,} captions were made from the class names that the folders give")


def _parts(file: str) -> tuple[str | None, str | None]:
    """The split and the class in an image's path."""
    folders = file.split("/")[:-1]
    split = folders[0] if folders and folders[0].lower() in SPLIT_NAMES else None
    rest = folders[1:] if split else folders
    return split, rest[-1] if rest else None


def _keys(images: list[str]) -> dict[str, str]:
    """Each image's path without its ending; with it where several images share the rest."""
    stems = {file: os.path.splitext(file)[0] for file in images}
    shared = Counter(stems.values())
    return {file: stem if shared[stem] == 1 else file for file, stem in stems.items()}


def _detect(files: list[str], text: Callable[[str], bytes]) -> Encoding:
    pieces: list[bytes] = []
    for file in files:
        with suppress(ValueError):
            pieces.append(text(file))
    marked = next((piece for piece in pieces if piece[:2] in (b"\xff\xfe", b"\xfe\xff")), None)
    return detect_encoding(marked or b"\n".join(pieces))
