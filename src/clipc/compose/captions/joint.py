"""Joins two captions."""

import re
from dataclasses import dataclass, field
from typing import Final

from clipc.compose.captions.language import japanese, noun_phrase, without_stop
from clipc.compose.captions.strategies import find_strategy
from clipc.compose.layouts.layout import SHAPES, Shape

CONJUNCTION: Final = " and "
"""The paper's joiner."""


@dataclass(frozen=True)
class Wording:
    """How two captions are joined: a caption strategy, and the words between the captions.

    Attributes:
        strategy: The name of a caption strategy, as :func:`~clipc.compose.captions.strategies.find_strategy` takes it.
        joiner: The text between two captions. None chooses by language: " and "; in Japanese 「と」
            between noun phrases and 「。また、」 where one caption is a sentence.
        template: Text in which ``{a}`` and ``{b}`` stand for the captions; used by every strategy that joins two,
            instead of joiner and spatial phrase.
        shapes: The shapes of the layout, in the order of their codes.
    """

    strategy: str = "join"
    joiner: str | None = None
    template: str | None = None
    shapes: tuple[Shape, ...] = field(default=SHAPES, repr=False)

    def text(self, first: str, second: str, layout: int, swapped: bool) -> str:
        """The caption of a composite.

        Args:
            first: The caption of the first image: the left, the top or the outer one.
            second: The caption of the second image.
            layout: The code of the plan row's layout.
            swapped: The drawn order: in ``both-orders`` whether the second caption comes first, in ``one``
                whether the second caption is used.
        """
        parts = find_strategy(self.strategy)(first, second, self.shapes[layout], swapped)
        if isinstance(parts, str):
            return parts
        one, other, *phrase = parts
        template = self.template if self.template is not None else next(iter(phrase), None)
        if template is not None:
            return _filled(template, without_stop(one), without_stop(other))
        return _joined(one, other, self.joiner)

    def between(self) -> str | None:
        """The constant joiner of this wording for captions without Japanese, for vectorised joining.

        Returns:
            The text between the first caption (:func:`~clipc.compose.captions.language.without_stop`) and the second
            (stripped); None if only :meth:`text` can join them.
        """
        if self.strategy not in ("join", "both-orders", "wrong") or self.template is not None:
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


def _filled(template: str, first: str, second: str) -> str:
    """The template filled in one pass, so that a caption may itself contain "{b}"."""
    parts = {"{a}": first, "{b}": second}
    return re.sub(r"\{[ab]\}", lambda place: parts[place.group()], template)
