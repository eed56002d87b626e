"""What a value of a record holds, wherever the record comes from: captions, labels, metadata, or nothing."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from clipc.catalog.python_text import python_text, python_value
from clipc.catalog.rows import Value
from clipc.errors import first_names
from clipc.json_files import parse_json
from clipc.limits import CELL, COLUMNS, NAME

ALL_LABELS = "all_labels"
"""The metadata column that holds all labels of a pair, joined by ``|``, where there are several."""

LANGUAGES = {"en": {"en", "eng", "english", "英語"}, "ja": {"ja", "jp", "jpn", "japanese", "日本語"}}
"""For each value of the option ``lang``, the names of that language in keys and columns, in lower case."""

# What pandas reads as missing, and Excel's errors. "none" in lower case is a class of published sets, "-" a sign.
_MISSING = (
    {"", "NaN", "nan", "-NaN", "-nan", "NaT", "None", "null", "NULL", "Null", "N/A", "n/a", "NA", "<NA>", "\\N"}
    | {"#N/A", "#NA", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"}
)  # fmt: skip
_SAYS_NOTHING = {word.lower() for word in _MISSING} | {"nil", "-", "--", "ー", "―", "—", "–"}
_LONGEST_WORD = max(map(len, _SAYS_NOTHING))
_CAPTION_KEYS = ("raw", "caption", "captions", "text", "texts", "sentence", "sentences")
_LABEL_KEYS = ("choices", "label", "labels", "name", "class_name", "class", "category")
_QUOTED = re.compile(r"""[\s,]*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)
_FILE_KEYS = ("path", "file_name", "filename", "filepath", "file", "url", "src")
_SHORT = 80
_BASE64 = re.compile(r"[A-Za-z0-9+/=\r\n]{256}")  # no file has so long a name
# How images begin in base64: JPEG, PNG, GIF, WebP, TIFF, BMP.
_ENCODED = ("/9j/", "iVBORw0KGg", "R0lGOD", "UklGR", "SUkqA", "TU0AK", "Qk")
_MAX_DEPTH = 8


def is_missing(value: Any) -> bool:
    """Whether a value is none: null, NaN, an empty text, or a word that programs write for these.

    The words are those of pandas (``NaN None null NULL N/A NA <NA>`` ...) and the errors of Excel (``#REF!``), in
    exactly these cases: ``none`` and ``-`` are values.
    """
    if isinstance(value, str):
        return value.strip() in _MISSING
    return value is None or (isinstance(value, float) and math.isnan(value))


def says_nothing(text: str) -> bool:
    """Whether a text is no words for a caption: missing, also ``none``, ``N/a`` or a dash."""
    return len(text) < 4 * _LONGEST_WORD and unicodedata.normalize("NFKC", text).strip().lower() in _SAYS_NOTHING


def captions(value: Any, lang: str = "en") -> list[str]:
    """The captions in a value: a text is one, a list holds many, a missing value (also ``none``) is none.

    Of an object the value under ``raw``, ``caption``, ``text`` or ``sentence`` counts, or that under the language:
    ``{"en": ..., "ja": ...}``. Lists and objects may also be written as text, by JSON, Python or numpy.

    Args:
        value: The value.
        lang: The language to take where captions are in several.

    Raises:
        ValueError: It holds something else; the message says what.
    """
    if isinstance(value, str) and len(value) > _LONGEST_WORD and value[0].isalpha() and value[:6] != "array(":
        return [value]  # most captions
    return list(_captions(value, lang, 0))


def _captions(value: Any, lang: str, depth: int) -> Iterable[str]:
    if isinstance(value, str):
        if says_nothing(value):
            return []
        value = written_value(value)
    if isinstance(value, str):
        return [value]
    if is_missing(value):
        return []
    if depth == _MAX_DEPTH:
        raise ValueError("the caption is a list or object in too many others")
    if isinstance(value, (list, tuple, np.ndarray)):
        return [text for item in _of_language(value, lang) for text in _captions(item, lang, depth + 1)]
    if isinstance(value, Mapping):
        parts = _caption_parts(value, lang)
        return [text for part in parts for text in _captions(part, lang, depth + 1)]
    if isinstance(value, bytes):
        raise ValueError("the caption is bytes, not text")
    return [str(value)]


