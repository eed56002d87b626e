"""An attribute before its noun, as the finders of all languages report it; and how their lists of words are read."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML


@dataclass(frozen=True)
class Slot:
    """A place in a caption where an attribute stands before its noun.

    Attributes:
        kind: The kind of attribute, such as ``colour``; only slots of one kind are exchanged.
        sense: What the attribute says; words of one sense (big, large) are equal.
        noun: The noun's stem.
        start: The attribute's first character in the caption.
        end: One past its last character.
    """

    kind: str
    sense: str
    noun: str
    start: int
    end: int


def read_words(lang: str) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """The lists of words of one language.

    Args:
        lang: The name of ``attributes/LANG.yaml``.

    Returns:
        The sense of each attribute by kind and word, and the file's other lists by name.
    """
    text = files("clipc.evaluate").joinpath("attributes", f"{lang}.yaml").read_text(encoding="utf-8")
    table = YAML(typ="safe").load(text)
    kinds = table.pop("kinds").items()
    return {kind: {word: sense for sense, words in senses.items() for word in words} for kind, senses in kinds}, table
