"""What the texts beside images hold: captions one a line, a caption of several lines, or numbers (boxes)."""

import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from clipc.catalog.images.inspect_images import Place, Reader
from clipc.catalog.rows import SourceInfo
from clipc.catalog.sources.encoding import Encoding, detect_encoding, mark_undecodable, named_encoding
from clipc.errors import UserError, first_names

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_SEPARATORS = re.compile(r"[\s,;]+")
_SAMPLE = 1000
_MAX_TEXT = 1 << 20
_NARROWEST = 16
_END = (".", "!", "?", "。", "！", "？", "．")

BEGIN_OF_NUMBER = tuple("-+.0123456789")
"""The first characters of texts that may hold numbers, for a cheap test."""


class Texts:
    """The contents of the texts of one folder, which have one encoding and one form.

    Args:
        root: The folder that nothing is read outside of.
        prefix: The folder in it to which the texts' names are relative; empty or with ``/`` at the end.
        encoding: Their encoding; detected by default.
    """

    def __init__(self, root: Path, prefix: str, encoding: str | None) -> None:
        self._reader = Reader(root)
        self._root = root / prefix
        self._prefix = prefix
        self._coding = named_encoding(encoding) if encoding else None
        self._by_lines = False

    def are_numbers(self, files: Sequence[str]) -> bool:
        """Whether nine in ten of the first of these texts that are not empty hold numbers, as boxes do."""
        texts = [text for text in self._sample(files)[1] if text.strip()]
        return bool(texts) and 10 * sum(map(is_annotation, texts)) >= 9 * len(texts)

    def detect(self, files: Sequence[str], info: SourceInfo) -> None:
        """Detects the encoding, and whether each line is a caption, from the first of these texts."""
        self._coding, texts = self._sample(files)
        self._by_lines = lines_are_captions(texts)
        info.notes.append(f"captions read as {self._coding.readable}")
        if self._by_lines:
            info.notes.append("each line of a text is read as a caption of its own")
        elif any(len(text.split("\n", 2)) > 2 for text in texts):
            info.notes.append("the lines of a text are joined to one caption")

    def captions(self, file: str) -> list[str]:
        """The captions in a text.

        Raises:
            ValueError: It cannot be read, or holds numbers.
        """
        coding = self._coding or Encoding("utf-8", "surrogateescape")
        text = mark_undecodable(self.read(file).decode(coding.codec, coding.errors).lstrip("\ufeff"))
        if text[:1] in BEGIN_OF_NUMBER and is_annotation(text):
            raise ValueError("the file holds numbers, as boxes are written, and no words")
        return [line for line in text.splitlines() if line.strip()] or [text] if self._by_lines else [text]

    def read(self, file: str) -> bytes:
        """The content of one text.

        Raises:
            ValueError: It cannot be read.
        """
        return self._reader.read(Place(self._prefix + file, 0, -1), max_bytes=_MAX_TEXT)[0]

    def _sample(self, files: Sequence[str]) -> tuple[Encoding, list[str]]:
        pieces: list[bytes] = []
        for file in files[:_SAMPLE]:
            with suppress(ValueError):
                pieces.append(self.read(file))
        marked = next((piece for piece in pieces if piece[:2] in (b"\xff\xfe", b"\xfe\xff")), None)
        try:
            coding = self._coding or detect_encoding(marked or b"\n".join(pieces))
        except UserError as error:
            raise UserError(f"{first_names(files, 1)} in {self._root}: {error}") from None
        return coding, [piece.decode(coding.codec, coding.errors).lstrip("\ufeff") for piece in pieces]


def is_annotation(text: str) -> bool:
    """Whether a text holds numbers rather than words.

    Most of its lines are numbers alone (a class number; ``class x y w h`` and polygons of YOLO), or four and more
    numbers that make up two thirds of the line (KITTI, DOTA, ICDAR).
    """
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    return bool(lines) and 2 * sum(map(_is_numbers, lines)) > len(lines)


def _is_numbers(line: str) -> bool:
    words = _SEPARATORS.split(line.strip(" \t,;\ufeff"))
    numbers = sum(_NUMBER.fullmatch(word) is not None for word in words)
    return numbers == len(words) or (numbers >= 4 and 3 * numbers >= 2 * len(words))


def lines_are_captions(texts: Sequence[str]) -> bool:
    """Whether each line of these texts is a caption of its own.

    That is so where at least a third of the texts have several lines, no empty line divides them into paragraphs, and
    the lines do not look like one text that was wrapped. Texts look wrapped if

    - half of the line breaks are within a sentence: only the last line ends with a full stop, or the first line begins
      in upper case and the next in lower case; or
    - four in five lines, apart from last ones, which are shorter, are full: the next word would not have fitted.
    """
    several = [lines for text in texts if len(lines := text.strip().splitlines()) > 1]
    if not several or 3 * len(several) < sum(bool(text.strip()) for text in texts):
        return False
    if 2 * sum(any(not line.strip() for line in lines) for lines in several) > len(several):
        return False
    several = [[line.strip() for line in lines if line.strip()] for lines in several]
    breaks = sum(len(lines) - 1 for lines in several)
    return 2 * sum(map(_continuations, several)) < breaks and 5 * _full_lines(several) < 4 * breaks


def _continuations(lines: Sequence[str]) -> int:
    """The number of line breaks within a sentence."""
    if lines[-1].endswith(_END) and not any(line.endswith(_END) for line in lines[:-1]):
        return len(lines) - 1
    return sum(line[0].islower() for line in lines[1:]) if lines[0][0].isupper() else 0


def _full_lines(several: Sequence[Sequence[str]]) -> int:
    """The number of lines that have no room for the next word; 0 if last lines are no shorter than others."""
    others = [len(line) for lines in several for line in lines[:-1]]
    width = max(others)
    last = sum(len(lines[-1]) for lines in several) / len(several)
    if width < _NARROWEST or last > 0.85 * sum(others) / len(others):
        return 0
    # Texts in scripts without spaces are wrapped at any character.
    return sum(
        len(line) + (1 + len(after.split(None, 1)[0]) if after.isascii() else 1) > width
        for lines in several
        for line, after in pairwise(lines)
    )
