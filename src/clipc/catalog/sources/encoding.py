"""Detects the encoding of a text file, among those that spreadsheets write in Europe and Japan."""

import codecs
import unicodedata
from contextlib import suppress
from typing import NamedTuple

from clipc.errors import UserError, shortened

_BYTE_ORDER_MARKS = {
    "utf-8-sig": (codecs.BOM_UTF8,),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),  # first: the mark of UTF-32-LE starts with that of UTF-16-LE
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
_READABLE = {
    "utf-8-sig": "UTF-8 (with a byte order mark)",
    "cp932": "CP932 (Windows Japanese)",
    "gb18030": "GB18030 (Chinese)",
    "big5": "BIG5 (Chinese)",
    "cp949": "CP949 (Korean)",
}
_EAST_ASIAN = ("gb18030", "gbk", "big5", "big5hkscs", "cp949", "johab", "euc_jis_2004", "shift_jis_2004")
_FEW_CHARACTERS = 16
"""With fewer distinct characters beyond ASCII the East Asian encodings cannot be told apart."""
# These encodings are read as their supersets, since Windows writes the supersets under the standards' names.
_SUPERSETS = {"shift_jis": "cp932", "iso8859-1": "cp1252", "ascii": "utf-8"}
_MAX_DAMAGE = 0.1
"""The share of undecodable characters, among those beyond ASCII, from which an encoding is refused."""
_EXAMINED_BYTES = 4 << 20
"""The largest part of the data that is examined when it is not valid UTF-8."""


class Encoding(NamedTuple):
    """The name of an encoding in Python, and its error handler.

    The handler keeps every undecodable byte as a mark in the text: a lone surrogate, or U+FFFD in UTF-16 and UTF-32.
    """

    codec: str
    errors: str

    @property
    def readable(self) -> str:
        """The name of the encoding in notes and messages."""
        return _READABLE.get(self.codec, self.codec.upper())


def named_encoding(name: str) -> Encoding:
    """The encoding with a name that a user gave.

    Raises:
        UserError: Python has no text encoding of that name.
    """
    try:
        codec = codecs.lookup(name).name
        encoding = _encoding(_SUPERSETS.get(codec, codec))
        "".encode(codec)
        b"a,b\n".decode(encoding.codec, encoding.errors)  # Some can only be decoded whole and without errors: idna.
    except (LookupError, TypeError, ValueError, UnicodeError):
        known = "try utf-8, utf-16, cp932, euc_jp or cp1252"
        raise UserError(f"there is no encoding {shortened(name)!r} of text files; {known}.") from None
    return encoding


def mark_undecodable(text: str) -> str:
    """Replaces U+FFFD by a lone surrogate, so that the row check finds every undecodable byte."""
    return text.replace("\ufffd", "\udcff")


def detect_encoding(data: bytes, whole: bool = True) -> Encoding:
    """Detects UTF-8, UTF-16 (with or without a byte order mark), CP932, EUC-JP and, as the last resort, others.

    Chinese and Korean encodings are among the others.

    A few damaged bytes in UTF-8, CP932 or EUC-JP do not change the result, so that only the damaged rows are rejected
    and not the whole file.

    Args:
        data: The file's beginning; more bytes make the detection more certain.
        whole: Whether ``data`` is the whole file; if not, a last line that is cut off is not examined.

    Raises:
        UserError: No encoding fits.
    """
    for codec, marks in _BYTE_ORDER_MARKS.items():
        if data.startswith(marks):
            return _encoding(codec)
    if not whole:
        data = data[: max(data.rfind(b"\n"), 0)] or data
    if (codec := _utf16_without_mark(data)) is not None:
        return _encoding(codec)
    with suppress(UnicodeDecodeError):
        data.decode("utf-8")
        return _encoding("utf-8")
    data = data[:_EXAMINED_BYTES]
    if _damage(data, "utf-8") < _MAX_DAMAGE:
        return _encoding("utf-8")
    for codec in ("cp932", "euc_jp"):
        if _is_japanese(data, codec):
            return _encoding(codec)
    from charset_normalizer import from_bytes

    matches = from_bytes(data[: 1 << 18])
    best = matches.best()
    # A short text fits many one-byte encodings: prefer cp1252, the commonest, unless another fits better.
    common = next((match for match in matches if match.encoding == "cp1252"), None)
    if best is not None and common is not None and (common.chaos, -common.coherence) <= (best.chaos, -best.coherence):
        best = common
    if best is None:
        raise UserError("the encoding cannot be detected; name it with --encoding (utf-8, cp932, euc_jp, cp1252, ...).")
    if best.encoding in _EAST_ASIAN and len({c for c in str(best) if c > "\x7f"}) < _FEW_CHARACTERS:
        raise UserError(
            "the encoding cannot be told from so few characters; name it with --encoding: euc_jp, gb18030, big5, cp949."
        )
    return named_encoding(best.encoding)


def _encoding(codec: str) -> Encoding:
    # Python can keep undecodable bytes as surrogates only in encodings that are supersets of ASCII.
    return Encoding(codec, "replace" if codec.startswith(("utf-16", "utf-32")) else "surrogateescape")


def _utf16_without_mark(data: bytes) -> str | None:
    """Detects UTF-16 by its many zero bytes; other text has none, or few where it is damaged."""
    sample = data[: 1 << 16]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    # ASCII characters in UTF-16 have their zero bytes at odd positions only (LE) or at even positions only (BE).
    if even + odd < max(2, len(sample) // 200) or max(even, odd) < 4 * min(even, odd):
        return None
    # With fewer zero bytes than one in ten, valid UTF-8 with damaged parts is the likelier explanation.
    if even + odd < len(sample) // 10 and _damage(sample, "utf-8") < _MAX_DAMAGE:
        return None
    return "utf-16-le" if odd >= even else "utf-16-be"


def _damage(data: bytes, codec: str) -> float:
    """The share of characters beyond ASCII that cannot be decoded, in 0..1."""
    text = data.decode(codec, "surrogateescape")
    non_ascii = [c for c in text if c > "\x7f"] if not text.isascii() else []
    return sum("\udc80" <= c <= "\udcff" for c in non_ascii) / len(non_ascii) if non_ascii else 0.0


def _is_japanese(data: bytes, codec: str) -> bool:
    """Whether the bytes decode to Japanese text, and not to what is misread as kanji.

    Accented letters become isolated kanji. Chinese in GB2312 and Korean are valid EUC-JP, of kanji alone: there, kana
    must be among them.
    """
    if _damage(data, codec) >= _MAX_DAMAGE:
        return False
    text = data.decode(codec, "surrogateescape")
    non_ascii = [c for c in text if c > "\x7f"]
    kana = sum("\u3040" <= c <= "\u30ff" for c in non_ascii)
    half_width = sum("\uff61" <= c <= "\uff9f" for c in non_ascii)
    kanji = sum(unicodedata.name(c, "").startswith("CJK UNIFIED") for c in non_ascii[:10_000])
    # An accented letter and the letter after it are misread as one isolated kanji; real kanji come in runs.
    runs = sum(1 for before, c in zip(" " + text, text, strict=False) if c > "\x7f" >= before)
    wide = len(non_ascii) - half_width
    if codec == "euc_jp" and 10 * kana < wide:
        return False
    return wide > half_width and (kana > 0 or (kanji > 0 and len(non_ascii) / max(runs, 1) >= 1.5))
