"""WebDataset tars, in the layouts of img2dataset and clip_benchmark, indexed in place."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from clipc.catalog.catalog import inside
from clipc.catalog.classes import beside_data, class_caption, class_order, read_class_names, readable
from clipc.catalog.rows import IMAGE_SUFFIXES, Reject, Row, Source, SourceInfo, SourceOptions
from clipc.catalog.sources.members import Damage, Member, members
from clipc.catalog.values import captions, is_missing, labels, main_label, plain_values
from clipc.errors import UserError, first_names

_MAX_TEXT = 4 << 20
_IMAGES = tuple(suffix[1:] for suffix in IMAGE_SUFFIXES)
_TEXTS = ("txt", "json", "cls")
_SPLIT = re.compile(r"(train|val(?:id(?:ation)?)?|dev|test)(?![a-z])", re.IGNORECASE)

Sample = dict[str, Member | bytes | Damage]
"""One sample: its parts by extension; of texts the content, of images the place in the tar."""


def tars(paths: Sequence[Path], name: str, options: SourceOptions) -> Source:
    """The pairs in one or many tars.

    A sample is the members that share a path up to the first dot of its last component. It needs an image
    (``.jpg .jpeg .png .webp .tif .tiff .bmp``) and captions: ``captions`` (a list) or ``caption`` in ``.json``, else
    ``.txt``, else, for sets with ``.cls``, a sentence made from the class name. ``label`` and ``split`` come from
    ``.json``, the other plain values in it become metadata. Without ``split`` there, the split is taken from the tar's
    name (``train-00000.tar``) or its folder's. ``classes.json`` beside the tars gives readable class names.

    Args:
        paths: The tars, at least one.
        name: The set's name.
        options: The encoding of the texts (UTF-8 by default) and the language of captions made from class names.
    """
    root = Path(os.path.commonpath([path.parent for path in paths]))
    beside = [path for name in ("classes.json", "classnames.txt") if (path := beside_data(root, name)) is not None]

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        read_class_names(root, info)
        info.guessed_label = None if options.label_columns else "label"
        many_folders = len({path.parent for path in paths}) > 1
        reader = _Reader(paths, root, options, info)
        for path in sorted(paths):
            # clip_benchmark counts its keys anew in each folder (train/0.tar, test/0.tar).
            prefix = path.parent.relative_to(root).as_posix() + "/" if many_folders else ""
            yield from reader.rows(path, prefix.removeprefix("./"))
        if reader.index_names and reader.has_classes:
            info.class_names.setdefault("label", reader.index_class_names())
        if reader.beyond_names:
            info.warnings.append(
                f"{root / 'classnames.txt'} has {len(reader.index_names):,} names, so the last is that of class "
                f"{len(reader.index_names) - 1:,}, but there are labels beyond it "
                f"({first_names(class_order(reader.beyond_names))}): class numbers count from 0; add the missing names"
            )
        info.class_captions = reader.made_captions
        if reader.made_captions:
            info.notes.append(f"{reader.made_captions:,} captions were made from class names")
        if reader.unread_labels:
            info.warnings.append(
                f"{name} has {reader.unread_labels:,} samples whose label is an object or a list of numbers, so they "
                "have none; write the name of the class there"
            )

    return Source(root, name, [*paths, *beside], read)


class _Reader:
    """Reads the tars of one source one after the other, and counts the captions that it makes from class names."""

    def __init__(self, paths: Sequence[Path], root: Path, options: SourceOptions, info: SourceInfo) -> None:
        self.root, self.info, self.lang = root, info, options.lang
        self.encoding = options.encoding or "utf-8"
        self.index_names = _classnames(root)
        # In clip_benchmark's sets each line of a text is a caption.
        self.by_lines = bool(self.index_names) or any((path.parent / "nshards.txt").is_file() for path in paths)
        self.made_captions = 0
        self.unread_labels = 0
        self.has_classes = False
        self.indexed: dict[str, str] = {}
        self.beyond_names: set[str] = set()

    def rows(self, path: Path, prefix: str) -> Iterator[Row | Reject]:
        file = path.relative_to(self.root).as_posix()
        split = _split_from_name(path.relative_to(self.root))
        samples: dict[str, list[Sample]] = {}
        rejects: list[Reject] = []
        try:
            if not inside(self.root, file).is_file():  # a named pipe would make us wait
                raise OSError("it is not a regular file")
            with open(path, "rb") as tar:
                for member in members(path):
                    if member.name is None:
                        rejects.append(Reject(file, None, None, member.reason))  # pyright: ignore
                        continue
                    key, extension = _key_and_extension(member.name)
                    if not extension or _is_hidden(member.name):
                        continue
                    same_key = samples.setdefault(key, [{}])
                    # The same name twice becomes a second sample with that key, which is rejected with its reason.
                    if extension in same_key[-1]:
                        same_key.append({})
                    is_text = extension.rpartition(".")[2] in _TEXTS
                    same_key[-1][extension] = _text_content(tar, member) if is_text else member
        except OSError as error:
            rejects.append(Reject(file, None, None, f"cannot be read: {error.strerror or error}"))
        except UserError:
            rejects.append(Reject(file, None, None, "the path leads out of the source's folder"))
        for key, same_key in samples.items():
            for sample in same_key:
                for image_key, image_sample in _separate_images(key, sample):
                    yield self._row(file, prefix + image_key, image_sample, split)
        yield from rejects

    def _row(self, file: str, key: str, sample: Sample, split: str | None) -> Row | Reject:
        image = next((sample[kind] for kind in _IMAGES if kind in sample), None)
        if image is None:
            kinds = ", ".join(f".{kind}" for kind in sample)
            return Reject(file, None, key, f"no image of a known kind (there is {kinds})")
        if not isinstance(image, Member):
            return Reject(file, None, key, f"the image {image.reason}" if isinstance(image, Damage) else "no image")
        try:
            record = self._json(sample)
            label = main_label(self._labels(record.pop("label", None)), more := {})
            texts = [text for name in ("captions", "caption") for text in captions(record.pop(name, None), self.lang)]
            if not any(text.strip() for text in texts) and (text := self._text(sample, "txt")) is not None:
                texts = [] if text.strip() and is_missing(text) else text.splitlines() if self.by_lines else [text]
            index = self._text(sample, "cls")
        except ValueError as error:
            return Reject(file, None, key, str(error))
        if index is not None:
            self.has_classes = True
            label = label or index.strip() or None
            if self.index_names and label and label.isascii() and label.isdigit():
                if int(label) < len(self.index_names):
                    self.indexed[label] = self.index_names[int(label)]
                else:
                    self.beyond_names.add(label)
            if label and not texts:
                texts = [class_caption(self._class_name(label), self.lang)]
                self.made_captions += 1
        own_split = record.pop("split", None)
        if isinstance(own_split, str) and own_split.strip():
            split = own_split
        return Row(key, texts, label, split, file, image.offset, image.size, more=plain_values(record) | more)

    def _labels(self, value: Any) -> list[str]:
        """The labels in a sample's ``label``; none, and counted, where it holds something else."""
        try:
            return labels(value)
        except ValueError:
            self.unread_labels += 1
            return []

    def index_class_names(self) -> dict[str, str]:
        """The names in ``classnames.txt`` by label: by number, and as samples write the number (``007``)."""
        return {str(i): name for i, name in enumerate(self.index_names)} | self.indexed

    def _class_name(self, label: str) -> str:
        if label in self.indexed:
            return self.indexed[label]
        return self.info.class_names.get("label", {}).get(label) or readable(label)

    def _text(self, sample: Sample, kind: str) -> str | None:
        part = sample.get(kind)
        if part is None:
            return None
        if not isinstance(part, bytes):
            raise ValueError(f"its .{kind} {part.reason if isinstance(part, Damage) else 'cannot be read'}")
        try:
            return part.decode(self.encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise ValueError(f"its .{kind} is not {self.encoding.upper()}: bad byte at {error.start}") from None

    def _json(self, sample: Sample) -> dict[str, Any]:
        text = self._text(sample, "json")
        if text is None:
            return {}
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its .json is damaged: {error}") from None
        if not isinstance(record, dict):
            raise ValueError("its .json holds no object")
        return record


def _text_content(tar: BinaryIO, member: Member | Damage) -> bytes | Damage:
    if isinstance(member, Damage):
        return member
    if member.size > _MAX_TEXT:
        return Damage(member.name, f"is longer than {_MAX_TEXT >> 20} MiB")
    tar.seek(member.offset)
    return tar.read(member.size)


def _key_and_extension(name: str) -> tuple[str, str]:
    """A member's key and extension in lower case: cut at the first dot of the last path component."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()


def _split_from_name(path: Path) -> str | None:
    """The split that a tar's name begins with, such as ``train-00000.tar``, or its nearest folder's name."""
    for part in (path.name, *reversed(path.parts[:-1])):
        if match := _SPLIT.match(part):
            return match[1].lower()
    return None


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/") if part not in (".", ".."))


def _separate_images(key: str, sample: Sample) -> Iterable[tuple[str, Sample]]:
    """The sample itself; or, where file names with dots share a key (``a.1.jpg``, ``a.2.jpg``), one sample an image."""
    members_by_image: dict[str, Sample] = {}
    for extension, part in sample.items():
        middle, _, last = extension.rpartition(".")
        members_by_image.setdefault(f"{key}.{middle}" if middle else key, {})[last] = part
    has_image = any(kind in sample for kind in _IMAGES)
    if has_image or not any(kind in own for own in members_by_image.values() for kind in _IMAGES):
        return [(key, sample)]
    return members_by_image.items()


def _classnames(root: Path) -> list[str]:
    """clip_benchmark's class names, one a line in the order of the class index."""
    path = beside_data(root, "classnames.txt")
    if path is None:
        return []
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
