"""Splits captions in any script into words, and makes patterns that match whole words.

Text in Latin and other spaced scripts is cut at every character that is neither a letter nor a digit, so
``clean-room`` is the two words ``clean room``. Japanese has no spaces, so runs of kana and kanji are cut into
Sudachi's shortest units (mode A): 左右 is one word and contains neither 左 nor 右, and 無傷 and 損傷 do not contain
傷. But 非無菌 is 非 + 無菌 and contains 無菌, just as ``non-sterile`` contains ``sterile``. A rule can distinguish
them: ``word(caption, '無菌') and not word(caption, '非無菌')``.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clipc.errors import UserError
from clipc.installation import install_command

if TYPE_CHECKING:
    import pyarrow as pa

_JAPANESE: Final = (
    "\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
_RUN: Final = re.compile(f"([{_JAPANESE}]+)|[^\\W_{_JAPANESE}]+")
_MAX_RUN_LENGTH: Final = 4096
"""The largest number of characters that are analysed at a time: Sudachi refuses more than 49,149 bytes."""

_ASCII: Final = np.array([i if chr(i).isalnum() and i < 128 else 32 for i in range(256)], dtype=np.uint8)
_ASCII[65:91] += 32
"""For each ASCII code that of its letter in lower case or its digit, else that of a space."""


def tokens(text: str) -> str:
    """The words of a text in lower case and NFKC form, with one space before, between and after them.

    Returns:
        A text such as ``" right lower lobe "``; a single space if there are no words.

    Raises:
        UserError: The text has kana or kanji, and SudachiPy is not installed.
    """
    words: list[str] = []
    for run in _RUN.finditer(unicodedata.normalize("NFKC", text).lower()):
        words += _morphemes(run[0]) if run[1] else (run[0],)
    return f" {' '.join(words)} " if words else " "


def is_searchable(text: str) -> bool:
    """Whether :func:`tokens` can find the words of a text here: it has no kana or kanji, or SudachiPy is installed."""
    try:
        tokens(text)
    except UserError:
        return False
    return True


def pattern(terms: Sequence[str]) -> str:
    """An RE2 pattern that finds any of the terms as whole words in the result of :func:`tokens`.

    Args:
        terms: Each term is a word, or several words that must follow each other. A ``*`` at the end of a term stands
            for any ending of its last word: ``右*`` finds 右肺 but not 左右.

    Raises:
        UserError: There are no terms, or a term has no word, or has a ``*`` before its end.
    """
    alternatives: list[str] = []
    for term in terms:
        stem = unicodedata.normalize("NFKC", term).strip()
        is_prefix = stem.endswith("*")
        stem = stem.removesuffix("*")
        words = _words_of_term(stem)
        if not words or "*" in stem:
            raise UserError(f"`word` looks for words such as 'right', 'clean room' or 'right*', not for {term!r}.")
        # Words consist of letters and digits, so nothing in them needs escaping.
        alternatives.append(words + "[^ ]*" if is_prefix else words)
    if not alternatives:
        raise UserError("`word` takes a text and at least one word to look for, as in word(caption, 'left', 'right').")
    return f" {alternatives[0]} " if len(alternatives) == 1 else f" (?:{'|'.join(alternatives)}) "


def _words_of_term(stem: str) -> str:
    """The words of a term, joined by spaces.

    Without SudachiPy a Japanese run counts as one word; a Japanese text then cannot be searched anyway.
    """
    try:
        return tokens(stem).strip()
    except UserError:
        return " ".join(run[0] for run in _RUN.finditer(stem.lower()))


def tokens_of(texts: "pa.Array | pa.ChunkedArray") -> "pa.Array":
    """The result of :func:`tokens` for each text of a column; nulls stay null.

    ASCII texts are handled by a few vectorised passes over their bytes, without SudachiPy.
    """
    import pyarrow as pa
    import pyarrow.compute

    kernels: Any = pyarrow.compute  # made at run time, which type checkers cannot see
    column: Any = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    edge, nothing = pa.scalar(" ", pa.large_string()), pa.scalar("", pa.large_string())
    padded = kernels.binary_join_element_wise(edge, column.cast(pa.large_string()), edge, nothing)
    _, offsets_buffer, data_buffer = padded.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64, len(padded) + 1, padded.offset * 8)
    data = np.frombuffer(data_buffer or b"", np.uint8)[: offsets[-1]]
    folded = _ASCII[data]
    space = folded == 32
    drop = np.zeros(len(data) + 1, dtype=bool)  # spaces that follow another space ...
    drop[1:-1] = space[1:] & space[:-1]
    drop[offsets] = False  # ... unless they begin a text
    before = np.concatenate([[0], np.cumsum(~drop[:-1])])
    plain = pa.LargeStringArray.from_buffers(
        len(padded), pa.py_buffer(before[offsets].astype(np.int64)), pa.py_buffer(folded[~drop[:-1]])
    )
    result = kernels.if_else(column.is_valid(), plain, pa.scalar(None, pa.large_string()))
    if len(data) and data.max() >= 128:
        wide = np.concatenate([[0], np.cumsum(data >= 128)])[offsets]
        mask = pa.array(wide[1:] > wide[:-1])
        distinct = column.filter(mask).dictionary_encode()
        words = pa.array([_cached_tokens(text) for text in distinct.dictionary.to_pylist()], pa.large_string())
        result = kernels.replace_with_mask(result, mask, words.take(distinct.indices))
    return result.cast(pa.string())


_cached_tokens = lru_cache(maxsize=1 << 17)(tokens)


def _morphemes(run: str) -> list[str]:
    analyse = _analyser()
    pieces = [run[i : i + _MAX_RUN_LENGTH] for i in range(0, len(run), _MAX_RUN_LENGTH)]
    return [morpheme.surface() for piece in pieces for morpheme in analyse(piece)]


@cache
def _analyser() -> Any:
    """Sudachi's function from a text to its shortest units."""
    try:
        from sudachipy import Dictionary, SplitMode
    except ImportError:
        raise UserError(f"finding words in Japanese text needs SudachiPy: {install_command('ja')}") from None
    dictionary: Any = Dictionary()
    make = dictionary.tokenizer if hasattr(dictionary, "tokenizer") else dictionary.create
    return make(mode=SplitMode.A).tokenize
