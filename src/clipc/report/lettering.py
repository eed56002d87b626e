"""Text in figure files: fonts that have its characters, and a replacement where no font has them."""

from contextlib import suppress
from functools import cache
from pathlib import Path

from matplotlib.font_manager import FontProperties, findSystemFonts, fontManager, get_font

_DEFAULT_FONT = "DejaVu Sans"
_JAPANESE = (
    "Noto Sans CJK JP", "Noto Sans JP", "Source Han Sans JP", "IPAexGothic", "IPAGothic", "BIZ UDGothic",
    "Hiragino Sans", "Hiragino Kaku Gothic ProN", "Yu Gothic", "Meiryo", "MS Gothic", "TakaoGothic", "VL Gothic",
    "Droid Sans Fallback",
)  # fmt: skip
_SAMPLE_TEXT = "語彙ひらがなカタカナ。"


@cache
def font_families() -> tuple[str, ...]:
    """The font families of figure files: matplotlib's default, then a Japanese one if this machine has any."""
    japanese = _japanese_family()
    if japanese is None:
        _add_new_fonts()
        japanese = _japanese_family()
    return (_DEFAULT_FONT, japanese) if japanese else (_DEFAULT_FONT,)


def figure_language(lang: str) -> str:
    """The language of figure files: ``lang``, or English for Japanese on a machine without a Japanese font."""
    return "en" if lang == "ja" and len(font_families()) == 1 else lang


def displayable(text: str, fallback: str, *, max_length: int = 48) -> str:
    """A name on one line, cut to ``max_length`` characters; ``fallback`` where the fonts lack one of its characters."""
    line = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    if not line or any(ord(letter) not in _all_letters() for letter in line):
        return fallback
    return line if len(line) <= max_length else f"{line[: max_length - 1]}\N{HORIZONTAL ELLIPSIS}"


def _japanese_family() -> str | None:
    """The first installed family of :data:`_JAPANESE` that has all characters of :data:`_SAMPLE_TEXT`."""
    installed = {font.name for font in fontManager.ttflist}
    usable = (name for name in _JAPANESE if name in installed and set(map(ord, _SAMPLE_TEXT)) <= _letters(name))
    return next(usable, None)


def _add_new_fonts() -> None:
    """Adds Japanese fonts that were installed after matplotlib made its list of fonts, which it makes only once."""
    prefixes = {name.replace(" ", "").lower() for name in (*_JAPANESE, "Noto Sans CJK")}
    for file in findSystemFonts():
        name = Path(file).stem.replace("-", "").replace(" ", "").lower()
        if any(name.startswith(family) for family in prefixes):
            with suppress(OSError, RuntimeError):  # matplotlib cannot read the file.
                fontManager.addfont(file)


@cache
def _all_letters() -> frozenset[int]:
    return frozenset[int]().union(*map(_letters, font_families()))


@cache
def _letters(family: str) -> frozenset[int]:
    """The code points that a font family has."""
    path = fontManager.findfont(FontProperties(family=[family]))
    return frozenset(get_font(path).get_charmap())
