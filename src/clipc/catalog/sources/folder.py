"""A folder of images: captions in text files of the same name, or classes as folders."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from clipc.catalog.classes import beside_data, class_caption, class_order, read_class_names, readable
from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import IMAGE_SUFFIXES, Reject, Row, Source, SourceInfo
from clipc.catalog.sources.class_folders import is_mask_folder, meanings, other_folders
from clipc.catalog.sources.listing import Listing, list_files
from clipc.catalog.sources.records import are_worth_reading, image_record, read_record
from clipc.catalog.sources.sidecars import TEXT_SUFFIXES, texts_beside, texts_in_parallel
from clipc.catalog.sources.texts import Texts
from clipc.errors import LISTED_CLASSES, UserError, first_names

# fmt: off
_UNREAD_IMAGES = {
    ".jp2", ".j2k", ".jxl", ".jxr", ".psd", ".raw", ".cr2", ".cr3",
    ".nef", ".arw", ".dng", ".orf", ".rw2", ".svg", ".exr", ".hdr", ".tga", ".ppm", ".pgm", ".pbm", ".pnm",
    ".pcx", ".ico", ".dds", ".npy",
}
# fmt: on
_UNREAD_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".gz", ".xlsx", ".xls", ".ods")
_FEW_PAIRS = 10
_FEW_TEXTS = 5
_SAMPLE = 20


def folder(
    path: Path, name: str, options: SourceOptions, listing: Listing | None = None, unused: Sequence[str] = ()
) -> Source:
    """The pairs in a folder and the folders in it.

    An image's caption is the ``.txt`` or ``.caption`` of the same name beside it, or in a folder parallel to the
    image's (``images/17.jpg``, ``text/17.txt``), or in a ``.json`` beside it, which may have a label and a split too.
    If no image has one, the outermost folder of an image is its class,
    and its caption is made from the class name (``photo of {class name}``, or the readable name in
    ``classes.json``). Folders named ``train``, ``val`` or ``test`` are splits.

    Args:
        path: The folder.
        name: The set's name.
        options: The encoding of the captions (by default detected from the first thousand), the language of
            captions made from class names, and the folder (``images``) that links may not lead out of; by default
            ``path`` itself.
        listing: The files in the folder, if they are listed already.
        unused: Tables in it that do not name its images.

    Raises:
        UserError: ``options.images`` does not hold the folder.
    """
    root = (options.images or path).absolute()
    if not path.is_relative_to(root):
        raise UserError(f"{path} is not in {root}: for a folder of images, --images must name a folder that holds it.")
    prefix = "" if path == root else path.relative_to(root).as_posix() + "/"
    listing = listing or list_files(path, root)
    by_suffix: dict[str, list[str]] = {}
    for file in listing.files:
        by_suffix.setdefault(os.path.splitext(file)[1].lower(), []).append(file)
    images = sorted((file for suffix in IMAGE_SUFFIXES for file in by_suffix.get(suffix, ())), key=_natural)
    texts = sorted(file for suffix in TEXT_SUFFIXES for file in by_suffix.get(suffix, ()))
    contents = Texts(root, prefix, options.encoding)
    record_of = _records(images, by_suffix.get(".json", ()), bool(texts), contents, options.lang)

    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        read_class_names(path, info)
        _describe(by_suffix, listing, len(set(record_of.values())), info)
        if unused:
            info.warnings.append(
                f"{first_names(unused)} in {path} {'names' if len(unused) == 1 else 'name'} no image and "
                f"{'is' if len(unused) == 1 else 'are'} not read, since the images have captions beside them; name the "
                "table itself if it holds the captions"
            )
        yield from (Reject(folder, None, None, reason) for folder, reason in listing.missing)
        text_of, numbers = _captions(images, texts, contents)
        others = other_folders({_folder_of(image) for image in images})
        shown = [i for i in images if i in text_of or i in record_of or _folder_of(i) not in others]
        if len(shown) < len(images):
            where = first_names(sorted(name or "." for name in others))
            passed = f"images were passed over in {where} ({len(images) - len(shown):,})"
            if all(map(is_mask_folder, others)):
                info.notes.append(f"{passed}: masks")
            else:
                info.warnings.append(f"{passed}, because a folder of images is beside: move them if they are no masks")
        if unread := sorted({*texts} - {*text_of.values()}):
            info.notes.append(
                f"texts that are no image's caption were passed over ({len(unread):,}): {first_names(unread)}"
            )
        info.notes.extend(numbers)
        if text_of or record_of:
            rows = _with_texts(shown, text_of, record_of, contents, options, info)
        else:
            info.guessed_label = None if options.label_columns else "label"
            tables = sorted(file for suffix in _UNREAD_TABLES for file in by_suffix.get(suffix, ()))
            hints = [*numbers, *_hints(by_suffix)] + ([_are_not_read(unread)] if 0 < len(unread) <= _FEW_TEXTS else [])
            rows = _with_classes(path, shown, options, info, hints, tables)
        for row in rows:
            if prefix and isinstance(row, Row):
                row.file = prefix + row.file
            yield row

    watched = [path / part for part in (*listing.folders, *images, *texts, *set(record_of.values()))]
    classes = beside_data(path, "classes.json")
    return Source(root, name, [*watched, *([classes] if classes else [])], read)


def _captions(images: Sequence[str], texts: Sequence[str], contents: Texts) -> tuple[dict[str, str], list[str]]:
    """The caption file of each image that has one, and a sentence on the texts that hold numbers."""
    text_of = texts_beside(images, texts)
    numbers: list[str] = []
    if text_of and contents.are_numbers(list(text_of.values())):
        numbers.append("beside the images")
        text_of = {}
    used, complete = set(text_of.values()), {_folder_of(image) for image in text_of}
    if len(text_of) < len(images) and (unused := [text for text in texts if text not in used]):
        rest = [image for image in images if _folder_of(image) not in complete]
        others = other_folders({_folder_of(image) for image in rest})
        rest = [image for image in rest if _folder_of(image) not in others]
        parallel, folders = texts_in_parallel(rest, unused, contents.are_numbers)
        text_of |= parallel
        numbers += [f"in {first_names(folders)}"] if folders and not numbers else []
    return text_of, [
        f"the texts {' and '.join(numbers)} hold numbers (boxes, as YOLO's), not captions"
    ] if numbers else []


def _records(
    images: Sequence[str], files: Sequence[str], has_texts: bool, contents: Texts, lang: str
) -> dict[str, str]:
    """The ``.json`` of each image that has one beside it, or in a parallel folder, if they are worth reading."""
    if not files or not images:
        return {}
    known = set(images)
    stems = ((file, file[: -len(".json")]) for file in files)
    beside = (file for file, stem in stems if stem in known or any(stem + suffix in known for suffix in IMAGE_SUFFIXES))
    first, record_of = list(islice(beside, _SAMPLE)), dict[str, str]()
    if not first and not has_texts:
        with suppress(UserError):  # two folders of records
            record_of = texts_in_parallel(images, files, lambda texts: False)[0]
        first = list(islice(record_of.values(), _SAMPLE))
    sample: list[dict[str, Any]] = []
    for file in first:
        with suppress(ValueError):
            sample.append(read_record(contents.read(file)))
    if not are_worth_reading(sample, lang, has_texts):
        return {}
    return record_of or texts_beside(images, files, (".json",))


def _with_texts(
    images: Sequence[str],
    text_of: Mapping[str, str],
    record_of: Mapping[str, str],
    contents: Texts,
    options: SourceOptions,
    info: SourceInfo,
) -> Iterator[Row | Reject]:
    """The pairs of images with their captions.

    Args:
        images: The images.
        text_of: The texts of images, which hold captions.
        record_of: The ``.json`` of images, whose captions are preferred to the texts.
        contents: What the files hold.
        options: The language to take where captions are in several, and whether they are needed.
        info: Receives the notes.
    """
    if text_of:
        contents.detect(list(dict.fromkeys(text_of.values())), info)
    if record_of:
        info.notes.append(f"the .json files of {len(record_of):,} images are read: captions, labels and metadata")
    uses = Counter(text_of.values()) + Counter(record_of.values())
    shared = {text: count for text, count in uses.items() if count > 1}
    folders = meanings({_folder_of(image) for image in images}, are_classes=False)
    keys = _keys(images)
    for file in images:
        text, json = text_of.get(file), record_of.get(file)
        if text is None and json is None and options.captions_needed:
            yield Reject(file, None, keys[file], "there is no .txt with its caption beside it")
            continue
        if text in shared or json in shared:
            two = str(text if text in shared else json)
            ending = os.path.splitext(two)[1]
            reason = f"{shared[two]} images share its caption {two}; name the caption {os.path.basename(file)}{ending}"
            yield Reject(file, None, keys[file], reason)
            continue
        row = Row(keys[file], [], None, folders[_folder_of(file)].split, file)
        try:
            if json is not None:
                record = image_record(read_record(contents.read(json)), options.lang, text is not None)
                row.captions, row.label, row.split = record.captions, record.label, record.split or row.split
                row.more = record.more
            if text is not None and not any(map(str.strip, row.captions)):
                row.captions = contents.captions(text)
        except (ValueError, OSError) as error:
            yield Reject(json or text or file, None, keys[file], f"its caption: {error}")
            continue
        yield row


def _with_classes(
    path: Path,
    images: Sequence[str],
    options: SourceOptions,
    info: SourceInfo,
    hints: Sequence[str],
    tables: Sequence[str],
) -> Iterator[Row | Reject]:
    folders = meanings({_folder_of(image) for image in images})
    if len(counted := [image for image in images if _folder_of(image) in folders]) < len(images):
        beside = first_names(sorted({_folder_of(image) for image in images} - {*folders}))
        passed = f"{len(images) - len(counted):,} images were passed over in {beside}, beside the folders of splits"
        info.warnings.append(f"{passed}: move them into one of these if they belong to the set")
        images, hints = counted, [passed, *hints]
    labels = class_order(folder.label for folder in folders.values() if folder.label is not None)
    if len(labels) < 2 and not options.captions_needed:
        keys = _keys(images)
        yield from (Row(keys[file], [], None, None, file) for file in images)
        return
    if len(labels) < 2:
        where = f" (but in {first_names(sorted(folder for folder in folders if folder))})" if any(folders) else ""
        raise UserError(
            f"the images in {path} have no captions and are in no class folders{where}: "
            f"{''.join(f'{hint}; ' for hint in hints)}put a .txt with its caption beside each image, or a table with "
            "their names and captions into the folder, or the images of each class into a folder of its own."
        )
    keys, names, count = _keys(images), info.class_names.get("label", {}), 0
    said = {label: names.get(label) or readable(label) for label in labels}
    lang = "en" if all(map(str.isascii, said.values())) else options.lang
    has_inner = any(folder.inner for folder in folders.values())
    for file in images:
        split, label, inner = folders[_folder_of(file)]
        if label is None:
            yield Reject(file, None, keys[file], "it has no .txt with a caption beside it and is in no class folder")
            continue
        count += 1
        caption = class_caption(said[label], lang)
        yield Row(keys[file], [caption], label, split, file, more={"folder": inner} if has_inner else {})
    info.class_captions = count
    listed = first_names(labels, LISTED_CLASSES)
    info.notes.append(f"{count:,} captions were made from the class names that the folders give: {listed}")
    if tables:
        info.warnings.append(
            f"captions were made from the names of folders, and {_are_not_read(tables)}: if captions are there, write "
            f"them into one table in {path}, with the images' paths"
        )
    if has_inner:
        info.notes.append("the column folder holds the folders within the class folders")
    if count >= _FEW_PAIRS and 2 * len(labels) > count:
        info.warnings.append(
            f"the folders give {len(labels):,} classes for {count:,} images: if they are parts or dates rather than "
            "classes, put a .txt with its caption beside each image"
        )


def _describe(by_suffix: Mapping[str, Sequence[str]], listing: Listing, records: int, info: SourceInfo) -> None:
    """Says what is passed over; so many ``.json`` files are not."""
    known = {*IMAGE_SUFFIXES, *TEXT_SUFFIXES}
    counts = Counter({suffix: len(files) for suffix, files in by_suffix.items() if suffix not in known})
    counts[".json"] -= records + ("classes.json" in by_suffix.get(".json", ()))
    listed = {
        unread: first_names(
            [
                f"{n:,} {suffix or 'without ending'}"
                for suffix, n in counts.most_common()
                if n > 0 and (suffix in _UNREAD_IMAGES) == unread
            ]
        )
        for unread in (True, False)
    }
    if listed[True]:
        info.warnings.append(f"images of kinds that are not read were passed over ({listed[True]}): export them as PNG")
    if listed[False]:
        info.notes.append(f"files that are neither images nor captions were passed over: {listed[False]}")
    if listing.repeated:
        info.notes.append(
            f"links to folders that are read by another name were not followed: {first_names(listing.repeated)}"
        )
    if listing.missing:
        names = first_names([name for name, _ in listing.missing])
        info.warnings.append(f"folders or files were not read ({names}): {first_names([' '.join(listing.missing[0])])}")


def _hints(by_suffix: Mapping[str, Sequence[str]]) -> list[str]:
    """What files beside the images are, if they are no captions."""
    hints = ["the .xml files hold boxes (as Pascal VOC's), not captions"] if ".xml" in by_suffix else []
    tables = [file for suffix in _UNREAD_TABLES[:-4] for file in by_suffix.get(suffix, ())]
    records = by_suffix.get(".json", ())
    if 2 * len(records) > sum(len(by_suffix.get(suffix, ())) for suffix in IMAGE_SUFFIXES):
        hints.append("the .json files hold no caption (text under caption or captions)")
    elif tables := [*tables, *records]:
        hints.append(_are_not_read(sorted(tables)))
    sheets = [file for suffix in (".xlsx", ".xls", ".ods") for file in by_suffix.get(suffix, ())]
    hints += [f"save {first_names(sheets)} as CSV"] if sheets else []
    packed = by_suffix.get(".gz", ())
    return [*hints, f"unpack {first_names(packed)}"] if packed else hints


def _are_not_read(files: Sequence[str]) -> str:
    return f"{first_names(files)} {'are' if len(files) > 1 else 'is'} not read"


def _folder_of(file: str) -> str:
    return file.rpartition("/")[0]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts ``img2`` before ``img10``."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _keys(images: Sequence[str]) -> dict[str, str]:
    """Each image's path without its ending; with it where several images share the rest."""
    stems = {file: os.path.splitext(file)[0] for file in images}
    shared = Counter(stems.values())
    return {file: stem if shared[stem] == 1 else file for file, stem in stems.items()}
