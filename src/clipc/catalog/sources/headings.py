"""The columns of a table by what they hold: detected by name, in English and Japanese, or named by the user."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipc.catalog.rows import IMAGE_SUFFIXES, NAMES, SPLIT_NAMES, SourceInfo, SourceOptions, Value
from clipc.catalog.values import labels, plain_values
from clipc.errors import UserError, unknown_name


@dataclass(frozen=True)
class Headings:
    """The columns of a table by what they hold; ``key_is_sure`` if the user named the key column."""

    image: str
    captions: tuple[str, ...]
    labels: tuple[str, ...]
    split: str | None
    key: str | None
    key_is_sure: bool

    def describe(self, info: SourceInfo) -> None:
        """Notes the choice of columns and, where there are several label columns, their names."""
        parts = [f"image = {self.image}", f"captions = {', '.join(self.captions)}"]
        parts += [f"labels = {', '.join(self.labels)}"] if self.labels else []
        parts += [f"split = {self.split}"] if self.split else []
        info.notes.append("columns: " + "; ".join(parts))
        if len(self.labels) > 1:
            info.label_columns += ["label", *self.labels[1:]]

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
    names: Sequence[str], sample: Sequence[Mapping[str, Any]], options: SourceOptions, where: str
) -> Headings:
    """Finds the columns.

    Args:
        names: The table's columns.
        sample: Its first rows, by whose values a column of image paths or of split names is recognised.
        options: What the user named.
        where: The table's name for messages.

    Raises:
        UserError: There is no column for the image or for captions, or none with a name that the user gave.
    """
    by_user = [*options.caption_columns, *options.label_columns, options.split_column, options.key_column]
    exact = {name: _exact_name(name, names) for name in [options.image_column, *by_user] if name}
    assigned = set(exact.values())

    def free(kind: str) -> list[str]:
        words = NAMES["columns"][kind]
        return [name for word in words for name in names if name not in assigned and _plain(name) == word]

    image = exact[options.image_column] if options.image_column else _image_column(free("image"), names, sample)
    if image is None:
        raise _missing("the image files", "--image-column", names, where)
    assigned.add(image)
    captions = [exact[name] for name in options.caption_columns] or _captions([n for n in names if n not in assigned])
    if not captions:
        raise _missing("the captions", "--caption-columns", names, where)
    assigned.update(captions)
    label_columns = [exact[name] for name in options.label_columns] or free("label")[:1]
    assigned.update(label_columns)
    named = [exact[options.split_column]] if options.split_column else []
    splits = named or [name for name in free("split") if _holds_splits(name, sample)]
    assigned.update(splits[:1])
    keys = [exact[options.key_column]] if options.key_column else free("key")
    split, key = (next(iter(columns), None) for columns in (splits, keys))
    return Headings(image, tuple(captions), tuple(label_columns), split, key, key_is_sure=bool(options.key_column))


def _exact_name(name: str, names: Sequence[str]) -> str:
    """The column of that name, in whichever Unicode form the table has it."""
    if name in names:
        return name
    for column in names:
        if unicodedata.normalize("NFKC", column).strip() == unicodedata.normalize("NFKC", name).strip():
            return column
    raise unknown_name("column", name, names)


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-.]", "", unicodedata.normalize("NFKC", name).casefold())


def _image_column(by_name: Sequence[str], names: Sequence[str], sample: Sequence[Mapping[str, Any]]) -> str | None:
    """A column with the name and the values of image paths; else with the values; else with the name."""

    def holds_paths(name: str) -> bool:
        values = [row.get(name) for row in sample]
        return 2 * sum(isinstance(v, str) and v.strip().lower().endswith(IMAGE_SUFFIXES) for v in values) > len(values)

    by_value = [name for name in names if holds_paths(name)]
    return next((name for name in [*by_name, *by_value] if name in by_value), next(iter(by_name), None))


def _captions(names: Sequence[str]) -> list[str]:
    """All columns of the first word that any has, numbered or not: ``caption``, or ``caption_1 caption_2 ...``."""
    for word in NAMES["columns"]["caption"]:
        pattern = re.compile(re.escape(word) + r"\d*|" + re.escape(word.rstrip("s")) + r"\d+")
        if columns := [name for name in names if pattern.fullmatch(_plain(name))]:
            return columns
    return []


def _holds_splits(name: str, sample: Sequence[Mapping[str, Any]]) -> bool:
    values = {str(row[name]).strip().lower() for row in sample if row.get(name)}
    return bool(values) and values <= SPLIT_NAMES.keys()


def _missing(what: str, option: str, names: Sequence[str], where: str) -> UserError:
    return UserError(
        f"{where}: no column for {what} was found; name it with {option}. "
        f"The columns are: {', '.join(names) or 'none'}."
    )
