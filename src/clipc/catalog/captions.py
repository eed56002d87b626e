"""Captions, metadata and class names from loosely typed values."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from clipc.catalog.rows import Value

_CLASS_SENTENCE = {"en": "a photo of {article} {name}", "ja": "{name}の写真"}


def strings(value: Any) -> list[str]:
    """The captions in a value: a string is one, a list holds many, nothing is none."""
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [caption for item in value for caption in strings(item)]
    return [value if isinstance(value, str) else str(value)]


def plain_values(record: Mapping[str, Any]) -> dict[str, Value]:
    """The metadata in a record: texts, numbers, booleans, and lists of numbers (a vector, a box).

    Other lists, objects, NaN and infinities are left out.
    """
    plain: dict[str, Value] = {}
    for name, value in record.items():
        if isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
            plain[str(name)] = value
        elif isinstance(value, (list, tuple)) and value and all(type(item) in (int, float) for item in value):
            with suppress(OverflowError), np.errstate(over="ignore"):
                # A list of Python's own numbers would need eight times the memory.
                plain[str(name)] = np.asarray(value, np.float32)
    return plain


def readable(label: str) -> str:
    """A class label as words: ``pitted_surface`` becomes ``pitted surface``."""
    return label.replace("_", " ").strip() or label


def class_caption(name: str, lang: str = "en") -> str:
    """The caption of an image of which only the class is known: ``a photo of a {class name}``."""
    article = "an" if name[:1].lower() in set("aeiou") else "a"
    return _CLASS_SENTENCE.get(lang, _CLASS_SENTENCE["en"]).format(name=name, article=article)
