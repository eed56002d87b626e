"""Layouts: which part of each source image a training example shows, and where.

A layout is geometry only. Both sources first get a view each (a random crop); a layout then names a
*window* of each view and the *place* in the square picture that the window fills. Renderers know
windows and places, never layouts, so a new layout is one function here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

PLAIN: Final = 0
LEFT_RIGHT: Final = 1
TOP_BOTTOM: Final = 2
STRONG: Final = 3

LAYOUT_NAMES: Final = ("plain", "left-right", "top-bottom", "strong")
"""Names of the codes in a plan's ``layout`` column.

``plain`` shows one image; ``left-right`` and ``top-bottom`` name where the first and second half stand;
``strong`` is one image under stronger augmentation, the control arm's answer to a composite.
"""


@dataclass(frozen=True)
class Tiles:
    """What is shown of each source, and where.

    Attributes:
        window: Shape (n, 2, 4), ``float32``: x0, y0, x1, y1 of the left and right source's window, as
            fractions of the view.
        place: Shape (n, 2, 4), ``float32``: x0, y0, x1, y1 in the picture, as fractions of its side. A
            source that is not shown has a place without area.
    """

    window: npt.NDArray[np.float32]
    place: npt.NDArray[np.float32]


def centre_halves(layout: npt.NDArray[np.uint8]) -> Tiles:
    """The paper's image composition: the centre half of each view, joined along the cut axis.

    Args:
        layout: Codes of :data:`LAYOUT_NAMES`, shape (n,).
    """
    return Tiles(_CENTRE_WINDOWS[layout], _HALF_PLACES[layout])


LAYOUTS: Final[dict[str, Callable[[npt.NDArray[np.uint8]], Tiles]]] = {"centre-halves": centre_halves}
"""The layouts a policy can name."""

_FULL = (0.0, 0.0, 1.0, 1.0)
_NONE = (0.0, 0.0, 0.0, 0.0)
_CENTRE_X = (0.25, 0.0, 0.75, 1.0)
_CENTRE_Y = (0.0, 0.25, 1.0, 0.75)
_CENTRE_WINDOWS = np.array(
    [(_FULL, _FULL), (_CENTRE_X, _CENTRE_X), (_CENTRE_Y, _CENTRE_Y), (_FULL, _FULL)], dtype=np.float32
)
_HALF_PLACES = np.array(
    [
        (_FULL, _NONE),
        ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)),
        ((0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)),
        (_FULL, _NONE),
    ],
    dtype=np.float32,
)
