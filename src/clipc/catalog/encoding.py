"""Which encoding a text file is in: what spreadsheets write in Europe and Japan, told apart."""

import codecs
import unicodedata
from typing import NamedTuple

from clipc.errors import UserError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_READABLE = {"utf-8-sig": "UTF-8 (with a byte order mark)", "cp932": "CP932 (Windows Japanese)"}
# Windows writes more characters than the standard that gave these names has; CP932 reads both.
_WIDER = {"shift_jis": "cp932", "iso8859-1": "cp1252", "ascii": "utf-8"}
_MOST_BAD = 0.1
_JUDGED = 4 << 20


class Encoding(NamedTuple):
    """An encoding as Python names it, and the error handler that keeps undecodable bytes visible as lone surrogates."""

    codec: str
    errors: str

    @property
    def readable(self) -> str:
        """The name for a reader."""
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
    return _encoding(_WIDER.get(codec, codec))


def visible(text: str) -> str:
    """Text with damage marked in the one way that the check of rows looks for: U+FFFD becomes a lone surrogate."""
    return text.replace("\ufffd", "\udcff")


def detect_encoding(data: bytes, whole: bool = True) -> Encoding:
    """Tells UTF-8, UTF-16 (with or without a mark), CP932, EUC-JP and, as the last resort, others apart.

    A file is taken to be UTF-8 or CP932 also when a few of its bytes are damaged, so that the damage costs those rows
    and not the file.

    Args:
        data: The file's beginning; the more the surer.
        whole: Whether that is all of it.

    Raises:
        UserError: No encoding fits.
    """
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return _encoding(codec)
    if not whole:
        data = data[: max(data.rfind(b"\n"), 0)] or data
    if (codec := _utf16_without_mark(data)) is not None:
        return _encoding(codec)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        data = data[:_JUDGED]
        if _badness(data, "utf-8") < _MOST_BAD:
            return _encoding("utf-8")
    else:
        return _encoding("utf-8")
    if _is_japanese(data, "cp932"):
        return _encoding("cp932")
    if _is_japanese(data, "euc_jp"):
        return _encoding("euc_jp")
    from charset_normalizer import from_bytes

    matches = from_bytes(data[: 1 << 18])
    best = matches.best()
    # Short texts fit many of the one-byte encodings; of those the one that most people have is the likeliest.
    common = next((match for match in matches if match.encoding == "cp1252"), None)
    if best is not None and common is not None and (common.chaos, -common.coherence) <= (best.chaos, -best.coherence):
        best = common
    if best is None:
        raise UserError("its encoding cannot be told; name it with --encoding (utf-8, cp932, euc_jp, cp1252, ...).")
    return named_encoding(best.encoding)


def _encoding(codec: str) -> Encoding:
    # Only encodings in which ASCII is itself can hide bad bytes as surrogates; the others mark them with U+FFFD.
    return Encoding(codec, "replace" if codec.startswith(("utf-16", "utf-32")) else "surrogateescape")


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 has a zero byte in every ASCII character; other text has none, or a few by damage."""
    sample = data[: 1 << 16]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if even + odd < max(2, len(sample) // 200) or max(even, odd) < 4 * min(even, odd):
        return None
    if even + odd < len(sample) // 10 and _badness(sample, "utf-8") < _MOST_BAD:
        return None
    return "utf-16-le" if odd >= even else "utf-16-be"


def _badness(data: bytes, codec: str) -> float:
    """The share of characters beyond ASCII that cannot be decoded, in 0..1."""
    text = data.decode(codec, "surrogateescape")
    strange = [c for c in text if c > "\x7f"] if not text.isascii() else []
    return sum("\udc80" <= c <= "\udcff" for c in strange) / len(strange) if strange else 0.0


def _is_japanese(data: bytes, codec: str) -> bool:
    """Whether bytes read as this encoding look like Japanese rather than like accents misread as kanji."""
    if _badness(data, codec) >= _MOST_BAD:
        return False
    text = data.decode(codec, "surrogateescape")
    strange = [c for c in text if c > "\x7f"]
    kana = sum("\u3040" <= c <= "\u30ff" for c in strange)
    half_width = sum("\uff61" <= c <= "\uff9f" for c in strange)
    kanji = sum(unicodedata.name(c, "").startswith("CJK UNIFIED") for c in strange[:10_000])
    # An accent swallows the letter behind it and makes a single kanji; real kanji come in words.
    runs = sum(1 for before, c in zip(" " + text, text, strict=False) if c > "\x7f" >= before)
    wide = len(strange) - half_width
    return wide > half_width and (kana > 0 or (kanji > 0 and len(strange) / max(runs, 1) >= 1.5))
