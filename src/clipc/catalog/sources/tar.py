"""WebDataset tars, in the layouts of img2dataset and clip_benchmark, indexed in place."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from clipc.catalog.catalog import inside
from clipc.catalog.classes import beside_data, class_caption, class_order, read_class_names, readable
from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import Reject, Row, Source, SourceInfo
from clipc.catalog.sources.class_folders import split_word, split_words
from clipc.catalog.sources.listing import is_hidden
from clipc.catalog.sources.members import Damage, Member, members
from clipc.catalog.sources.records import ImageRecord, image_record, read_record
from clipc.catalog.sources.tar_samples import IMAGES, TEXTS, Sample, TarSamples
from clipc.catalog.sources.texts import BEGIN_OF_NUMBER, is_annotation
from clipc.catalog.values import is_missing
from clipc.errors import UserError, first_line, first_names
from clipc.files import read_text
from clipc.limits import OWN_BYTES

_MAX_TEXT = 4 << 20
_MARK = re.compile(r"(^|/)[.@#$_]")
_NO_RECORD = ImageRecord([], None, None, {}, False)


def tars(
    paths: Sequence[Path], name: str, options: SourceOptions, splits: Mapping[Path, str | None] | None = None
) -> Source:
    """The pairs in one or many tars.

    :class:`~clipc.catalog.sources.tar_samples.TarSamples` says which members are a sample. It needs an image and
    captions: ``captions`` (a list) or ``caption`` in ``.json``, else ``.caption`` or ``.txt``, else, for sets with
    ``.cls``, a sentence made from the class name. ``label`` and ``split`` come from ``.json``, its other plain values
    become metadata. Without ``split`` there, the split is taken from the tar's name (``train-00000.tar``) or its
    folder's. ``classes.json`` beside the tars gives readable class names.

    Args:
        paths: The tars, at least one.
        name: The set's name.
        options: The encoding of the texts (UTF-8 by default) and the language of captions made from class names.
        splits: The splits of tars, where something else than their names says them.
    """
    root = Path(os.path.commonpath([path.parent for path in paths]))
    beside = [path for part in ("classes.json", "classnames.txt") if (path := beside_data(root, part)) is not None]

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        read_class_names(root, info)
        info.guessed_label = None if options.label_columns else "label"
        many_folders = len({path.parent for path in paths}) > 1
        reader = _Reader(paths, root, options, info)
        by_name = dict(zip(paths, split_words([path.stem for path in paths]), strict=True))
        for path in sorted(paths):
            split = (splits or {}).get(path) or by_name[path]
            # clip_benchmark counts its keys anew in each folder (train/0.tar, test/0.tar).
            folder = path.parent.relative_to(root)
            prefix = folder.as_posix() + "/" if many_folders else ""
            split = split or next((own for part in reversed(folder.parts) if (own := split_word(part))), None)
            yield from reader.rows(path, prefix.removeprefix("./"), split)
        reader.describe()
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
        self._first: dict[str, tuple[str, int]] = {}
        self._counted_anew = 0
        self._members = self._replaced = 0
        self._joined: list[str] = []
        self._passed_over: Counter[str] = Counter()

    def rows(self, path: Path, prefix: str, split: str | None) -> Iterator[Row | Reject]:
        """The samples of one tar.

        Args:
            path: The tar.
            prefix: What its keys begin with.
            split: The split of samples that name none.
        """
        file = path.relative_to(self.root).as_posix()
        samples = TarSamples()
        rejects: list[Reject] = []
        try:
            if not inside(self.root, file).is_file():  # a named pipe would make us wait
                raise OSError("it is not a regular file")
            with open(path, "rb") as tar:
                for member in members(path):
                    if member.name is None:
                        rejects.append(Reject(file, None, None, member.reason))  # pyright: ignore
                        continue
                    if _is_hidden(member.name):
                        continue
                    stem, _, ending = member.name.removeprefix("./").rpartition(".")
                    if not stem or "/" in ending:
                        samples.passed_over[""] += 1
                        continue
                    part = _text_content(tar, member) if ending.lower() in TEXTS else member
                    samples.add(stem, ending, part)
        except OSError as error:
            rejects.append(Reject(file, None, None, f"cannot be read: {error.strerror or error}"))
        except UserError:
            rejects.append(Reject(file, None, None, "the path leads out of the source's folder"))
        try:
            for key, sample in samples.samples():
                if isinstance(sample, str):
                    yield Reject(file, None, prefix + key, sample)
                    continue
                row = self._row(file, prefix + key, sample, split)
                if isinstance(row, Row):
                    first, size = self._first.setdefault(row.key, (file, row.size))
                    if first != file and size != row.size:
                        row.key = f"{path.stem}/{row.key}"
                        self._counted_anew += 1
                yield row
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
        yield from rejects
        self._replaced += samples.replaced
        self._members += samples.members
        self._passed_over += samples.passed_over
        if samples.joined:
            self._joined.append(f"{file}: {samples.joined}")

    def describe(self) -> None:
        """Says how members were joined and named, and what was passed over."""
        if self._counted_anew:
            self.info.notes.append(
                f"{self._counted_anew:,} samples have the key of another image in an earlier tar; theirs begins with "
                "their tar's name"
            )
        if self._replaced:
            what = "were replaced by later ones of the same name, as when the tar is unpacked"
            replaced = f"{self._replaced:,} members {what}"
            if 10 * self._replaced > self._members:
                self.info.warnings.append(f"{replaced}: give them different names if they are different images")
            else:
                self.info.notes.append(replaced)
        if self._joined:
            self.info.notes.append(
                f"texts have another name than their image, or are in another folder, in {len(self._joined):,} tars "
                f"({self._joined[0]})"
            )
        if self._passed_over:
            counts = self._passed_over.most_common()
            kinds = first_names([f"{n:,} {f'.{ending}' if ending else 'without ending'}" for ending, n in counts if n])
            # Texts among them may be captions.
            has_texts = any(ending.rpartition(".")[2] in TEXTS for ending in self._passed_over)
            (self.info.warnings if has_texts else self.info.notes).append(
                f"members that are neither an image nor its texts were passed over: {kinds}"
            )

    def _row(self, file: str, key: str, sample: Sample, split: str | None) -> Row | Reject:
        image = next((part for ending, part in sample.items() if ending in IMAGES), None)
        if image is None:
            return Reject(file, None, key, self._why_no_image(sample))
        if not isinstance(image, Member):
            return Reject(file, None, key, f"the image {image.reason}" if isinstance(image, Damage) else "no image")
        kind = "caption" if "caption" in sample else "txt"
        try:
            text = self._text(sample, "json")
            record = _NO_RECORD if text is None else image_record(read_record(text), self.lang, kind in sample)
            texts = record.captions
            if not any(map(str.strip, texts)) and (text := self._text(sample, kind)) is not None:
                if text[:1] in BEGIN_OF_NUMBER and is_annotation(text):
                    raise ValueError(f"its .{kind} holds numbers, as boxes are written, and no words")
                texts = [] if text.strip() and is_missing(text) else text.splitlines() if self.by_lines else [text]
            index = self._text(sample, "cls")
        except ValueError as error:
            return Reject(file, None, key, str(error))
        self.unread_labels += record.has_unread_label
        label = record.label
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
        return Row(key, texts, label, record.split or split, file, image.offset, image.size, more=record.more)

    def _why_no_image(self, sample: Sample) -> str:
        """Why a sample has no image: what img2dataset says of the download, or the endings that there are."""
        with suppress(ValueError):
            record = read_record(self._text(sample, "json") or "{}")
            if (status := record.get("status")) not in (None, "success"):
                return f"no image (its .json says {status}: {record.get('error_message') or 'no message'})"
        kinds = ", ".join(f".{kind}" for kind in sample)
        return f"no image of a known kind has this name (there is {kinds}); name it like its image"

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


def _text_content(tar: BinaryIO, member: Member | Damage) -> bytes | Damage:
    if isinstance(member, Damage):
        return member
    if member.size > _MAX_TEXT:
        return Damage(member.name, f"is longer than {_MAX_TEXT >> 20} MiB")
    tar.seek(member.offset)
    return tar.read(member.size)


def _is_hidden(name: str) -> bool:
    if _MARK.search(name) is None:
        return False  # most names
    return any(is_hidden(part) for part in name.split("/") if part not in (".", ".."))


def _classnames(root: Path) -> list[str]:
    """clip_benchmark's class names, one a line in the order of the class index."""
    path = beside_data(root, "classnames.txt")
    if path is None:
        return []
    try:
        return read_text(path, OWN_BYTES).splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}.") from None
