"""Text in figure files: fonts that hold its letters, and what stands in where none does."""

from contextlib import suppress
from functools import cache
from pathlib import Path

from matplotlib.font_manager import FontProperties, findSystemFonts, fontManager, get_font

_PLAIN = "DejaVu Sans"
_JAPANESE = (
    "Noto Sans CJK JP", "Noto Sans JP", "Source Han Sans JP", "IPAexGothic", "IPAGothic", "BIZ UDGothic",
    "Hiragino Sans", "Hiragino Kaku Gothic ProN", "Yu Gothic", "Meiryo", "MS Gothic", "TakaoGothic", "VL Gothic",
    "Droid Sans Fallback",
)  # fmt: skip
_SAMPLE_TEXT = "語彙ひらがなカタカナ。"


@cache
def font_families() -> tuple[str, ...]:
    """Font families for figure files: matplotlib's own, and after it a Japanese one where this machine has one."""
    japanese = _japanese()
    if japanese is None:
        _add_new_fonts()
        japanese = _japanese()
    return (_PLAIN, japanese) if japanese else (_PLAIN,)


def figure_language(lang: str) -> str:
    """The language that figure files can be written in: ``lang``, or English where no font holds its letters."""
    return "en" if lang == "ja" and len(font_families()) == 1 else lang


def displayable(text: str, fallback: str, *, max_length: int = 48) -> str:
    """A name on one line of at most ``max_length`` characters; ``fallback`` where the fonts lack one of its letters."""
    line = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    if not line or any(ord(letter) not in _all_letters() for letter in line):
        return fallback
    return line if len(line) <= max_length else f"{line[: max_length - 1]}\N{HORIZONTAL ELLIPSIS}"


def _japanese() -> str | None:
    installed = {font.name for font in fontManager.ttflist}
    usable = (name for name in _JAPANESE if name in installed and set(map(ord, _SAMPLE_TEXT)) <= _letters(name))
    return next(usable, None)


def _add_new_fonts() -> None:
    """Adds what was installed after matplotlib listed the machine's fonts, which it does once."""
    prefixes = {name.replace(" ", "").lower() for name in (*_JAPANESE, "Noto Sans CJK")}
    for file in findSystemFonts():
        name = Path(file).stem.replace("-", "").replace(" ", "").lower()
        if any(name.startswith(family) for family in prefixes):
            with suppress(OSError, RuntimeError):  # What matplotlib cannot read is no font for it.
                fontManager.addfont(file)


@cache
def _all_letters() -> frozenset[int]:
    return frozenset[int]().union(*map(_letters, font_families()))


@cache
def _letters(family: str) -> frozenset[int]:
    """The code points that a family holds."""
    path = fontManager.findfont(FontProperties(family=[family]))
    return frozenset(get_font(path).get_charmap())
