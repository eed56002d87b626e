"""Caption strategies: functions that make the caption of a composite from the captions of its two images."""

import re
from collections.abc import Callable
from typing import Final

from clipc.compose.captions.language import japanese, noun_phrase, without_stop
from clipc.compose.layouts.layout import Shape
from clipc.extension import load_function

Parts = str | tuple[str, str] | tuple[str, str, str]
"""The result of a strategy: the whole caption as text; or two captions to be joined in this order; or these two and a
template such as ``"{a} beside {b}"``, which is used unless the policy or a rule has a template."""

Strategy = Callable[[str, str, Shape, bool], Parts]
"""A function of the first image's caption (the left, the top or the outer image), the second image's caption, the
composite's shape, and whether the captions' drawn order is the reverse of the images'."""

_NAMES_A_PLACE: Final = re.compile(
    r"\b(left|right|top|bottom|upper|lower|above|below|beneath|inset)(most|wards?|hand|side)?\b|[左右上下]",
    re.IGNORECASE,
)
_SEVERAL_SENTENCES: Final = re.compile(r"[.!?]\s+\S|[。！？]\s*\S")


def _join(first: str, second: str, shape: Shape, swapped: bool) -> Parts:
    return first, second


def _both_orders(first: str, second: str, shape: Shape, swapped: bool) -> Parts:
    return (second, first) if swapped else (first, second)


def _one(first: str, second: str, shape: Shape, swapped: bool) -> Parts:
    return second if swapped else first


def _first(first: str, second: str, shape: Shape, swapped: bool) -> Parts:
    return first


def _second(first: str, second: str, shape: Shape, swapped: bool) -> Parts:
    return second


def _spatial(first: str, second: str, shape: Shape, swapped: bool) -> Parts:
    """Names the place of each part: "X on the left and Y on the right".

    If a caption names a place itself, the phrase could contradict it; if it has several sentences, the phrase would
    belong to the last one only. In these cases each part gets a label instead ("left half: X; right half: Y"), so
    that a place named in a caption refers to its own half.
    """
    parts = without_stop(first), without_stop(second)
    both = "\n".join(parts)
    needs_labels = _NAMES_A_PLACE.search(both) or any(map(_SEVERAL_SENTENCES.search, parts))
    phrases = shape.english
    if japanese(both):
        phrases = shape.japanese
        needs_labels = needs_labels or not (noun_phrase(first) and noun_phrase(second))
    return (first, second) if phrases is None else (first, second, phrases[1 if needs_labels else 0])


STRATEGIES: Final[dict[str, Strategy]] = {
    "join": _join,
    "spatial": _spatial,
    "both-orders": _both_orders,
    "one": _one,
    "first": _first,
    "second": _second,
    "wrong": _join,  # The plan replaces the second caption.
}
"""The built-in strategies by their names in a policy."""


def find_strategy(name: str) -> Strategy:
    """A built-in strategy, or the user's own.

    Args:
        name: One of :data:`STRATEGIES`, or ``module:object``.

    Raises:
        UserError: The user's function cannot be loaded.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    return load_function(name, "first", "second", "shape", "swapped", result="the caption, or two to be joined")
