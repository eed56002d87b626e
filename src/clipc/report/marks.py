"""The marks of arms; they differ in form and dashes as well as colour, so that a black-and-white print is readable."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any


@dataclass(frozen=True)
class Mark:
    """The mark and line style of an arm, for figures, tables and legends.

    Attributes:
        outline: The mark as the ``d`` attribute of an SVG path in a box of 10 by 10, for tables and legends.
        marker: The same mark as a matplotlib marker.
        colour: The colour of mark and line, dark enough for text.
        filled: Whether the mark is filled.
        dashes: The lengths of dashes and gaps in points; empty for a solid line.
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


BASELINE = Mark("M5 1.4a3.6 3.6 0 1 1 0 7.2a3.6 3.6 0 1 1 0 -7.2z", "o", "#5c5c5c", False)
"""The baseline's mark."""
TREATMENT = Mark("M5 .8l4.2 4.2l-4.2 4.2l-4.2 -4.2z", "D", "#0b4f8a", True)
CONTROL = Mark("M1.8 1.8h6.4v6.4h-6.4z", "s", "#a2520a", False, (4.0, 2.0))
"""The marks of arms under test and of controls, where each arm has its own row."""
LINE_MARKS = (
    TREATMENT,
    CONTROL,
    Mark("M5 1l4 7.4h-8z", "^", "#1f5c3a", True, (1.5, 1.5)),
    Mark("M5 9l4 -7.4h-8z", "v", "#6b2f6b", False, (7.0, 2.0, 1.5, 2.0)),
    Mark("M1.6 1.6l6.8 6.8M8.4 1.6l-6.8 6.8", "x", "#8c1d1d", False, (9.0, 3.0)),
    Mark("M1.8 1.8h6.4v6.4h-6.4z", "s", "#3d3d3d", True, (3.0, 1.2, 1.0, 1.2, 1.0, 1.2)),
    Mark("M5 .6v8.8M.6 5h8.8", "+", "#0a6a70", False, (1.0, 2.5)),
)
"""The marks of lines besides the baseline's: no two have the same dashes, or the same form and filling."""
TREATMENT_MARKS = tuple(mark for mark in LINE_MARKS if mark is not CONTROL)
CONTROL_MARKS = tuple(mark for mark in LINE_MARKS if mark is not TREATMENT)
"""The marks of arms under test and of controls, where each role has its own plot of curves. Both lists share the other
marks."""


ROLE_MARKS = {"baseline": BASELINE, "control": CONTROL, "treatment": TREATMENT}
"""The mark of each role of an arm."""


def assign_marks(roles: Mapping[str, str]) -> dict[str, Mark]:
    """A mark for every arm: the first arm of a role has the role's mark; later ones have others, which may repeat.

    Args:
        roles: The role of each arm, by the arm's name; one of the keys of :data:`ROLE_MARKS`.
    """
    marks_by_role = {
        "baseline": cycle((BASELINE,)),
        "treatment": cycle(TREATMENT_MARKS),
        "control": cycle((CONTROL, *TREATMENT_MARKS[::-1])),
    }
    return {name: next(marks_by_role[role]) for name, role in roles.items()}


def icon(mark: Mark) -> str:
    """A mark as a small inline SVG."""
    return f'<svg class="glyph" viewBox="0 0 10 10" aria-hidden="true">{_path(mark)}</svg>'


def legend_swatch(mark: Mark) -> str:
    """A mark on a short piece of its line as a small inline SVG, for the legend of curves."""
    dashes = f' stroke-dasharray="{" ".join(f"{2 * dash:g}" for dash in mark.dashes)}"' if mark.dashes else ""
    line = f'<path d="M0 5h40" fill="none" stroke="{mark.colour}" stroke-width="1.8"{dashes}/>'
    middle = f'<g transform="translate(15)">{_path(mark, "#fff")}</g>'
    return f'<svg class="stroke" viewBox="0 0 40 10" aria-hidden="true">{line}{middle}</svg>'


def _path(mark: Mark, hollow: str = "none") -> str:
    fill = mark.colour if mark.filled else hollow
    return f'<path d="{mark.outline}" fill="{fill}" stroke="{mark.colour}" stroke-width="1.4"/>'
