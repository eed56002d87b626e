"""Joins two captions into the caption of a composite."""

import re
from dataclasses import dataclass, field
from typing import Final

from clipc.compose.captions.language import japanese, noun_phrase, without_stop
from clipc.compose.captions.strategies import find_strategy
from clipc.compose.layouts.layout import SHAPES, Shape

CONJUNCTION: Final = " and "
"""The text between two captions in the CLIP-C paper."""


@dataclass(frozen=True)
class Wording:
    """How two captions are joined: a caption strategy, and the words between the captions.

    Attributes:
        strategy: The name of a caption strategy, as :func:`~clipc.compose.captions.strategies.find_strategy` takes it.
        joiner: The text between two captions. None chooses it by language: " and "; in Japanese 「と」
            between noun phrases and 「。また、」 where one caption is a sentence.
        template: Text in which ``{a}`` and ``{b}`` stand for the captions. Every strategy that joins two captions uses
            it instead of the joiner or the spatial phrase.
        shapes: All shapes of the policy's layout; a plan's ``layout`` column holds indices into them.
    """

    strategy: str = "join"
    joiner: str | None = None
    template: str | None = None
    shapes: tuple[Shape, ...] = field(default=SHAPES, repr=False)

    def text(self, first: str, second: str, shape_index: int, swapped: bool) -> str:
        """The caption of a composite.

        Args:
            first: The caption of the first image: the left, the top or the outer one.
            second: The caption of the second image.
            shape_index: The plan row's ``layout``: an index into :attr:`shapes`.
            swapped: The plan row's ``swapped``: whether the second caption comes first (strategy ``both-orders``), or
                is the one that is used (strategy ``one``).
        """
        parts = find_strategy(self.strategy)(first, second, self.shapes[shape_index], swapped)
        if isinstance(parts, str):
            return parts
        earlier, later, *own_template = parts
        template = self.template if self.template is not None else next(iter(own_template), None)
        if template is not None:
            return _filled(template, without_stop(earlier), without_stop(later))
        return _joined(earlier, later, self.joiner)

    def constant_joiner(self) -> str | None:
        """The joiner for all captions without Japanese; None if it differs by caption, so that each needs :meth:`text`.

        The joiner stands between the first caption (after :func:`~clipc.compose.captions.language.without_stop`) and
        the second (after ``str.strip``).
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
    """The template with both captions filled in, in one pass, so that a caption may itself contain "{b}"."""
    parts = {"{a}": first, "{b}": second}
    return re.sub(r"\{[ab]\}", lambda place: parts[place.group()], template)
