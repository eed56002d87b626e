"""The terminal's language: a finished English line is translated where it is printed.

Messages are written in English where they arise. ``translations/ja.yaml`` holds them as templates, with ``{}`` for each
hole, and the same in Japanese with ``{0}``, ``{1}`` for the holes in any order. Holes hold other messages, which are
translated in turn, or names, which are not. A line that no template matches stays as it is.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import accumulate, pairwise

VARIABLE = "CLIPC_LANG"
"""The environment variable of the terminal's language, which worker processes inherit."""
LANGUAGES = ("en", "ja")
"""The languages that a terminal may have."""

_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
_FEW_LETTERS = 7
"""A template with fewer letters would match by chance, so its holes must be numbers, as in ``25 min``."""
_MOST_CHARACTERS = 30_000
"""So many characters of a line and its parts are looked up, so that no line takes long."""
_SHORT = 100
_MOST_JOINTS = 6
_JOINTS = (
    (". ", "。", False),
    (": ", "：", False),
    ("; ", "。", False),
    (" and ", "と", True),
    (", ", "、", True),
)
"""What joins two messages, the same in Japanese, and whether both must be known."""
_PARTICLES = ("は", "が", "を", "の ", "に", "で、")
_ENDS = (" ", ",", ";", ":")
_QUOTES = ("'", '"', "`")
_HOLE = re.compile(r"\{(\d+)(!?)\}")
_NAME = re.compile(r"(\S+): (?P<said>.+)")
_ROW = re.compile(r"(.+?), (?:line|row) (?P<row>[\d,]+): (?P<said>.+)")


def terminal_language() -> str:
    """The language of the terminal, as :data:`VARIABLE` says; English where it says nothing."""
    return "ja" if os.environ.get(VARIABLE) == "ja" else "en"


