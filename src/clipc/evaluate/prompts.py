"""Prompts for class names: the template sets that ship, and the user's own by file."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from clipc.errors import UserError, unknown_name

SETS = ("general", "satellite", "x-ray", "factory")
"""The template sets that ship, the general one first."""

LANGUAGES = ("en", "ja")

_SLOT = re.compile(r"(?:\b(a|an|the) )?\{\}", re.IGNORECASE)
_HAS_ARTICLE = re.compile(r"(a|an|the|some|one|two|many|several) ", re.IGNORECASE)
_VOWEL_LETTER_SILENT_H = re.compile(r"[aeiou]|h(?:our|onest|onou?r|eir)", re.IGNORECASE)
_SOUNDS_LIKE_YOU_OR_WON = re.compile(
    r"eu|ewe|on(?:e|ce)\b|uni(?!n|mp|mag|d)|u[kt][aeiloru]|ubi|us[aeiu]|ur[aeiou]", re.IGNORECASE
)


def fill(template: str, name: str) -> str:
    """A template with the class name in the place of each ``{}``, its English article made to fit.

    ``a {}`` becomes ``an`` before a vowel sound; an article gives way to one that the name brings along
    (``"a photo of a {}"`` and ``"the sky"``: ``"a photo of the sky"``).
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
def shipped(name: str, lang: str = "en") -> tuple[str, ...]:
    """The templates of a set that ships.

    Args:
        name: One of :data:`SETS`.
        lang: One of :data:`LANGUAGES`.

    Raises:
        UserError: There is no such set or language.
    """
    if name not in SETS:
        raise unknown_name("template set", name, SETS)
    if lang not in LANGUAGES:
        raise unknown_name("prompt language", lang, LANGUAGES)
    source = files("clipc.evaluate").joinpath("prompts", f"{name}.yaml")
    return check_templates(YAML(typ="safe").load(source.read_text(encoding="utf-8"))[lang], name)


def check_templates(templates: Sequence[str], where: str) -> tuple[str, ...]:
    """The templates, if each has the ``{}`` that the class name goes to.

    Raises:
        UserError: There is none, or one lacks ``{}``.
    """
    if not templates:
        raise UserError(f"{where} has no templates; write one a line, such as 'a photo of a {{}}.'")
    for number, template in enumerate(templates, start=1):
        if "{}" not in template:
            raise UserError(f"template {number} of {where} ({template!r}) has no {{}}; put {{}} where the name goes.")
    return tuple(templates)


def read_templates(path: Path) -> tuple[str, ...]:
    """The user's own templates: a text file with one a line, or a YAML or JSON list.

    Raises:
        UserError: The file cannot be read, or a template lacks ``{}``.
    """
    raw = _read(path)
    if not isinstance(raw, list):
        raise UserError(f"{path} must hold a list of templates, each with {{}} where the class name goes.")
    return check_templates([str(template) for template in raw], str(path))


def read_class_names(path: Path, labels: Sequence[str]) -> dict[str, str]:
    """Readable class names: YAML or JSON ``label: name``, or a list or text file with one name a line.

    Args:
        path: The file.
        labels: The labels that need a name. A list gives the names in the sorted order of the labels.

    Raises:
        UserError: The file cannot be read, a label has no name, or a list is too short or too long.
    """
    raw = _read(path)
    ordered = sorted(labels)
    if isinstance(raw, list):
        if len(raw) != len(ordered):
            raise UserError(
                f"{path} names {len(raw)} classes, but there are {len(ordered)} labels: {', '.join(ordered[:20])}; "
                "write one name for each, in this order, or 'label: name' in a .yaml file."
            )
        return {label: str(name) for label, name in zip(ordered, raw, strict=True)}
    if not isinstance(raw, Mapping):
        raise UserError(f"{path} must hold class names: 'label: name' in YAML or JSON, or one name a line.")
    names = {str(label): str(name) for label, name in raw.items()}
    if missing := [label for label in ordered if label not in names]:
        raise UserError(f"{path} has no name for the label(s) {', '.join(missing[:20])}; add 'label: name' for each.")
    return {label: names[label] for label in ordered}


def _read(path: Path) -> Any:
    """The file's content: lists and mappings from YAML and JSON, a list of non-empty lines from any other file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    text, kind = _text(data, path), path.suffix.lower()
    try:
        if kind == ".json":
            return json.loads(text)
        if kind in (".yaml", ".yml"):
            return YAML(typ="safe", pure=True).load(text)
    except (ValueError, YAMLError) as error:
        raise UserError(f"{path} is no valid {kind[1:].upper()}: {' '.join(str(error).split())}.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _text(data: bytes, path: Path) -> str:
    """UTF-8, UTF-16 with its mark, or CP932, which Windows writes in Japan."""
    for encoding in ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp932"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    raise UserError(f"{path} is neither UTF-8, UTF-16 nor CP932; save it as UTF-8.")