def _caption_parts(value: Mapping[str, Any], lang: str) -> list[Any]:
    """The values of an object that are captions."""
    for key in _CAPTION_KEYS:
        if key in value:
            return [value[key]]
    if parts := [part for key, part in value.items() if _is_language(key, lang)]:
        return parts
    if len(value) == 1 and re.fullmatch(r"[a-z]{2}([-_]\w+)?", str(next(iter(value)))):
        return list(value.values())  # the only language there is
    keys = first_names(value)
    raise ValueError(f"the caption is an object with the keys {keys}: none is raw, caption, text or {lang}")


def _of_language(items: Iterable[Any], lang: str) -> Iterable[Any]:
    """Of a list of objects that name their languages, those of one language; any other list as it is."""
    items = list(items)
    for key in ("lang", "language"):
        if all(isinstance(item, Mapping) and isinstance(item.get(key), str) for item in items):
            kept = [item for item in items if _is_language(item[key], lang)]
            if items and not kept and len({item[key] for item in items}) > 1:
                raise ValueError(f"the captions are in several languages, none of them {lang}")
            return kept or items
    return items


def _is_language(name: Any, lang: str) -> bool:
    return not LANGUAGES[lang].isdisjoint(re.split(r"[-_ .]", str(name).lower()))


def labels(value: Any) -> list[str]:
    """The class labels in a value, each once: a list holds many, as does ``A|B``; a missing value is none.

    Whole numbers lose the ``.0`` that they get in a column with missing values.

    Raises:
        ValueError: It is an object without a name, or a list of numbers that are no class numbers.
    """
    if isinstance(value, str):
        value = written_value(value)
    if isinstance(value, str):
        if "|" not in value:
            return [] if is_missing(value) else [value.strip()]
        value = value.split("|")
        return list(dict.fromkeys(part.strip() for part in value if not is_missing(part)))
    if is_missing(value):
        return []
    if isinstance(value, (list, tuple, np.ndarray)):
        found = [label for item in value for label in labels(item)]
        fraction = any(isinstance(item, float) and not (item.is_integer() or math.isnan(item)) for item in value)
        if fraction or (len(set(found)) < len(found) and not any(isinstance(item, (str, Mapping)) for item in value)):
            raise ValueError("the label is a list of numbers that are no class numbers")
        return list(dict.fromkeys(found))
    if isinstance(value, Mapping):
        for key in _LABEL_KEYS:
            if key in value:
                return labels(value[key])
        raise ValueError(f"the label is an object with the keys {first_names(value)}: none is label or name")
    return [str(int(value) if isinstance(value, float) and value.is_integer() else value)]


def image_name(value: Any) -> str | None:
    """The name of an image file in a value: a text, a number, ``{"path": ...}``, or a list of one of these.

    Raises:
        ValueError: There are several, or the value is the image itself.
    """
    if isinstance(value, str):
        if is_encoded_image(value):
            raise ValueError("it is the image itself, written as text (base64); write each image to a file and name it")
        if value.startswith(("<PIL.", "{'bytes':", '{"bytes":')):
            raise ValueError("it is what Python prints of an image; write each image to a file and name it")
        if value.startswith("{") and isinstance(named := written_value(value), Mapping):
            return image_name(named)
        return None if is_missing(value) else value.strip()
    if isinstance(value, list) and len(value) > 1:
        raise ValueError(f"it names {len(value)} images; a pair has one")
    if isinstance(value, list):
        return image_name(next(iter(value), None))
    if isinstance(value, Mapping):
        return image_name(next((value[key] for key in _FILE_KEYS if value.get(key)), None))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if type(value) is int else None


def is_encoded_image(value: str) -> bool:
    """Whether a text is an image itself, written as base64, and no path."""
    if value.startswith("data:image/"):
        return True
    if len(value) <= _SHORT or "." in value:
        return False
    return _BASE64.match(value) is not None or (value.startswith(_ENCODED) and " " not in value[:_SHORT])


