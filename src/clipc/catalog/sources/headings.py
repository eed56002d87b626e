"""The columns of a table by what they hold: detected by name, in English and Japanese, or named by the user."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import IMAGE_SUFFIXES, NAMES, SPLIT_NAMES, SourceInfo, Value
from clipc.catalog.sources.path_columns import OF_IMAGES, image_column, refuse_encoded
from clipc.catalog.sources.template import (
    CaptionMaker,
    is_number,
    plain_name,
    propose_template,
    read_template,
)
from clipc.catalog.values import LANGUAGES, is_missing, labels, plain_values
from clipc.errors import UserError, first_names, unknown_name

_FILES = (*IMAGE_SUFFIXES, ".txt", ".caption", ".json")
_LISTED = 8
_FEW_CAPTIONS = 10


@dataclass(frozen=True)
class Headings:
    """The columns of a table by what they hold.

    Attributes:
        image: The image paths, or the images.
        captions: The captions; none if templates make them.
        labels: The class labels, the main column first.
        split: The names of splits.
        key: The keys.
        key_is_sure: Whether the user named the key column.
        label_is_sure: Whether the user named the label columns.
        others: The columns that are only metadata.
        odd_split: What is wrong with a column that is named as one of splits, if it is not used.
        maker: Makes captions by the user's templates; they need no columns of captions.
    """

    image: str
    captions: tuple[str, ...]
    labels: tuple[str, ...]
    split: str | None
    key: str | None
    key_is_sure: bool
    label_is_sure: bool
    others: tuple[str, ...]
    maker: CaptionMaker | None
    odd_split: str | None = None

    @property
    def image_ids(self) -> str | None:
        """The column of keys, if its name says that they are those of images."""
        return self.key if self.key is not None and OF_IMAGES.search(plain_name(self.key)) else None

    def describe(self, info: SourceInfo) -> None:
        """Notes the choice of columns and, where there are several label columns, their names."""
        parts = [f"image = {self.image}"]
        parts += [f"captions = {', '.join(self.captions)}"] if self.captions else []
        parts += [f"labels = {', '.join(self.labels)}"] if self.labels else []
        parts += [f"split = {self.split}"] if self.split else []
        info.notes.append("columns: " + "; ".join(parts))
        if self.others:
            info.notes.append(f"columns used only as metadata: {first_names(self.others, _LISTED)}")
        if self.odd_split:
            info.warnings.append(self.odd_split)
        if len(self.labels) > 1:
            info.label_columns += ["label", *self.labels[1:]]
        if self.labels and not self.label_is_sure:
            info.guessed_label = self.labels[0]

    def made_captions(self, record: Mapping[str, Any]) -> list[str]:
        """The captions that the user's templates make of a record."""
        return [] if self.maker is None else self.maker.captions(record)

    def describe_captions(self, captions: Sequence[tuple[str, ...]], info: SourceInfo) -> None:
        """Notes the captions that were made, and warns of a column that hardly holds captions.

        Args:
            captions: The captions of each pair.
            info: Receives the notes and warnings.
        """
        if self.maker is not None:
            self.maker.describe(info)
        if not self.captions or len(captions) < _FEW_CAPTIONS:
            return
        sample = [text for texts in captions[:: max(1, len(captions) // 1000)] for text in texts[:1]]
        commonest, count = Counter(captions).most_common(1)[0]
        if 10 * sum(map(is_number, sample)) > 9 * len(sample):
            doubt = "holds numbers"
        elif 10 * sum(text.strip().lower().endswith(_FILES) for text in sample) > 9 * len(sample):
            doubt = "holds file names"
        elif 10 * count > 9 * len(captions):
            doubt = f"says {', '.join(commonest)[:80]!r} in {count:,} of {len(captions):,} rows"
        else:
            return
        info.warnings.append(
            f"the caption column {self.captions[0]} {doubt}, which teaches a model nothing: name the column of "
            "captions with --caption-columns, or make captions from other columns with --caption-template"
        )

    def describe_labels(self, labels: Sequence[str | None], info: SourceInfo) -> None:
        """Warns if more than a tenth of the pairs have no label, but not all.

        Args:
            labels: The label of each pair.
            info: Receives the warning.
        """
        missing = labels.count(None)
        if self.labels and len(labels) < 10 * missing < 10 * len(labels):
            info.warnings.append(
                f"{missing:,} of {len(labels):,} pairs have no label in the column {self.labels[0]}: fill the cells if "
                "they were merged or left out, since pairs without a label are of no class"
            )

    def class_labels(self, record: Mapping[str, Any]) -> list[str]:
        """The labels in the main label column of a record.

        Raises:
            ValueError: There is an object or a list that is no label.
        """
        return labels(record.get(self.labels[0])) if self.labels else []

    def metadata(self, record: Mapping[str, Any]) -> dict[str, Value]:
        """The plain values of a record in columns that hold nothing else."""
        used = {self.image, *self.captions, self.split, self.key if self.key_is_sure else None, "label"}
        return {name: value for name, value in plain_values(record).items() if name not in used}


def find_headings(
    names: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    options: SourceOptions,
    where: str,
    hits: Callable[[Sequence[str]], int] = lambda paths: 0,
) -> Headings:
    """Finds the columns.

    Args:
        names: The table's columns.
        sample: Its first rows, by whose values a column of image paths or of split names is recognised.
        options: What the user named.
        where: The table's name for messages.
        hits: How many of some image paths are files, for columns of names without ending and of numbers.

    Raises:
        UserError: There is no column for the image or for captions, or none with a name that the user gave.
    """
    by_user = [*options.caption_columns, *options.label_columns, options.split_column, options.key_column]
    exact = {name: exact_name(name, names) for name in [options.image_column, *by_user] if name}
    assigned = set(exact.values())

    def free(kind: str) -> list[str]:
        words = NAMES["columns"][kind]
        return [name for word in words for name in names if name not in assigned and plain_name(name) == word]

    if options.image_column:
        image = exact[options.image_column]
    else:
        image = image_column(free("image"), free("key"), names, sample, hits, where)
    refuse_encoded(names if image is None else [image], sample, where)
    if image is None:
        raise _missing("the image files", "--image-column", names, where)
    assigned.add(image)
    templates = [read_template(text, lambda name: exact_name(name, names)) for text in options.caption_templates]
    captions = [exact[name] for name in options.caption_columns]
    captions = captions or ([] if templates else caption_columns([n for n in names if n not in assigned], options.lang))
    if options.captions_needed and not (captions or templates):
        label = next((exact[name] for name in options.label_columns), next(iter(free("label")), None))
        proposal = propose_template([name for name in names if name not in assigned], label, sample)
        advice = f', or make them from columns, such as --caption-template "{proposal.text}"' if proposal else ""
        raise _missing("the captions", "--caption-columns" + advice, names, where)
    assigned.update(captions)
    label_columns = [exact[name] for name in options.label_columns] or free("label")[:1]
    assigned.update(label_columns)
    named = [exact[options.split_column]] if options.split_column else []
    splits = named or [name for name in free("split") if _holds_splits(name, sample)]
    assigned.update(splits[:1])
    keys = [exact[options.key_column]] if options.key_column else free("key")
    split, key = (next(iter(columns), None) for columns in (splits, keys))
    used = {*assigned, key, *(name for template in templates for name in template.columns)}
    others = tuple(name for name in names if name not in used)
    maker = CaptionMaker(templates) if templates else None
    sure_key, sure_label = bool(options.key_column), bool(options.label_columns)
    odd = next((text for name in free("split")[:1] if split is None and (text := _odd_split(name, sample))), None)
    return Headings(image, tuple(captions), tuple(label_columns), split, key, sure_key, sure_label, others, maker, odd)


def exact_name(name: str, names: Sequence[str]) -> str:
    """The column of that name, in whichever Unicode form the table has it.

    Raises:
        UserError: There is none; the message names the nearest.
    """
    if name in names:
        return name
    for column in names:
        if unicodedata.normalize("NFKC", column).strip() == unicodedata.normalize("NFKC", name).strip():
            return column
    raise unknown_name("column", name, names)


def caption_columns(names: Sequence[str], lang: str) -> list[str]:
    """The columns of captions by their names: all that any one word names, numbered or not (``caption_1 caption_2``).

    Columns that name the language (``caption_en``) are preferred; those of the language alone (``en``) come last.
    """
    words, codes = NAMES["columns"]["caption"], LANGUAGES[lang]
    for word in words:
        of_language = {word + code for code in codes} | {code + word for code in codes}
        if columns := [name for name in names if plain_name(name) in of_language]:
            return columns
    for word in words:
        pattern = re.compile(re.escape(word) + r"\d*|" + re.escape(word.rstrip("s")) + r"\d+")
        if columns := [name for name in names if pattern.fullmatch(plain_name(name))]:
            return columns
    return [name for name in names if plain_name(name) in codes]


def _holds_splits(name: str, sample: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column holds names of splits; in one named ``split`` others may stand beside those of two."""
    values = {str(row[name]).strip().lower() for row in sample if not is_missing(row.get(name))}
    known = {SPLIT_NAMES[value] for value in values if value in SPLIT_NAMES}
    return bool(values) and (values <= SPLIT_NAMES.keys() or (_is_for_splits(name) and len(known) > 1))


def _is_for_splits(name: str) -> bool:
    """Whether a column's name means splits alone; ``set`` and ``subset`` may mean others."""
    return plain_name(name) in ("split", "partition", "分割", "データ分割")


def _odd_split(name: str, sample: Sequence[Mapping[str, Any]]) -> str | None:
    """The warning of a column that should hold splits and does not."""
    values = dict.fromkeys(str(row[name]).strip() for row in sample if not is_missing(row.get(name)))
    if not values or not _is_for_splits(name):
        return None
    return (
        f"the column {name} is not used, since its values ({first_names(values)}) are no names of splits: "
        "write train, val or test there, or the splits are drawn at random"
    )


def _missing(what: str, option: str, names: Sequence[str], where: str) -> UserError:
    return UserError(
        f"{where}: no column for {what} was found; name it with {option}. "
        f"The columns are: {', '.join(names) or 'none'}."
    )
