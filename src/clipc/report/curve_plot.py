"""Curves of a metric over the amount of data, or over a setting such as the composition rate."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from clipc.report.drawing import INK, MUTED, RULE, TICK_STEPS, draw_marks
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


def curve_lines(curve: Mapping[str, Any], factor: float, marks: Mapping[str, Mark]) -> list[Line]:
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
        Line(name, line_points, marks[name], () if line_points is common else through)
        for name, line_points in points.items()
        if line_points and name in marks
    ]


def _points(line: Mapping[str, Any], factor: float) -> tuple[tuple[float, float, float, float], ...]:
    points = [
        (float(p["x"]), _scale(p["mean"], factor), _scale(p["low"], factor), _scale(p["high"], factor))
        for p in line["points"]
        if p["mean"] is not None and p["x"] is not None
    ]
    return tuple(sorted(points))


def _scale(value: float | None, factor: float) -> float:
    return math.nan if value is None else factor * value


def value_range(lines: Iterable[Line]) -> tuple[float, float]:
    """The range of y that holds all means and intervals, with a margin: the same for panels that are compared."""
    values = [value for line in lines for point in line.points for value in point[1:] if math.isfinite(value)]
    margin = 0.05 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin


def draw(
    axes: Axes,
    lines: Sequence[Line],
    *,
    log: bool,
    level: float | None = None,
    invert_y: bool = False,
    y_range: tuple[float, float] | None = None,
) -> None:
    """Draws lines with their intervals as whiskers, each a little aside so that none hides another.

    Args:
        axes: Where to draw.
        lines: The lines with their marks.
        log: Whether x is logarithmic; a zero on it makes it linear.
        level: A horizontal line, such as plain CLIP's mean where it is no curve.
        invert_y: Whether less is better, so that y grows downwards.
        y_range: The range of y, see :func:`value_range`; what is drawn decides it otherwise.
    """
    ticks = sorted({point[0] for line in lines for point in line.points})
    log = log and ticks[0] > 0
    if log:
        axes.set_xscale("log")
    if level is not None:
        axes.axhline(level, color=BASELINE.colour, linewidth=1.4, linestyle=(0, (6.0, 3.0)), zorder=1.5)
    whisker = 0.9 if len(lines) <= 4 else 0.6
    for at, line in enumerate(lines):
        _draw_line(axes, line, at - (len(lines) - 1) / 2, ticks, whisker, log=log)
    frame(axes)
    label_ticks(axes, ticks, log=log)
    if y_range is not None:
        axes.set_ylim(y_range)
    if invert_y:
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
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=TICK_STEPS))


def _draw_line(axes: Axes, line: Line, offset: float, ticks: Sequence[float], whisker: float, *, log: bool) -> None:
    points = np.array(line.points)
    x = _shift(points[:, 0], offset, ticks, log=log)
    mean, low, high = points[:, 1], points[:, 2], points[:, 3]
    finite = np.isfinite(low) & np.isfinite(high)
    for at, down, up in zip(x[finite], low[finite], high[finite], strict=True):
        axes.plot([at, at], [down, up], color=line.mark.colour, linewidth=whisker, zorder=2)
        axes.plot([at, at], [down, up], "_", color=line.mark.colour, markersize=5, markeredgewidth=whisker, zorder=2)
    width = 2.2 if line.mark is BASELINE else 1.4
    path = np.array(sorted([*zip(x, mean, strict=True), *line.through]))
    axes.plot(path[:, 0], path[:, 1], color=line.mark.colour, linewidth=width, linestyle=line.mark.line, zorder=3)
    draw_marks(axes, x, mean, line.mark, 5.5)


def _shift(x: Any, offset: float, ticks: Sequence[float], *, log: bool) -> Any:
    """Moves points by 0.8% of the axis a line."""
    if log:
        return x * (ticks[-1] / ticks[0]) ** (0.008 * offset)
    return x + 0.008 * offset * (ticks[-1] - ticks[0])


def label_ticks(axes: Axes, ticks: Sequence[float], *, log: bool) -> None:
    """Numbers at the measured places alone; those too near to the next one have none."""
    scale = [math.log(at) for at in ticks] if log else list(ticks)
    width = (scale[-1] - scale[0]) or 1.0
    labelled: list[int] = []
    for i in range(len(ticks)):
        if not labelled or scale[i] - scale[labelled[-1]] >= 0.09 * width:
            labelled.append(i)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(ticks), [f"{at:,.6g}" if i in labelled else "" for i, at in enumerate(ticks)])
    margin = 0.06 * width if len(ticks) > 1 else 0.5
    ends = scale[0] - margin, scale[-1] + margin
    axes.set_xlim(*(math.exp(end) if log else end for end in ends))
