"""Lists of words: the groups of attributes and the items of concepts, in English and Japanese, extended by the user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from clipc.errors import UserError, first_line
from clipc.files import read_text
from clipc.limits import YAML_BYTES
from clipc.yaml_text import parse_yaml

LANGUAGES = ("en", "ja")
"""The languages of the built-in lists; both are looked for in every caption."""

Terms = dict[str, tuple[str, ...]]
"""The terms of each group of an attribute, or of each concept of a list: words or phrases, as rules take them."""


@dataclass(frozen=True)
class WordLists:
    """Lists of words.

    Attributes:
        attributes: The groups of each attribute, such as ``gender``, with their terms.
        concepts: The concepts of each list, such as ``occupations``, with their terms.
        stopwords: Words that are no concepts.
    """

    attributes: dict[str, Terms] = field(default_factory=dict[str, Terms])
    concepts: dict[str, Terms] = field(default_factory=dict[str, Terms])
    stopwords: frozenset[str] = frozenset()

    def with_more(self, other: "WordLists") -> "WordLists":
        """Both lists in one: terms of groups that both have are joined."""
        return WordLists(
            _joined(self.attributes, other.attributes),
            _joined(self.concepts, other.concepts),
            self.stopwords | other.stopwords,
        )


@cache
def built_in_lists() -> WordLists:
    """The built-in lists, all languages in one."""
    lists = WordLists()
    for lang in LANGUAGES:
        text = files("clipc.audit.bias").joinpath("words", f"{lang}.yaml").read_text(encoding="utf-8")
        lists = lists.with_more(_checked(YAML(typ="safe").load(text), f"{lang}.yaml"))
    return lists


def read_lists(file: Path | None) -> WordLists:
    """The built-in lists, extended by a user's file.

    Args:
        file: A YAML file with ``attributes``, ``concepts`` and ``stopwords``, each optional, such as
            ``attributes: {uniform: {with: [in uniform, 制服], without: [plain clothes, 私服]}}``; None for the built-in
            lists alone. Groups of the same name get more terms.

    Raises:
        UserError: The file cannot be read or has another structure.
    """
    if file is None:
        return built_in_lists()
    try:
        content: Any = parse_yaml(read_text(file, YAML_BYTES), str(file))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as YAML: {first_line(error)}.") from error
    return built_in_lists().with_more(_checked(content, str(file)))


def _checked(content: Any, where: str) -> WordLists:
    """The lists in a YAML document."""
    if not isinstance(content, Mapping) or set(content) - {"attributes", "concepts", "stopwords"}:
        raise UserError(
            f"{where} needs the keys attributes, concepts or stopwords, such as "
            "attributes: {uniform: {with: [in uniform], without: [plain clothes]}}."
        )
    tables = [_tables(content.get(key) or {}, f"{where}: {key}") for key in ("attributes", "concepts")]
    return WordLists(tables[0], tables[1], frozenset(_words(content.get("stopwords") or [], f"{where}: stopwords")))


def _tables(content: Any, where: str) -> dict[str, Terms]:
    if not isinstance(content, Mapping) or not all(isinstance(groups, Mapping) for groups in content.values()):
        raise UserError(f"{where} must hold names with groups, such as gender: {{female: [woman], male: [man]}}.")
    return {
        str(name): {str(group): _words(terms, f"{where}.{name}.{group}") for group, terms in groups.items()}
        for name, groups in content.items()
    }


def _words(content: Any, where: str) -> tuple[str, ...]:
    words: list[Any] = list(content) if isinstance(content, Sequence) and not isinstance(content, str) else []
    if not isinstance(content, list | tuple) or not all(isinstance(word, str | int) for word in words):
        raise UserError(f"{where} must be a list of words, such as [woman, women]; write yes and no in quotes.")
    return tuple(str(word) for word in words)


def _joined(first: dict[str, Terms], second: dict[str, Terms]) -> dict[str, Terms]:
    names = dict.fromkeys([*first, *second])
    joined: dict[str, Terms] = {}
    for name in names:
        one, other = first.get(name, {}), second.get(name, {})
        groups = dict.fromkeys([*one, *other])
        joined[name] = {g: tuple(dict.fromkeys([*one.get(g, ()), *other.get(g, ())])) for g in groups}
    return joined
