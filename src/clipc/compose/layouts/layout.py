"""Layouts and their shapes: the types that built-in layouts and the user's own share."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, Final

import numpy as np

from clipc.compose.arrays import Bytes, Float32s, Positions
from clipc.compose.layouts.tiles import LEFT_RIGHT, PLAIN, STRONG, TOP_BOTTOM, Tiles, Views
from clipc.errors import UserError


@dataclass(frozen=True)
class Shape:
    """One arrangement of the two images in a composite, such as side by side.

    The caption strategy ``spatial`` uses the templates, which say where each image stands; ``{a}`` and ``{b}`` stand
    for the two captions. Where the images have no places to name, the templates are None and the captions are joined.

    Attributes:
        name: The shape's name in plans, statistics and pages.
        english: The template for ordinary captions, and one with labels, for captions that name a place or have several
            sentences.
        japanese: The two templates for Japanese captions.
    """

    name: str
    english: tuple[str, str] | None = None
    japanese: tuple[str, str] | None = None


_TEMPLATES: Final[dict[str, Any]] = json.loads((resources.files("clipc.compose.layouts") / "shapes.json").read_bytes())
# The order in shapes.json is that of the codes in tiles.py, from PLAIN to FIRST_IMAGE.
SHAPES: Final = tuple(Shape(name, *map(tuple, languages)) for name, languages in _TEMPLATES.items())
"""The common shapes. Their code in a plan's ``layout`` column is their index here, whatever the policy's layout.

``plain`` shows one image. ``left-right`` and ``top-bottom`` name the places of the first and second half. ``strong``
shows one image under strong augmentation, as a control. In ``box`` the second image fills a box inside the first.
``overlay`` blends both images. ``first-image`` shows the first image alone, under both captions. Further shapes of
a user's layout have the codes that follow.
"""

HALVES: Final = (SHAPES[LEFT_RIGHT], SHAPES[TOP_BOTTOM])
"""The shapes of layouts of halves. A policy and rules may choose between them by ``axis``."""


@dataclass(frozen=True)
class Layout:
    """A way to join two views.

    Attributes:
        shapes: The shapes of its composites, drawn uniformly. One with the name of a common shape is that shape, with
            its code and its templates.
        arrange: A pure function that returns the tiles of n composites. It takes an index into ``shapes`` for each
            composite, shape (n,); four random numbers in [0, 1) for each, shape (n, 4); and the views. The places in
            the tiles must fill the image.

    Raises:
        UserError: There is no shape, two have the same name, or one has the name of a common shape that it cannot be.
    """

    shapes: tuple[Shape, ...]
    arrange: Callable[[Positions, Float32s, Views], Tiles]

    def __post_init__(self) -> None:
        names = [shape.name for shape in self.shapes]
        if not names or len(set(names)) < len(names) or {SHAPES[PLAIN].name, SHAPES[STRONG].name} & set(names):
            raise UserError(f"a layout needs shapes with distinct names, none of them plain or strong: {names}.")
        common = {shape.name: shape for shape in SHAPES}
        for shape in self.shapes:
            if (shape.english or shape.japanese) and common.get(shape.name, shape) != shape:
                raise UserError(
                    f"{shape.name} is a shape of clipc, whose templates cannot be changed; choose another name."
                )

    @cached_property
    def all_shapes(self) -> tuple[Shape, ...]:
        """The common shapes and this layout's own; a plan's ``layout`` column holds indices into them."""
        common = {shape.name for shape in SHAPES}
        return (*SHAPES, *(shape for shape in self.shapes if shape.name not in common))

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """The code of each shape in ``shapes``: its index in :attr:`all_shapes`."""
        names = [shape.name for shape in self.all_shapes]
        return tuple(names.index(shape.name) for shape in self.shapes)

    @property
    def has_axes(self) -> bool:
        """Whether the composites consist of halves, so that a policy or a rule may set their axis."""
        return self.codes == (LEFT_RIGHT, TOP_BOTTOM)

    def codes_for(self, axis: str) -> tuple[int, ...]:
        """The codes among which to draw: the one with the name ``axis``, or all if no shape has that name.

        So a study can compare layouts under one policy: its axis applies to those that have halves.
        """
        return tuple(code for code in self.codes if self.all_shapes[code].name == axis) or self.codes

    def tiles(self, codes: Bytes, draws: Float32s, views: Views) -> Tiles:
        """The tiles of n examples, composed or not; a row without a composite shows the first source alone.

        Args:
            codes: Codes of a plan's ``layout`` column, shape (n,).
            draws: Random numbers in [0, 1), shape (n, 4).
            views: The sources' views.

        Raises:
            UserError: The result of :attr:`arrange` is invalid.
        """
        n = len(codes)
        tiles = Tiles.first_alone(n)
        index = np.full(len(self.all_shapes), -1)
        index[list(self.codes)] = np.arange(len(self.codes))
        composed = np.flatnonzero(index[codes] >= 0)
        if len(composed):
            result = self.arrange(index[codes[composed]], draws[composed], views.take(composed))
            _check(result, len(composed))
            for name in ("window", "place", "opacity"):
                getattr(tiles, name)[composed] = getattr(result, name)
        return tiles


def _check(result: Tiles, n: int) -> None:
    """Refuses tiles that cannot be rendered, or that leave a part of the image empty."""
    if not isinstance(result, Tiles):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"a layout returned {type(result).__name__}; it must return clipc.Tiles.")
    for name, shape in (("window", (n, 2, 4)), ("place", (n, 2, 4)), ("opacity", (n, 2))):
        values = getattr(result, name)
        if values.shape != shape or not np.isfinite(values).all():
            raise UserError(
                f"a layout must return tiles whose {name} is finite numbers of shape {shape}: {values.shape}."
            )
    shown, has_window = (_sides(boxes).min(axis=-1) > 0 for boxes in (result.place, result.window))
    if (result.place.min() < 0) | (result.place.max() > 1) | (shown & ~has_window).any():
        raise UserError("a layout returned tiles with a place outside the image, or a place for a window without area.")
    if (_sides(result.place) < 0).any():
        raise UserError("a layout returned tiles with a place whose edges are not in order: x0 <= x1 and y0 <= y1.")
    if (result.opacity.min() < 0) | (result.opacity.max() > 1):
        raise UserError("a layout returned tiles with an opacity outside [0, 1].")
    if (result.opacity[:, 0] != 1).any() or abs(result.share().sum(axis=1) - 1).max() > 1e-4:
        raise UserError("a layout returned tiles that do not fill the image, or whose first source is not opaque.")


def _sides(boxes: Float32s) -> Float32s:
    """Width and height of boxes x0, y0, x1, y1 of shape (..., 4); negative where the edges are in reverse order."""
    return boxes[..., 2:] - boxes[..., :2]
