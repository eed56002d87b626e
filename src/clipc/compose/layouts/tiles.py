"""Tiles: the part of each source that an example shows, and the place where it is shown.

Each source first gets a view (a random crop). A layout then chooses a *window* of each view, the *place* in the
square image that the window fills, and the *opacity* of the window there. Renderers take tiles and know no layouts,
so a new layout is one new function.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from clipc.compose.arrays import Bools, Bytes, Float32s, Int64s, Positions

PLAIN, LEFT_RIGHT, TOP_BOTTOM, STRONG, BOX, OVERLAY, FIRST_IMAGE = range(7)
"""Codes of a plan's ``layout`` column that are the same for every layout."""

Axis = Literal["left-right", "top-bottom"]
"""The arrangement of two halves: side by side, or one above the other."""
AXES: Final[dict[Axis, int]] = {"left-right": LEFT_RIGHT, "top-bottom": TOP_BOTTOM}
"""The code of each axis in a plan's ``layout`` column."""
CUTS: Final[dict[Axis, str]] = {"left-right": "vertical", "top-bottom": "horizontal"}
"""The direction of the cut between the halves, which recipes and rules files may give instead of the axis."""

FULL: Final = (0.0, 0.0, 1.0, 1.0)
NOWHERE: Final = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Views:
    """The views of the two sources of n examples, as layouts take them: turned already, mirrored later.

    Attributes:
        bounds: Shape (n, 2, 4), ``float32``: the edges x0, y0, x1, y1 of the whole image, as fractions of the
            view (so x0 and y0 are at most 0, x1 and y1 at least 1).
        region: Shape (n, 2, 4), ``float32``: the box x0, y0, x1, y1 that must stay visible, as fractions of the view;
            NaN for none.
        whole: Shape (n, 2), ``bool``: sources that a composite must not cut.
    """

    bounds: Float32s
    region: Float32s
    whole: Bools

    @classmethod
    def plain(cls, n: int) -> "Views":
        """Views of n examples that show whole images without regions."""
        bounds = np.broadcast_to(np.array(FULL, dtype=np.float32), (n, 2, 4))
        return cls(bounds, np.full((n, 2, 4), np.nan, dtype=np.float32), np.zeros((n, 2), dtype=np.bool_))

    def take(self, rows: Positions) -> "Views":
        """The views of some examples, given their positions."""
        return Views(self.bounds[rows], self.region[rows], self.whole[rows])


@dataclass(frozen=True)
class Tiles:
    """Windows, places and opacities of the two sources of n examples; the second source is drawn over the first.

    Attributes:
        window: Shape (n, 2, 4), ``float32``: x0, y0, x1, y1 of each source's window, as fractions of its view
            before mirroring (in layouts: after turning). A window may leave the view, never the image.
        place: Shape (n, 2, 4), ``float32``: x0, y0, x1, y1 in the composed image, as fractions of its side.
            A source that is not shown has a place without area.
        opacity: Shape (n, 2), ``float32`` in [0, 1]; the first source's is 1.
    """

    window: Float32s
    place: Float32s
    opacity: Float32s

    @classmethod
    def first_alone(cls, n: int) -> "Tiles":
        """Tiles of n examples that show the first view alone and whole."""
        return cls(boxes(FULL, NOWHERE, n), boxes(FULL, NOWHERE, n), opaque(n))

    def share(self) -> Float32s:
        """The share of the composed image that each source fills, ``float32``, shape (n, 2); valid rows sum to 1."""
        second = area(self.place[:, 1]) * self.opacity[:, 1]
        return np.stack([area(self.place[:, 0]) - self._hidden(), second], axis=1)

    def visible(self) -> Float32s:
        """The visible share of each source's view, in [0, 1], ``float32``, shape (n, 2); 0 if it is not shown.

        An area that is transparent or covered counts in proportion to its visibility.
        """
        share = np.clip(area(self.window), 0, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            first = np.where(area(self.place[:, 0]) > 0, 1 - self._hidden() / area(self.place[:, 0]), 0)
        second = np.where(area(self.place[:, 1]) > 0, self.opacity[:, 1], 0)
        return (share * np.stack([first, second], axis=1)).astype(np.float32)

    def _hidden(self) -> Float32s:
        """The area in which the second source covers the first, times the second's opacity; shape (n,)."""
        low = np.maximum(self.place[:, 0, :2], self.place[:, 1, :2])
        high = np.minimum(self.place[:, 0, 2:], self.place[:, 1, 2:])
        width, height = np.maximum(high - low, 0).T
        return (width * height * self.opacity[:, 1]).astype(np.float32)


def axis_of(axis_or_cut: object) -> object:
    """The axis for the name of a cut (``vertical``, ``horizontal``); any other value unchanged."""
    return next((axis for axis, cut in CUTS.items() if cut == axis_or_cut), axis_or_cut)


def area(boxes: Float32s) -> Float32s:
    """The areas of boxes x0, y0, x1, y1 of shape (..., 4); the result is ``float32`` of shape (...)."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return np.asarray(sides[..., 0] * sides[..., 1], dtype=np.float32)


def turn_boxes(boxes: Float32s, turns: Int64s) -> Float32s:
    """Boxes of views, as boxes of the views turned by quarters, counterclockwise.

    Args:
        boxes: x0, y0, x1, y1 as fractions of the view, shape (..., 4).
        turns: The number of quarter turns, any whole number, shape (...).

    Returns:
        ``float32``, shape (..., 4).
    """
    x0, y0, x1, y1 = np.moveaxis(boxes, -1, 0)
    turned = np.stack(
        [(x0, y0, x1, y1), (y0, 1 - x1, y1, 1 - x0), (1 - x1, 1 - y1, 1 - x0, 1 - y0), (1 - y1, x0, 1 - y0, x1)]
    )
    chosen = np.take_along_axis(np.moveaxis(turned, 1, -1), (turns % 4)[None, ..., None], axis=0)[0]
    return chosen.astype(np.float32)


def boxes(first: tuple[float, ...], second: tuple[float, ...], n: int) -> Float32s:
    """The same two boxes x0, y0, x1, y1 for each of n examples, ``float32``, shape (n, 2, 4)."""
    return np.tile(np.array([first, second], dtype=np.float32), (n, 1, 1))


def opaque(n: int) -> Float32s:
    """Opacities of 1 for n examples, ``float32``, shape (n, 2)."""
    return np.ones((n, 2), dtype=np.float32)


def uncut(tiles: Tiles, views: Views, codes: Bytes) -> Tiles:
    """The tiles, in which sources that a composite must not cut are shown whole, squeezed into their places.

    Args:
        tiles: The tiles of n examples.
        views: Their views, whose ``whole`` and ``bounds`` are used.
        codes: Their codes in the plan's ``layout`` column, shape (n,).
    """
    whole = views.whole & np.isin(codes, (PLAIN, STRONG), invert=True)[:, None]
    return Tiles(np.where(whole[..., None], views.bounds, tiles.window), tiles.place, tiles.opacity)
