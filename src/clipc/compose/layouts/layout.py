"""The contract of layouts, built-in or the user's own."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, Final

import numpy as np

from clipc.compose.arrays import Bytes, Float32s, Positions
from clipc.compose.layouts.tiles import LEFT_RIGHT, PLAIN, STRONG, TOP_BOTTOM, Tiles, Views, area
from clipc.errors import UserError


@dataclass(frozen=True)
class Shape:
    """One geometry of a layout's composites.

    The phrases are those of the caption strategy ``spatial``: how a caption says where each image stands, ``{a}`` and
    ``{b}`` being the two captions; and a second form with labels, for captions that do not fit the phrase. None
    if the images have no two places; captions are then joined.

    Attributes:
        name: Its name in plans, statistics and pages.
        english: The two phrases.
        japanese: The same for Japanese captions.
    """

    name: str
    english: tuple[str, str] | None = None
    japanese: tuple[str, str] | None = None


_PHRASES: Final[dict[str, Any]] = json.loads((resources.files("clipc.compose.layouts") / "shapes.json").read_bytes())
SHAPES: Final = tuple(
    Shape(name, *((phrase, labels) for phrase, labels in languages)) for name, languages in _PHRASES.items()
)
"""The shapes whose codes in a plan's ``layout`` column are the same for every layout: their indices here.

``plain`` shows one image; ``left-right`` and ``top-bottom`` name the places of the first and second half;
``strong`` is one image under stronger augmentation, the augmentation control; in ``box`` the
second image fills a box inside the first; ``overlay`` blends both; ``first-image`` shows
the first image alone, under both captions. A layout's other shapes have the codes that follow.
"""

HALVES: Final = (SHAPES[LEFT_RIGHT], SHAPES[TOP_BOTTOM])
"""The shapes of layouts of halves, whose axis a policy and rules may set."""


@dataclass(frozen=True)
class Layout:
    """A way to join two views.

    Attributes:
        shapes: The shapes of its composites, drawn uniformly.
        arrange: From the number of each composite's shape in ``shapes``, shape (n,), four numbers in [0, 1) for each,
            shape (n, 4), and the views: windows, places and opacities. Together the places fill the image. A pure
            function, since the same composite may be arranged again.
    """

    shapes: tuple[Shape, ...]
    arrange: Callable[[Positions, Float32s, Views], Tiles]

    def __post_init__(self) -> None:
        names = [shape.name for shape in self.shapes]
        if not names or len(set(names)) < len(names) or {SHAPES[PLAIN].name, SHAPES[STRONG].name} & set(names):
            raise UserError(f"a layout needs shapes with names of their own, not plain or strong: {names}.")

    @cached_property
    def by_code(self) -> tuple[Shape, ...]:
        """All shapes that a plan with this layout can have, in the order of their codes."""
        common = {shape.name for shape in SHAPES}
        return (*SHAPES, *(shape for shape in self.shapes if shape.name not in common))

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """The codes of its shapes in a plan's ``layout`` column."""
        names = [shape.name for shape in self.by_code]
        return tuple(names.index(shape.name) for shape in self.shapes)

    @property
    def has_axes(self) -> bool:
        """Whether its composites are halves, whose axis a policy or a rule may set."""
        return self.codes == (LEFT_RIGHT, TOP_BOTTOM)

    def drawn_from(self, axis: str) -> tuple[int, ...]:
        """The codes that are drawn, for a policy's ``axis``."""
        return tuple(code for code in self.codes if self.by_code[code].name == axis) or self.codes

    def tiles(self, codes: Bytes, draws: Float32s, views: Views) -> Tiles:
        """Windows, places and opacities; plain rows show the first source alone.

        Args:
            codes: Codes of a plan's ``layout`` column, shape (n,).
            draws: Numbers in [0, 1), shape (n, 4).
            views: The sources' views.

        Raises:
            UserError: The result of :attr:`arrange` is invalid.
        """
        n = len(codes)
        tiles = Tiles.first_alone(n)
        number = np.full(len(self.by_code), -1)
        number[list(self.codes)] = np.arange(len(self.codes))
        composed = np.flatnonzero(number[codes] >= 0)
        if len(composed):
            result = self.arrange(number[codes[composed]], draws[composed], views.take(composed))
            _check(result, len(composed))
            for name in ("window", "place", "opacity"):
                getattr(tiles, name)[composed] = getattr(result, name)
        return tiles


def _check(result: Tiles, n: int) -> None:
    """Refuses tiles that cannot be rendered, or that leave a part of the image unwritten."""
    if not isinstance(result, Tiles):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"a layout gave {type(result).__name__}; it must give clipc.Tiles.")
    for name, shape in (("window", (n, 2, 4)), ("place", (n, 2, 4)), ("opacity", (n, 2))):
        values = getattr(result, name)
        if values.shape != shape or not np.isfinite(values).all():
            raise UserError(f"a layout gave tiles whose {name} is not finite numbers of shape {shape}: {values.shape}.")
    shown = area(result.place) > 0
    if (result.place.min() < 0) | (result.place.max() > 1) | (area(result.window) <= 0)[shown].any():
        raise UserError("a layout gave tiles outside the image, or a place for a window without area.")
    if (result.opacity[:, 0] != 1).any() or abs(result.share().sum(axis=1) - 1).max() > 1e-4:
        raise UserError("a layout gave tiles that do not fill the image; the first source must be opaque.")
