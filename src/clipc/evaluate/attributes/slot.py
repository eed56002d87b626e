"""An attribute before its noun, as the finders of all languages report it; and how their lists of words are read."""

from dataclasses import dataclass
from functools import cache
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


@cache
def words(lang: str) -> dict[str, Any]:
    """The lists of words of one language, as ``attributes/LANG.yaml`` has them."""
    text = files("clipc.evaluate").joinpath("attributes", f"{lang}.yaml").read_text(encoding="utf-8")
    return YAML(typ="safe").load(text)
