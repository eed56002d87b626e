"""Curves of a metric over the amount of data, or over a setting such as the composition rate."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from clipc.report.drawing import INK, MUTED, ROUND, RULE, canvas, dot, inline
from clipc.report.marks import BASELINE, Mark


@dataclass(frozen=True)
class Line:
    """One arm's curve.

    Attributes:
        name: The arm.
        points: (x, mean, low, high) in the axes' units, by rising x; an interval's ends may be nan.
        mark: How it is drawn.
        through: (x, mean) of another line's points that this one runs through without a mark of its own.
    """

    name: str
    points: tuple[tuple[float, float, float, float], ...]
    mark: Mark
    through: tuple[tuple[float, float], ...] = ()


def lines(curve: Mapping[str, Any], factor: float, marks: Mapping[str, Mark]) -> list[Line]:
    """The lines of one entry of ``curves`` in a study's tables; empty ones left out.

    Args:
        curve: The entry.
        factor: What means are multiplied by.
        marks: How each line is drawn; others are left out.
    """
    points = {line["name"]: _points(line, factor) for line in curve["lines"]}
    common = points.get(curve.get("through"), ())
    through = tuple((x, mean) for x, mean, _, _ in common)
    return [
        Line(name, found, marks[name], () if found is common else through)
        for name, found in points.items()
        if found and name in marks
    ]


def _points(line: Mapping[str, Any], factor: float) -> tuple[tuple[float, float, float, float], ...]:
    found = [
        (float(p["x"]), _scaled(p["mean"], factor), _scaled(p["low"], factor), _scaled(p["high"], factor))
        for p in line["points"]
        if p["mean"] is not None and p["x"] is not None
    ]
    return tuple(sorted(found))


def _scaled(value: float | None, factor: float) -> float:
    return math.nan if value is None else factor * value


def reach(shown: Iterable[Line]) -> tuple[float, float]:
    """The range of y that holds all means and intervals, with a margin: the same for panels that are compared."""
    values = [value for line in shown for point in line.points for value in point[1:] if math.isfinite(value)]
    margin = 0.05 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin


def draw(
    axes: Axes,
    shown: Sequence[Line],
    *,
    log: bool,
    level: float | None = None,
    downwards: bool = False,
    span: tuple[float, float] | None = None,
) -> None:
    """Draws lines with their intervals as whiskers, each a little aside so that none hides another.

    Args:
        axes: Where to draw.
        shown: The lines with their marks.
        log: Whether x is logarithmic; a zero on it makes it linear.
        level: A horizontal line, such as plain CLIP's mean where it is no curve.
        downwards: Whether less is better, so that y grows downwards.
        span: The range of y, see :func:`reach`; what is drawn decides it otherwise.
    """
    places = sorted({point[0] for line in shown for point in line.points})
    log = log and places[0] > 0
    if log:
        axes.set_xscale("log")
    if level is not None:
        axes.axhline(level, color=BASELINE.colour, linewidth=1.4, linestyle=(0, (6.0, 3.0)), zorder=1.5)
    whisker = 0.9 if len(shown) <= 4 else 0.6
    for at, line in enumerate(shown):
        _draw(axes, line, at - (len(shown) - 1) / 2, places, whisker, log=log)
    frame(axes)
    number_places(axes, places, log=log)
    if span is not None:
        axes.set_ylim(span)
    if downwards:
        axes.invert_yaxis()


def frame(axes: Axes) -> None:
    """A line below, a grid of levels, and round numbers beside it."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=MUTED)
    axes.tick_params(axis="x", length=3, color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))


def inline_curve(
    name: str,
    shown: Sequence[Line],
    *,
    log: bool,
    level: float | None,
    downwards: bool,
    span: tuple[float, float] | None = None,
) -> str:
    """Curves as one ``<svg>`` element without words; see :func:`draw`.

    Args:
        name: A name that no other figure of the page has.
        shown: The lines with their marks.
        log: Whether x is logarithmic.
        level: A horizontal line.
        downwards: Whether less is better.
        span: The range of y.
    """
    figure, axes = canvas(270)
    figure.subplots_adjust(left=0.095, right=0.975, bottom=0.09, top=0.97)
    axes.tick_params(labelsize=12)
    draw(axes, shown, log=log, level=level, downwards=downwards, span=span)
    return inline(figure, name)


def _draw(axes: Axes, line: Line, aside: float, places: Sequence[float], whisker: float, *, log: bool) -> None:
    points = np.array(line.points)
    x = _aside(points[:, 0], aside, places, log=log)
    mean, low, high = points[:, 1], points[:, 2], points[:, 3]
    wide = np.isfinite(low) & np.isfinite(high)
    for at, down, up in zip(x[wide], low[wide], high[wide], strict=True):
        axes.plot([at, at], [down, up], color=line.mark.colour, linewidth=whisker, zorder=2)
        axes.plot([at, at], [down, up], "_", color=line.mark.colour, markersize=5, markeredgewidth=whisker, zorder=2)
    width = 2.2 if line.mark is BASELINE else 1.4
    path = np.array(sorted([*zip(x, mean, strict=True), *line.through]))
    axes.plot(path[:, 0], path[:, 1], color=line.mark.colour, linewidth=width, linestyle=line.mark.line, zorder=3)
    dot(axes, x, mean, line.mark, 5.5)


def _aside(x: Any, aside: float, places: Sequence[float], *, log: bool) -> Any:
    """Moves points by 0.8% of the axis a line."""
    if log:
        return x * (places[-1] / places[0]) ** (0.008 * aside)
    return x + 0.008 * aside * (places[-1] - places[0])


def number_places(axes: Axes, places: Sequence[float], *, log: bool) -> None:
    """Numbers at the measured places alone; those too near to the next one have none."""
    scale = [math.log(at) for at in places] if log else list(places)
    width = (scale[-1] - scale[0]) or 1.0
    told: list[int] = []
    for i in range(len(places)):
        if not told or scale[i] - scale[told[-1]] >= 0.09 * width:
            told.append(i)
    axes.xaxis.set_major_locator(FixedLocator(list(places)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(places), [f"{at:,.6g}" if i in told else "" for i, at in enumerate(places)])
    margin = 0.06 * width if len(places) > 1 else 0.5
    ends = scale[0] - margin, scale[-1] + margin
    axes.set_xlim(*(math.exp(end) if log else end for end in ends))
