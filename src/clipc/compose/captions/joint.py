"""How two captions become one."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from clipc.compose.captions.language import japanese, noun_phrase, without_stop
from clipc.compose.layouts.tiles import BOX, LEFT_RIGHT, OVERLAY, TOP_BOTTOM

Strategy = Literal["join", "spatial", "both-orders", "one", "first", "second"]

CONJUNCTION: Final = " and "
"""The paper's joiner."""

_SPATIAL: Final = {
    LEFT_RIGHT: ("{a} on the left and {b} on the right", "left half: {a}; right half: {b}"),
    TOP_BOTTOM: ("{a} at the top and {b} at the bottom", "top half: {a}; bottom half: {b}"),
    BOX: ("{a} with an inset of {b}", "{a}; inset: {b}"),
    OVERLAY: ("{a} overlaid with {b}", "{a}; overlaid: {b}"),
}
"""For each layout: the phrase, and its form for captions that the phrase would garble."""

_SPATIAL_JAPANESE: Final = {
    LEFT_RIGHT: ("左に{a}、右に{b}", "左：{a}。右：{b}"),
    TOP_BOTTOM: ("上に{a}、下に{b}", "上：{a}。下：{b}"),
    BOX: ("{a}、枠の中に{b}", "{a}。枠の中：{b}"),
    OVERLAY: ("{a}に{b}を重ねた画像", "{a}。重ねた画像：{b}"),
}

_NAMES_A_PLACE: Final = re.compile(
    r"\b(left|right|top|bottom|upper|lower|above|below|beneath|inset)(most|wards?|hand|side)?\b|[左右上下]",
    re.IGNORECASE,
)
_SEVERAL_SENTENCES: Final = re.compile(r"[.!?]\s+\S|[。！？]\s*\S")


@dataclass(frozen=True)
class Wording:
    """A way to make one caption of two.

    ``join``, ``spatial`` and ``both-orders`` keep both captions, ``one``, ``first`` and ``second`` (controls)
    keep one. The order of the captions is that of the images, except in ``both-orders``.

    ``spatial`` says where each part stands: "X on the left and Y on the right". Where a caption names a place
    itself, or has several sentences, that phrase could contradict it or belong to its last sentence
    only; there each part gets a label instead ("left half: X; right half: Y"), and what a caption says of
    places is about its own half. Where the picture has no two places (both captions under the first
    image), the captions are joined.

    Attributes:
        strategy: One of those above.
        joiner: What stands between two joined captions. None chooses by language: " and "; in Japanese 「と」
            between noun phrases and 「。また、」 where one caption is a sentence.
        template: Text in which ``{a}`` and ``{b}`` stand for the captions; used by every strategy that keeps
            both, before joiner and places.
    """

    strategy: Strategy = "join"
    joiner: str | None = None
    template: str | None = None

    def text(self, first: str, second: str, layout: int, swapped: bool) -> str:
        """The caption of a composite.

        Args:
            first: The caption of the first image: the left, the top or the outer one.
            second: The caption of the second image.
            layout: The code of the plan row's layout.
            swapped: The drawn order: in ``both-orders`` whether the second caption comes first, in ``one``
                whether the second caption is the one that is kept.
        """
        if self.strategy == "first" or (self.strategy == "one" and not swapped):
            return first
        if self.strategy in ("second", "one"):
            return second
        if self.strategy == "both-orders" and swapped:
            first, second = second, first
        if self.template is not None:
            return _filled(self.template, without_stop(first), without_stop(second))
        if self.strategy == "spatial" and layout in _SPATIAL:
            return _placed(first, second, layout)
        return _joined(first, second, self.joiner)

    def between(self) -> str | None:
        """All that this wording adds to two captions in no Japanese, for those who join very many of them.

        Returns:
            What stands between the one caption :func:`~clipc.compose.captions.language.without_stop` and the other
            without white space around it; None where it takes :meth:`text` to tell.
        """
        if self.strategy not in ("join", "both-orders") or self.template is not None:
            return None
        return CONJUNCTION if self.joiner is None else self.joiner


def _joined(first: str, second: str, joiner: str | None) -> str:
    start, second = without_stop(first), second.strip()
    if joiner is None:
        joiner = CONJUNCTION
        if japanese(first) or japanese(second):
            joiner = "と" if noun_phrase(first) and noun_phrase(second) else "。また、"
            if joiner != "と" and start.endswith(("!", "?", "！", "？", "…")):
                joiner = "また、"
    return start + joiner + second


def _placed(first: str, second: str, layout: int) -> str:
    parts = without_stop(first), without_stop(second)
    either = "\n".join(parts)
    garbled = _NAMES_A_PLACE.search(either) or any(map(_SEVERAL_SENTENCES.search, parts))
    if japanese(either):
        phrases = _SPATIAL_JAPANESE[layout]
        garbled = garbled or not (noun_phrase(first) and noun_phrase(second))
    else:
        phrases = _SPATIAL[layout]
    return _filled(phrases[1 if garbled else 0], *parts)


def _filled(template: str, first: str, second: str) -> str:
    """The template with its places filled in one go: a caption that holds "{b}" keeps it."""
    parts = {"{a}": first, "{b}": second}
    return re.sub(r"\{[ab]\}", lambda place: parts[place.group()], template)
