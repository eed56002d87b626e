"""Class labels: their order, their readable names (``classes.json``, or the labels), and captions made from these."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from clipc.catalog.catalog import Catalog, inside
from clipc.catalog.rows import SourceInfo
from clipc.errors import UserError, first_line, first_names
from clipc.files import read_text
from clipc.json_files import parse_json
from clipc.limits import OWN_BYTES

_WHOLE_NUMBER = re.compile(r"-?\d+")
_WORDNET = re.compile(r"n\d{8}")
_CLASS_SENTENCE = {"en": "photo of {name}", "ja": "{name}の写真"}
"""In English without articles, as headlines are: no article would fit scratches, crazing and a gear alike."""


def read_class_names(folder: Path, info: SourceInfo) -> None:
    """Reads ``classes.json`` in a folder, where there is one.

    Either flat, ``{label: readable name}``, or one such object a label column, the main column first:
    ``{"shape": {"gear": "gear"}, "state": {"ok": "undamaged"}}``.

    Raises:
        UserError: The file is not of that form.
    """
    path = beside_data(folder, "classes.json")
    if path is None:
        return
    try:
        raw: Any = parse_json(read_text(path, OWN_BYTES))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}.") from None
    if _is_flat(raw):
        info.class_names["label"] = raw
    elif isinstance(raw, dict) and all(_is_flat(names) for names in raw.values()):
        info.class_names.update(raw)
        info.label_columns.extend(raw)
    else:
        raise UserError(
            f"{path} must be an object of labels and their readable names, or one such object for each label column."
        )


def beside_data(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder; None where there is none, or a link that leads out of the folder."""
    try:
        path = inside(folder, name)
    except UserError:
        return None
    return path if path.is_file() else None


def as_whole_numbers(labels: Collection[str]) -> list[int] | None:
    """Labels as whole numbers, in the same order; None if one of them is none, or there are no labels."""
    return list(map(int, labels)) if labels and all(map(_WHOLE_NUMBER.fullmatch, labels)) else None


def class_order(labels: Iterable[str]) -> list[str]:
    """The distinct labels in order: by number if all are whole numbers (2 before 10), otherwise alphabetically."""
    ordered = sorted(set(labels))
    numbers = as_whole_numbers(ordered)
    return ordered if numbers is None else [label for _, label in sorted(zip(numbers, ordered, strict=True))]


def numeric_class_warning(column: str, labels: Iterable[str], names: Mapping[str, str]) -> str | None:
    """A warning if more than half of the classes of a label column are named by numbers; None otherwise.

    Names of numbers have no letter, or are WordNet's as ImageNet's folders have them (``n01440764``).

    Args:
        column: The label column.
        labels: The labels in it.
        names: Readable names by label; a label without one is its own name.
    """
    ordered = class_order(labels)
    numbers: list[str] = []
    for label in ordered:
        name = names.get(label, label)
        if _WORDNET.fullmatch(name) or not any(map(str.isalpha, name)):
            numbers.append(name)
    if 2 * len(numbers) <= len(ordered):
        return None
    return (
        f"the classes in the column {column} are named by numbers ({first_names(numbers)}), which teach a model no "
        f'words: zero-shot classification would ask for "a photo of a {numbers[0]}"; write their names into the data, '
        'into classes.json beside tars or class folders ({"0": "scratch", ...}), or name a file of them with '
        "clipc eval --class-names"
    )


def with_class_names(catalog: Catalog, column: str, names: Mapping[str, str]) -> Catalog:
    """The catalog with readable names for the classes of a label column, which take precedence over its own.

    Args:
        catalog: Any catalog.
        column: One of its label columns.
        names: Readable names by label.

    Raises:
        UserError: The catalog has no such column.
    """
    about, labels = catalog.about, [str(label) for label in catalog.column(column) if label is not None]
    old = about.class_names.get(column, {})
    new = {**old, **names}
    warnings = [warning for warning in about.warnings if warning != numeric_class_warning(column, labels, old)]
    warnings += filter(None, [numeric_class_warning(column, labels, new)])
    class_names = {**about.class_names, column: new}
    return replace(catalog, about=replace(about, class_names=class_names, warnings=tuple(warnings)))


def class_names_of_numbers(value: Any, names: Sequence[str]) -> Any:
    """The name of the class with this number, or a list of names for a list of numbers.

    None takes the place of a value that is no class number, such as -1.
    """
    if isinstance(value, list):
        return [class_names_of_numbers(number, names) for number in cast("list[Any]", value)]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def readable(label: str) -> str:
    """A class label as words: ``pitted_surface`` becomes ``pitted surface``."""
    return label.replace("_", " ").strip() or label


def class_caption(name: str, lang: str = "en") -> str:
    """The caption of an image of which only the class is known: ``photo of {class name}``."""
    return _CLASS_SENTENCE.get(lang, _CLASS_SENTENCE["en"]).format(name=name)


def _is_flat(raw: Any) -> bool:
    return isinstance(raw, dict) and all(isinstance(name, str) for name in raw.values())