def wanted_language(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The language that a user asks for: by ``--lang``, by :data:`VARIABLE`, by the locale; else English.

    Args:
        arguments: The words of the command.
        environment: The environment variables.
    """
    given = [value for option, value in pairwise(arguments) if option == "--lang"]
    given += [word.removeprefix("--lang=") for word in arguments if word.startswith("--lang=")]
    for name in (*given, environment.get(VARIABLE)):
        if name in LANGUAGES:
            return name
    locale = next((value for name in _LOCALE if (value := environment.get(name))), "")
    return "ja" if locale.startswith("ja") else "en"


def translate(line: str) -> str:
    """A line in the terminal's language, or as it is if nothing is known of it."""
    if terminal_language() == "en":
        return line
    text = line.strip()
    if not text:
        return line
    start = line.index(text)
    told = _Lookup(_templates("ja")).message(text)
    return line if told is None else f"{line[:start]}{_alone(told)}{line[start + len(text) :]}"


@cache
def catalogue(lang: str) -> Mapping[str, str]:
    """The translations of a language by their English templates, as its file holds them."""
    from ruamel.yaml import YAML

    text = files("clipc").joinpath("translations", f"{lang}.yaml").read_text(encoding="utf-8")
    sections: Mapping[str, Mapping[str, str]] = YAML(typ="safe").load(text)
    return {source: target for section in sections.values() for source, target in section.items()}


@dataclass(frozen=True)
class _Hole:
    """The place of a hole's text in a translation; a single word is translated only where it ``is_word``."""

    number: int
    is_word: bool


@dataclass(frozen=True)
class _Template:
    """A message with holes, without the full stop at the end, and its translation."""

    pieces: tuple[str, ...]
    target: tuple[str | _Hole, ...]
    longest: str
    letters: int

    @classmethod
    def of(cls, source: str, target: str) -> "_Template":
        parts = _HOLE.split(target)
        filled: list[str | _Hole] = [parts[0]]
        for number, word, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            filled += [_Hole(int(number), bool(word)), text]
        pieces = tuple(_stem(source).split("{}"))
        letters = sum(letter.isalpha() for letter in "".join(pieces))
        return cls(pieces, tuple(filled), max(pieces, key=len), letters)

    def holes(self, text: str) -> list[str] | None:
        """What fills the holes so that the template is the text, each as short as it can be; None if nothing does."""
        first, *middle, last = self.pieces
        if self.longest not in text or not text.startswith(first) or not text.endswith(last):
            return None
        found, place, end, without = list[str](), len(first), len(text) - len(last), 0
        for piece in middle:
            if not piece:  # Of two holes without text between them the first one takes all.
                without += 1
                continue
            at = text.find(" '", place, end) if piece == " " else -1  # A quoted name follows a kind of name.
            if at < 0 and (at := text.find(piece, place, end)) < 0:
                return None
            found += [text[place:at], *[""] * without]
            place, without = at + len(piece), 0
        if place > end:
            return None
        found += [text[place:end], *[""] * without]
        if not first and found[0].endswith(":"):  # What comes before a colon is said of nothing after it.
            return None
        if not all(map(_is_whole, found)):
            return None
        if self.letters < _FEW_LETTERS:
            numbers = all(hole.strip()[:1].isdecimal() for hole in found) and not any(
                " " in hole for hole in found[:-1]
            )
            return found if numbers else None
        return found


@dataclass(frozen=True)
class _Templates:
    """Messages without holes by their text, and those with holes, the most specific first."""

    plain: Mapping[str, str]
    filled: Sequence[_Template]


@cache
def _templates(lang: str) -> _Templates:
    pairs = {
        source.replace("\n", " "): target if _stem(source) == source else target.removesuffix("。")
        for source, target in catalogue(lang).items()
    }
    # What is said of something, such as "is empty" or ", 3 of them", follows it; "resumes after " comes before it.
    for source, target in tuple(pairs.items()):
        between = "" if source.startswith(_ENDS) else " "
        if between == "" or (target.startswith(_PARTICLES) and not source.startswith("{}")):
            moved = _HOLE.sub(lambda hole: f"{{{int(hole[1]) + 1}{hole[2]}}}", target)
            pairs.setdefault(f"{{}}{between}{source}", f"{{0}}{between}{moved}")
        if source.endswith(" "):
            pairs.setdefault(f"{source}{{}}", f"{target}{{{source.count('{}')}}}")
    plain = {_stem(source): target for source, target in pairs.items()}
    templates = [_Template.of(source, target) for source, target in pairs.items() if "{}" in source]
    return _Templates(plain, sorted(templates, key=lambda one: -sum(map(len, one.pieces))))


def _is_whole(hole: str) -> bool:
    """Whether brackets are closed after they are opened: else it holds the end of one message and more."""
    depths = list(accumulate((character == "(") - (character == ")") for character in hole))
    return not depths or (min(depths) >= 0 and depths[-1] == 0)


def _stem(text: str) -> str:
    """A message without its full stop; three of them stay."""
    return text if text.endswith("...") else text.removesuffix(".")


def _alone(told: str) -> str:
    """A translation that stands alone, without the particle by which it would follow a name."""
    return told[1:].lstrip() if told.startswith(_PARTICLES) else told


@dataclass
class _Lookup:
    """The translation of one line, part by part."""

    known: _Templates
    left: int = field(default=_MOST_CHARACTERS)

    def message(self, text: str) -> str | None:
        """A message of one template, said of a place or not, or of several with a full stop between them."""
        return (
            self._at_place(text, _ROW, self._template)
            or self._template(text)
            or self._at_place(text, _ROW, self.message)
            or self._at_place(text, _NAME, self.message)
            or self._joined(text)
        )

    def _at_place(self, text: str, places: re.Pattern[str], told: Callable[[str], str | None]) -> str | None:
        """What is said of a file, of one of its rows, or of a key."""
        place = places.fullmatch(text)
        if place is None or (said := told(place["said"])) is None:
            return None
        name = f"{place[1]}、{place['row']}行目" if places is _ROW else place[1]
        return f"{name} {said}" if said.startswith(_PARTICLES) else f"{name}：{said}"

    def _template(self, text: str) -> str | None:
        body = _stem(text)
        end = "。" if len(body) < len(text) else ""
        if (plain := self.known.plain.get(body)) is not None:
            return plain + end
        if self.left <= 0 or " " not in body:
            return None
        self.left -= max(len(body), _SHORT)
        for template in self.known.filled:
            if (holes := template.holes(body)) is not None:
                return self._with_rest(template, holes) + end
        return None

    def _with_rest(self, template: _Template, holes: list[str]) -> str:
        """The translation of a template; its last hole may hold a sentence that follows."""
        at = holes[-1].find(". ") if not template.pieces[-1] else -1
        rest = self._template(holes[-1][at + 2 :]) if at >= 0 else None
        if rest is not None:
            return f"{self._filled(template, [*holes[:-1], holes[-1][:at]])}。{rest}"
        return self._filled(template, holes)

    def _filled(self, template: _Template, holes: Sequence[str]) -> str:
        told, is_told = "", False
        for part in template.target:
            if isinstance(part, str):  # A space separates names from Japanese words, not these from each other.
                told += part.lstrip() if is_told and not told[-1:].isascii() and not part[1:2].isascii() else part
                continue
            text = self._hole(holes[part.number], part.is_word)
            is_told = text != holes[part.number]
            if not text.startswith(_PARTICLES):
                told += text
            elif told.endswith(" "):  # It follows a name.
                told = told.rstrip() + (text if told.rstrip().endswith("」") else f" {text}")
            else:
                told += _alone(text)
        return told.replace(" （", "（").replace("） ", "）")

    def _hole(self, text: str, is_word: bool = False) -> str:
        inner = text.strip()
        is_quoted = inner[:1] in _QUOTES and inner.endswith(inner[0])
        is_name = is_quoted or (" " not in inner and not is_word)
        if not inner or is_name:
            return text
        told = self.message(text) if text[0] == " " else None
        told = self.message(inner) if told is None else told
        return text if told is None else told

    def _joined(self, text: str) -> str | None:
        """Messages with something between them; where both are known, or else where one is."""
        partly: str | None = None
        for joint, joint_there, needs_both in _JOINTS:
            at = -1
            for _ in range(_MOST_JOINTS):
                if self.left <= 0 or (at := text.find(joint, at + 1)) < 0:
                    break
                before, after = text[:at], text[at + len(joint) :]
                told = self.message(before) if " " in before else None
                rest = self.message(after) if " " in after and not (needs_both and told is None) else None
                if told and rest:
                    return f"{told}{joint_there}{_alone(rest)}"
                if (told or rest) and not needs_both and partly is None:
                    partly = f"{told or before}{joint_there}{_alone(rest or after)}"
        return partly or (self._with_remark(text) if text.endswith(")") else None)

    def _with_remark(self, text: str) -> str | None:
        """A message that ends in brackets."""
        before, _, remark = text[:-1].rpartition(" (")
        told = self._template(before)
        rest = self._template(remark)
        if told is None and rest is None:
            return None
        return f"{before if told is None else told}（{remark if rest is None else _alone(rest)}）"
