"""What is wrong with one caption, found by patterns."""

import re
from typing import Final

from clipc.catalog.rows import IMAGE_SUFFIXES
from clipc.compose.captions.language import japanese

_MISSING: Final = frozenset(
    (
        *("nan", "none", "null", "nil", "n/a", "na", "n.a", "undefined", "unknown", "untitled", "todo", "tbd"),
        *("no caption", "no description", "missing", "empty", "なし", "無し", "不明", "未入力", "未定", "空欄"),
    )
)
_SUFFIXES: Final = "|".join(re.escape(suffix) for suffix in IMAGE_SUFFIXES)
_FILE: Final = re.compile(rf"[\w\-/\\]+(?:{_SUFFIXES})(?![\w.])", re.IGNORECASE)
_MARKUP: Final = re.compile(r"</?[A-Za-z][^<>]*>|&(?:amp|lt|gt|quot|nbsp|#\d+);|https?://|www\.|\\u[0-9a-fA-F]{4}")
_DAMAGE: Final = re.compile(r"\ufffd|Ã[\x80-\xbf©¨¤¶¼]|â€|Â[\xa0-\xbf]|[縺繧繝].*[縺繧繝]|ï¼|ã[\x80-\xbf]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_ENGLISH_WORD: Final = re.compile(r"[A-Za-z]{2,}")
_ENGLISH_SENTENCE: Final = 4
"""So many English words in a Japanese caption are a sentence of its own, and no product's name."""
_SHORT_JAPANESE: Final = 2
_MIXED_OTHER: Final = re.compile(r"[\u0400-\u04ff\u0600-\u06ff\u0590-\u05ff\uac00-\ud7a3\u0e00-\u0e7f\u0900-\u097f]")

KINDS: Final = ("missing", "numbers", "file-name", "markup", "damaged", "short")
"""The kinds of bad captions, in the order in which they are looked for."""


def caption_kind(text: str) -> str | None:
    """What is wrong with a caption; None where nothing is.

    - ``missing``: a word for a missing value, such as ``nan``, ``None`` or 不明.
    - ``numbers``: no letter at all, as in the boxes of YOLO (``0 0.51 0.42 0.1 0.2``).
    - ``file-name``: the name of an image file, as where columns were mixed up.
    - ``markup``: HTML, entities, or a web address.
    - ``damaged``: text that was read in a wrong encoding.
    - ``short``: one word of a language with spaces, or at most two Japanese characters.
    """
    plain = text.strip().strip("\"'").lower()
    if plain.rstrip(".!。") in _MISSING:
        return "missing"
    if not _LETTER.search(text):
        return "numbers"
    if "." in text and _FILE.search(text):
        return "file-name"
    if _MARKUP.search(text):
        return "markup"
    if not text.isascii() and _DAMAGE.search(text):
        return "damaged"
    if japanese(text):
        return "short" if len(plain) <= _SHORT_JAPANESE else None
    return "short" if len(plain.split()) == 1 else None


def caption_language(text: str) -> str:
    """The language of a caption as far as its letters show it.

    Returns:
        ``ja``, ``latin``, ``mixed`` (Japanese with a sentence in English), or ``other``.
    """
    if text.isascii():
        return "latin"
    if japanese(text):
        return "mixed" if len(_ENGLISH_WORD.findall(text)) >= _ENGLISH_SENTENCE else "ja"
    return "other" if _MIXED_OTHER.search(text) else "latin"


def bare(text: str) -> str:
    """A caption without case, punctuation and repeated spaces: two with equal bare texts say the same word for word."""
    return " ".join(re.findall(r"\w+", text.casefold()))