def plain_id(value: Any) -> str:
    """A key as text, empty if missing; of an object with one value, as MongoDB's ``{"$oid": ...}``, that value."""
    if isinstance(value, Mapping) and len(value) == 1:
        return plain_id(next(iter(value.values())))
    return "" if is_missing(value) else str(value).strip()


def split_text(value: Any) -> str | None:
    """The name of a split in a value: a text, or a list of one.

    Raises:
        ValueError: There are several.
    """
    if isinstance(value, (list, tuple)):
        if len(value) > 1:
            raise ValueError(f"the split is a list of {len(value)} values ({first_names(value)}); a pair has one split")
        value = next(iter(value), None)
    if is_missing(value):
        return None
    if len(text := str(value)) > NAME:
        raise ValueError(f"the split has {len(text):,} characters, more than {NAME:,}")
    return text


def main_label(names: Sequence[str], more: dict[str, Value]) -> str | None:
    """The first of a pair's labels; where there are several, all of them go into the metadata as ``all_labels``."""
    if len(names) > 1:
        more[ALL_LABELS] = "|".join(names)
    return names[0] if names else None


def plain_values(record: Mapping[str, Any]) -> dict[str, Value]:
    """The metadata in a record: texts, numbers, booleans, and lists of numbers (a vector, a box).

    Other lists, objects, infinities and missing values are left out.

    Raises:
        ValueError: There are too many values, or one is too long.
    """
    if len(record) > COLUMNS:
        raise ValueError(f"it has {len(record):,} values, more than {COLUMNS:,}")
    plain: dict[str, Value] = {}
    for name, value in record.items():
        if isinstance(value, (str, list, tuple)) and len(value) > CELL:
            raise ValueError(f"the value of {str(name)[:80]} has a length of {len(value):,}, more than {CELL:,}")
        if isinstance(value, str):
            if value.strip() not in _MISSING:
                plain[str(name)] = value
        elif isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
            plain[str(name)] = value
        elif isinstance(value, (list, tuple)) and value and all(type(item) in (int, float) for item in value):
            with suppress(OverflowError), np.errstate(over="ignore"):
                # A list of Python's own numbers would need eight times the memory.
                plain[str(name)] = np.asarray(value, np.float32)
    return plain


def written_value(text: str) -> Any:
    """The list or object that a text writes by JSON, Python or numpy (``['a' 'b']``); any other text as it is.

    Lists of numbers stay text.

    Raises:
        ValueError: The text begins as such a list or object of texts but is damaged.
    """
    inner = text.strip()
    if inner[-1:] not in ("]", "}", ")"):
        return text
    if inner.startswith("array(["):
        inner = inner[6 : inner.rfind("]") + 1]
    if inner[:1] + inner[-1:] == "()":
        texts = _quoted_texts(inner) or []
        return texts if len(texts) > 1 else text
    if inner[:1] + inner[-1:] not in ("[]", "{}"):
        return text
    value: Any = None
    if len(inner) > CELL:
        raise ValueError(f"a list or object is written in {len(inner):,} characters, more than {CELL:,}")
    with suppress(ValueError):
        value = parse_json(inner)
    if value is None and inner[0] == "[":
        # Python would join two texts without a comma between them into one.
        value = _quoted_texts(inner)
    if value is None:
        with suppress(ValueError):
            value = python_value(inner)
    if isinstance(value, dict) or (
        isinstance(value, list) and all(item is None or isinstance(item, (str, dict)) for item in value)
    ):
        return value
    if value is None and inner[1:].lstrip()[:1] in ("'", '"'):
        raise ValueError("a cell is written as a list or an object but cannot be read as one")
    return text


def _quoted_texts(text: str) -> list[str] | None:
    """The quoted texts that a text in brackets consists of, if it consists of nothing else."""
    at, quoted = 1, list[str]()
    while match := _QUOTED.match(text, at):
        quoted.append(match[1])
        at = match.end()
    if not quoted or text[at:-1].strip(" ,\r\n\t"):
        return None
    return [python_text(each) for each in quoted]
