"""Prompts for class names: the built-in template sets, and files with the user's templates and class names."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from clipc.catalog.catalog import Catalog
from clipc.catalog.classes import as_whole_numbers, class_order
from clipc.errors import LISTED_CLASSES, UserError, first_names, unknown_name
from clipc.json_files import parse_json
from clipc.limits import YAML_BYTES
from clipc.yaml_text import parse_yaml

TEMPLATE_SETS = ("general", "satellite", "x-ray", "factory")
"""The built-in template sets, the general one first."""

LANGUAGES = ("en", "ja")
"""The languages of built-in templates."""

_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_SLOT = re.compile(r"(?:\b(a|an|the) )?\{\}", re.IGNORECASE)
_HAS_ARTICLE = re.compile(r"(a|an|the|some|one|two|many|several) ", re.IGNORECASE)
_VOWEL_LETTER_SILENT_H = re.compile(r"[aeiou]|h(?:our|onest|onou?r|eir)", re.IGNORECASE)
_SOUNDS_LIKE_YOU_OR_WON = re.compile(
    r"eu|ewe|on(?:e|ce)\b|uni(?!n|mp|mag|d)|u[kt][aeiloru]|ubi|us[aeiu]|ur[aeiou]", re.IGNORECASE
)


def fill(template: str, name: str) -> str:
    """Puts the class name in place of each ``{}`` of a template, and makes the English article before it fit.

    ``a {}`` becomes ``an`` before a vowel sound. An article is dropped if the name has one: ``"a photo of a {}"`` and
    ``"the sky"`` give ``"a photo of the sky"``.
    """

    def fit(match: re.Match[str]) -> str:
        article = match[1]
        if article is None or _HAS_ARTICLE.match(name):
            return name
        if article.lower() != "the":
            article = article[0] + ("n" if _starts_with_vowel_sound(name) else "")
        return f"{article} {name}"

    return _SLOT.sub(fit, template)


def _starts_with_vowel_sound(name: str) -> bool:
    """Whether English says "an" before the name: an apple, an hour, an X-ray, an 8; a unit, a U-bolt, a one-way street.

    Short words in capitals, and those without a vowel, are taken as spelt letter by letter (an LED, a UFO).
    """
    word = re.split(r"[\s\-/]", name.strip(), maxsplit=1)[0]
    if re.match(r"8|1[18]\b", word):
        return True
    spelt = len(word) == 1 or (word.isupper() and (len(word) <= 3 or not re.search(r"[AEIOUY]", word)))
    if spelt and word.isascii():
        return word[0].upper() in "AEFHILMNORSX"
    return bool(_VOWEL_LETTER_SILENT_H.match(word)) and not _SOUNDS_LIKE_YOU_OR_WON.match(word)


@cache
def built_in_templates(name: str, lang: str = "en") -> tuple[str, ...]:
    """The templates of a built-in set.

    Args:
        name: One of :data:`SETS`.
        lang: One of :data:`LANGUAGES`.

    Raises:
        UserError: There is no such set or language.
    """
    if name not in TEMPLATE_SETS:
        raise unknown_name("template set", name, TEMPLATE_SETS)
    if lang not in LANGUAGES:
        raise unknown_name("prompt language", lang, LANGUAGES)
    source = files("clipc.evaluate").joinpath("prompts", f"{name}.yaml")
    return check_templates(YAML(typ="safe").load(source.read_text(encoding="utf-8"))[lang], name)


def prompt_language(catalog: Catalog, class_names: Sequence[str] = ()) -> Literal["en", "ja"]:
    """The language of built-in prompts: that of the captions, because a model reads what it has learnt from.

    Args:
        catalog: The data; up to 1,000 rows of it are read.
        class_names: The names of classes, which decide where there are no captions.
    """
    counts = catalog.caption_counts
    rows = range(0, len(catalog), max(1, len(catalog) // 1000))
    texts = [catalog.caption(row, 0) for row in rows if counts[row]] or class_names
    japanese = sum(_JAPANESE.search(text) is not None for text in texts)
    return "ja" if 2 * japanese > len(texts) else "en"


def check_templates(templates: Sequence[str], where: str) -> tuple[str, ...]:
    """Checks that each template has ``{}`` for the class name; returns the templates.

    Args:
        templates: The templates.
        where: The source of the templates, for messages.

    Raises:
        UserError: There are no templates, or one lacks ``{}``.
    """
    if not templates:
        raise UserError(f"{where} has no templates; write one per line, such as 'a photo of a {{}}.'")
    for number, template in enumerate(templates, start=1):
        if "{}" not in template:
            raise UserError(f"template {number} of {where} ({template!r}) has no {{}}; put {{}} where the name goes.")
    return tuple(templates)


def read_templates(path: Path) -> tuple[str, ...]:
    """Reads the user's templates from a text file with one per line, or a YAML or JSON list.

    Raises:
        UserError: The file cannot be read, or a template lacks ``{}``.
    """
    content = _read(path)
    if not isinstance(content, list):
        raise UserError(f"{path} must contain a list of templates, each with {{}} where the class name goes.")
    return check_templates([str(template) for template in content], str(path))


def read_class_names(path: Path, labels: Sequence[str]) -> dict[str, str]:
    """Reads readable class names from a mapping ``label: name`` or a list (YAML or JSON), or a text file of names.

    Args:
        path: The file.
        labels: The labels that need a name. A list or text file gives the names in the order of the labels: by number
            if they are the whole numbers from 0 or from 1 on, otherwise alphabetically.

    Returns:
        The name of each label, in the order of :func:`~clipc.catalog.classes.class_order`.

    Raises:
        UserError: The file cannot be read, a label has no name, or a list is too short, too long, or of names whose
            labels are open.
    """
    content = _read(path)
    ordered = class_order(labels)
    if isinstance(content, list):
        return _names_in_order(path, [str(name) for name in content], ordered)
    if not isinstance(content, Mapping):
        raise UserError(f"{path} must contain class names: 'label: name' in YAML or JSON, or one name per line.")
    names = {str(label): str(name) for label, name in content.items()}
    if (numbers := as_whole_numbers(ordered)) is not None and len(set(numbers)) == len(numbers):
        by_number = {int(label): name for label, name in names.items() if as_whole_numbers([label])}  # 007 is 7 in YAML
        names = {label: by_number[n] for label, n in zip(ordered, numbers, strict=True) if n in by_number} | names
    if missing := [label for label in ordered if label not in names]:
        raise UserError(f"{path} has no name for the label(s) {', '.join(missing[:20])}; add 'label: name' for each.")
    return {label: names[label] for label in ordered}


def _names_in_order(path: Path, names: Sequence[str], ordered: Sequence[str]) -> dict[str, str]:
    """The names of a list by label, where it is certain which belongs to which."""
    count, numbers = len(ordered), as_whole_numbers(ordered)
    if len(names) != count:
        raise UserError(
            f"{path} names {len(names)} classes, but there are {count} labels: {', '.join(ordered[:20])}; "
            "write one name for each, in this order, or 'label: name' in a .yaml file."
        )
    if numbers is not None and numbers not in (list(range(count)), list(range(1, count + 1))):
        listed = first_names(ordered, LISTED_CLASSES)
        raise UserError(
            f"{path} lists names without labels, but the labels ({listed}) do not run from 0 to "
            f"{count - 1} or from 1 to {count}; write 'label: name' in a .yaml file."
        )
    if numbers is None and ordered != sorted(ordered, key=_natural):
        raise UserError(
            f"{path} lists names without labels, but the labels have two orders: alphabetically "
            f"({first_names(ordered)}) and by the numbers in them ({first_names(sorted(ordered, key=_natural))}); "
            "write 'label: name' in a .yaml file."
        )
    return dict(zip(ordered, names, strict=True))


def _natural(label: str) -> str:
    """Sorts ``c2`` before ``c10``."""
    return re.sub(r"\d+", lambda number: number[0].zfill(20), label)


def _read(path: Path) -> Any:
    """The value of a YAML or JSON file, or the non-empty lines of any other file."""
    try:
        with path.open("rb") as file:
            data = file.read(YAML_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    if len(data) > YAML_BYTES:
        raise UserError(f"{path} is larger than {YAML_BYTES:,} bytes; name a list of templates or of class names.")
    text, suffix = _decode(data, path), path.suffix.lower()
    try:
        if suffix == ".json":
            return parse_json(text)
        if suffix in (".yaml", ".yml"):
            return parse_yaml(text, str(path))
    except ValueError as error:
        raise UserError(f"{path} is not valid {suffix[1:].upper()}: {' '.join(str(error).split())}.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _decode(data: bytes, path: Path) -> str:
    """Decodes UTF-8, UTF-16 with a byte order mark, or CP932, the encoding of Japanese Windows."""
    for encoding in ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp932"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    raise UserError(f"{path} is neither UTF-8, UTF-16 nor CP932; save it as UTF-8.")
