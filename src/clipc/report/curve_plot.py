"""Plots of a metric over the number of training pairs, or over a setting such as the composition rate."""

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
        name: The arm's name.
        points: Points (x, mean, low, high) in the units of the axes, by ascending x; low and high may be nan.
        mark: The mark and line style.
        baseline_points: Points (x, mean) of the baseline, if it is the arm with one value of the setting on the x axis,
            such as CLIP with a composition rate of 0. The line runs through them, since there the arms do not differ;
            their marks belong to the baseline's own line.
    """

    name: str
    points: tuple[tuple[float, float, float, float], ...]
    mark: Mark
    baseline_points: tuple[tuple[float, float], ...] = ()


def curve_lines(curve: Mapping[str, Any], factor: float, marks: Mapping[str, Mark]) -> list[Line]:
    """The lines of one entry of ``curves`` in a study's tables, without empty ones.

    Args:
        curve: The entry; its ``through`` is the name of the line whose points all lines run through, if any.
        factor: The factor by which means and intervals are multiplied.
        marks: The mark of each line, by the line's name; lines without a mark are left out.
    """
    points = {line["name"]: _points(line, factor) for line in curve["lines"]}
    baseline = points.get(curve.get("through"), ())
    baseline_points = tuple((x, mean) for x, mean, _, _ in baseline)
    return [
        Line(name, line_points, marks[name], () if line_points is baseline else baseline_points)
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
    """The range of y that holds the means and intervals of all lines, with a margin of 5% at both ends.

    Raises:
        ValueError: No value is finite.
    """
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
    """Draws lines with their intervals as whiskers; lines are shifted slightly along x so that none hides another.

    Args:
        axes: The axes to draw on.
        lines: The lines.
        log: Whether x is logarithmic; ignored if any x <= 0.
        level: The y of a horizontal line for the baseline, if any.
        invert_y: Whether y grows downwards, for metrics where lower is better.
        y_range: The range of y, see :func:`value_range`; matplotlib chooses one if None.
    """
    ticks = sorted({point[0] for line in lines for point in line.points})
    log = log and ticks[0] > 0
    if log:
        axes.set_xscale("log")
    if level is not None:
        axes.axhline(level, color=BASELINE.colour, linewidth=1.4, linestyle=(0, (6.0, 3.0)), zorder=1.5)
    whisker_width = 0.9 if len(lines) <= 4 else 0.6
    for i, line in enumerate(lines):
        _draw_line(axes, line, i - (len(lines) - 1) / 2, ticks, whisker_width, log=log)
    frame(axes)
    label_ticks(axes, ticks, log=log)
    if y_range is not None:
        axes.set_ylim(y_range)
    if invert_y:
        axes.invert_yaxis()


def frame(axes: Axes) -> None:
    """Styles axes: only the bottom spine, horizontal grid lines, and round numbers on y."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=MUTED)
    axes.tick_params(axis="x", length=3, color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=TICK_STEPS))


def _draw_line(
    axes: Axes, line: Line, offset: float, ticks: Sequence[float], whisker_width: float, *, log: bool
) -> None:
    points = np.array(line.points)
    x = _shift(points[:, 0], offset, ticks, log=log)
    mean, low, high = points[:, 1], points[:, 2], points[:, 3]
    finite = np.isfinite(low) & np.isfinite(high)
    colour, width = line.mark.colour, 2.2 if line.mark is BASELINE else 1.4
    for whisker_x, *ends in zip(x[finite], low[finite], high[finite], strict=True):
        axes.plot([whisker_x] * 2, ends, color=colour, linewidth=whisker_width, zorder=2)
        axes.plot([whisker_x] * 2, ends, "_", color=colour, markersize=5, markeredgewidth=whisker_width, zorder=2)
    path = np.array(sorted([*zip(x, mean, strict=True), *line.baseline_points]))
    axes.plot(path[:, 0], path[:, 1], color=colour, linewidth=width, linestyle=line.mark.line, zorder=3)
    draw_marks(axes, x, mean, line.mark, 5.5)


def _shift(x: Any, offset: float, ticks: Sequence[float], *, log: bool) -> Any:
    """Moves points along x by ``offset`` times 0.8% of the range of ``ticks``."""
    if log:
        return x * (ticks[-1] / ticks[0]) ** (0.008 * offset)
    return x + 0.008 * offset * (ticks[-1] - ticks[0])


def label_ticks(axes: Axes, ticks: Sequence[float], *, log: bool) -> None:
    """Puts ticks at the measured x only, and numbers at those that are far enough from the number before.

    Args:
        axes: The axes.
        ticks: All measured x, in ascending order.
        log: Whether x is logarithmic.
    """
    scale = [math.log(tick) for tick in ticks] if log else list(ticks)
    width = (scale[-1] - scale[0]) or 1.0
    labelled: list[int] = []
    for i in range(len(ticks)):
        if not labelled or scale[i] - scale[labelled[-1]] >= 0.09 * width:
            labelled.append(i)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(ticks), [f"{tick:,.6g}" if i in labelled else "" for i, tick in enumerate(ticks)])
    margin = 0.06 * width if len(ticks) > 1 else 0.5
    ends = scale[0] - margin, scale[-1] + margin
    axes.set_xlim(*(math.exp(end) if log else end for end in ends))
