"""The type of an attribute before its noun, for all languages, and the reader of a language's lists of words."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML


@dataclass(frozen=True)
class Slot:
    """A place in a caption where an attribute stands before its noun.

    Attributes:
        kind: The kind of attribute, such as ``colour``; only slots of one kind are exchanged.
        sense: The meaning of the attribute; synonyms (big, large) have the same sense.
        noun: The noun's stem.
        start: The index of the attribute's first character in the caption.
        end: The index after its last character.
    """

    kind: str
    sense: str
    noun: str
    start: int
    end: int


def read_words(lang: str) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """Reads the lists of words of one language.

    Args:
        lang: ``en`` or ``ja``: the file is ``attributes/LANG.yaml``.

    Returns:
        The senses of attributes as ``senses[kind][word]``, and the other lists of the file by name.
    """
    text = files("clipc.evaluate").joinpath("attributes", f"{lang}.yaml").read_text(encoding="utf-8")
    table = YAML(typ="safe").load(text)
    kinds = table.pop("kinds").items()
    return {kind: {word: sense for sense, words in senses.items() for word in words} for kind, senses in kinds}, table
