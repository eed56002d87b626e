"""How arms are drawn: marks that differ in shape and line as well as in colour, for a black-and-white print."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mark:
    """How one arm is drawn: the same in every figure and table.

    Attributes:
        outline: The mark as an SVG path in a box of 10 by 10, for tables and legends.
        marker: The same mark for matplotlib.
        colour: Its colour, dark enough for text.
        filled: Whether the mark is filled.
        dashes: The line's dashes in points, none for a solid line.
    """

    outline: str
    marker: str
    colour: str
    filled: bool
    dashes: tuple[float, ...] = ()

    @property
    def line(self) -> Any:
        """The line style as matplotlib takes it."""
        return (0, self.dashes) if self.dashes else "solid"


MARKS = {
    "clip": Mark("M5 1.4a3.6 3.6 0 1 1 0 7.2a3.6 3.6 0 1 1 0 -7.2z", "o", "#5c5c5c", False),
    "augment": Mark("M1.8 1.8h6.4v6.4h-6.4z", "s", "#a2520a", False, (4.0, 2.0)),
    "clip-c": Mark("M5 .8l4.2 4.2l-4.2 4.2l-4.2 -4.2z", "D", "#0b4f8a", True),
}


def mark(arm: str) -> Mark:
    """How an arm is drawn; arms without a mark of their own share a triangle."""
    return MARKS.get(arm, Mark("M5 1l4 7.4h-8z", "^", "#4a3a6b", False, (1.5, 1.5)))


def glyph(arm: str) -> str:
    """An arm's mark as a small inline SVG, to stand before its name in text."""
    drawn = mark(arm)
    fill = drawn.colour if drawn.filled else "none"
    path = f'<path d="{drawn.outline}" fill="{fill}" stroke="{drawn.colour}" stroke-width="1.4"/>'
    return f'<svg class="glyph" viewBox="0 0 10 10" aria-hidden="true">{path}</svg>'
