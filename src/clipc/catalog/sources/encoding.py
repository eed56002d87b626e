"""Detection of a text file's encoding, among those that spreadsheets write in Europe and Japan."""

import codecs
import unicodedata
from contextlib import suppress
from typing import NamedTuple

from clipc.errors import UserError

_BYTE_ORDER_MARKS = {
    "utf-8-sig": (codecs.BOM_UTF8,),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),  # before UTF-16, whose mark begins that of UTF-32
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
_READABLE = {"utf-8-sig": "UTF-8 (with a byte order mark)", "cp932": "CP932 (Windows Japanese)"}
# The Windows code pages are supersets of these standards, and what Windows writes under their names.
_SUPERSETS = {"shift_jis": "cp932", "iso8859-1": "cp1252", "ascii": "utf-8"}
_MAX_DAMAGE = 0.1
_EXAMINED = 4 << 20


class Encoding(NamedTuple):
    """An encoding as Python names it, and the error handler that keeps undecodable bytes visible as lone surrogates."""

    codec: str
    errors: str

    @property
    def readable(self) -> str:
        """The name for notes and messages."""
        return _READABLE.get(self.codec, self.codec.upper())


def named_encoding(name: str) -> Encoding:
    """The encoding that a user named.

    Raises:
        UserError: There is no such text encoding.
    """
    try:
        codec = codecs.lookup(name).name
        "".encode(codec)
    except (LookupError, TypeError, ValueError, UnicodeError):
        raise UserError(f"there is no encoding {name!r}; try utf-8, utf-16, cp932, euc_jp or cp1252.") from None
    return _encoding(_SUPERSETS.get(codec, codec))


def visible(text: str) -> str:
    """Text whose undecodable bytes are all lone surrogates, which the check of rows detects: U+FFFD becomes one."""
    return text.replace("\ufffd", "\udcff")


def detect_encoding(data: bytes, whole: bool = True) -> Encoding:
    """Detects UTF-8, UTF-16 (with or without a byte order mark), CP932, EUC-JP and, as the last resort, others.

    A few damaged bytes do not change the result for UTF-8 and CP932, so that only the damaged rows are rejected and
    not the file.

    Args:
        data: The file's beginning; more bytes make the detection more certain.
        whole: Whether that is the whole file.

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
    data = data[:_EXAMINED]
    if _damage(data, "utf-8") < _MAX_DAMAGE:
        return _encoding("utf-8")
    for codec in ("cp932", "euc_jp"):
        if _is_japanese(data, codec):
            return _encoding(codec)
    from charset_normalizer import from_bytes

    matches = from_bytes(data[: 1 << 18])
    best = matches.best()
    # Short texts fit many of the one-byte encodings; of those the most frequent is the most likely.
    common = next((match for match in matches if match.encoding == "cp1252"), None)
    if best is not None and common is not None and (common.chaos, -common.coherence) <= (best.chaos, -best.coherence):
        best = common
    if best is None:
        raise UserError("its encoding cannot be detected; name it with --encoding (utf-8, cp932, euc_jp, cp1252, ...).")
    return named_encoding(best.encoding)


def _encoding(codec: str) -> Encoding:
    # Only supersets of ASCII can keep bad bytes as surrogates; the others replace them with U+FFFD.
    return Encoding(codec, "replace" if codec.startswith(("utf-16", "utf-32")) else "surrogateescape")


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 if it has the zero bytes of ASCII characters; other text has none, or a few by damage."""
    sample = data[: 1 << 16]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if even + odd < max(2, len(sample) // 200) or max(even, odd) < 4 * min(even, odd):
        return None
    if even + odd < len(sample) // 10 and _damage(sample, "utf-8") < _MAX_DAMAGE:
        return None
    return "utf-16-le" if odd >= even else "utf-16-be"


def _damage(data: bytes, codec: str) -> float:
    """The share of characters beyond ASCII that cannot be decoded, in 0..1."""
    text = data.decode(codec, "surrogateescape")
    non_ascii = [c for c in text if c > "\x7f"] if not text.isascii() else []
    return sum("\udc80" <= c <= "\udcff" for c in non_ascii) / len(non_ascii) if non_ascii else 0.0


def _is_japanese(data: bytes, codec: str) -> bool:
    """Whether bytes decode to Japanese rather than to accented letters misread as kanji."""
    if _damage(data, codec) >= _MAX_DAMAGE:
        return False
    text = data.decode(codec, "surrogateescape")
    non_ascii = [c for c in text if c > "\x7f"]
    kana = sum("\u3040" <= c <= "\u30ff" for c in non_ascii)
    half_width = sum("\uff61" <= c <= "\uff9f" for c in non_ascii)
    kanji = sum(unicodedata.name(c, "").startswith("CJK UNIFIED") for c in non_ascii[:10_000])
    # An accented letter and the letter after it are misread as one single kanji; real kanji come in words.
    runs = sum(1 for before, c in zip(" " + text, text, strict=False) if c > "\x7f" >= before)
    wide = len(non_ascii) - half_width
    return wide > half_width and (kana > 0 or (kanji > 0 and len(non_ascii) / max(runs, 1) >= 1.5))
