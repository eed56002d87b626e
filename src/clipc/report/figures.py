"""Figures as inline SVG: plain arrays in, one ``<svg>`` element out.

No figure holds a word. Numbers are real SVG text in the page's own font, and every name stands beside the
figure in HTML, where it wraps, is translated, and never turns into empty boxes. Arms differ in shape and line as
well as in colour, so that a black-and-white print says the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

INK, MUTED, RULE, BAND = "#1d1d1b", "#6a6a66", "#d9d7d0", "#e9e7e0"
_ROUND = [1, 2, 2.5, 5, 10]
WIDTH = 420.0
"""The width of every figure in CSS pixels at its natural size; pages only ever scale it a little."""


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


def limits(values: Sequence[float]) -> tuple[float, float]:
    """The common range of effect strips: holds zero and every value, with a margin."""
    low, high = min(0.0, *values), max(0.0, *values)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def effect_strip(
    name: str,
    arm: str,
    *,
    difference: float,
    interval: tuple[float, float] | None,
    test_error: float | None,
    per_seed: Sequence[float],
    bounds: tuple[float, float],
) -> str:
    """One difference on a strip: mark and 95% interval, a tick a seed, the test set's own error as a band.

    Args:
        name: A name that no other figure of the page has.
        arm: The arm whose mark is drawn.
        difference: The mean paired difference, in the unit of the axis.
        interval: Its interval over seeds.
        test_error: The standard error from sampling the test set; the band is 1.96 of it to each side.
        per_seed: The difference of each seed.
        bounds: The common range, see :func:`limits`.
    """
    figure, axes = _canvas(30)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    axes.set(xlim=bounds, ylim=(0, 1))
    axes.axis("off")
    for at in _ticks(bounds):
        zero = bool(np.isclose(at, 0.0))
        axes.axvline(at, color=INK if zero else RULE, linewidth=1.0 if zero else 0.6, zorder=1.5 if zero else 0)
    drawn = mark(arm)
    if test_error is not None:
        reach = 1.96 * test_error
        axes.fill_between([difference - reach, difference + reach], 0.26, 0.74, color=BAND, linewidth=0, zorder=1)
    if interval is not None:
        axes.plot(interval, [0.5, 0.5], color=drawn.colour, linewidth=2.0, solid_capstyle="butt", zorder=2)
        axes.plot(interval, [0.5, 0.5], "|", color=drawn.colour, markersize=8, markeredgewidth=1.6, zorder=2)
    axes.plot(per_seed, [0.14] * len(per_seed), "|", color=INK, markersize=6, markeredgewidth=1.0, zorder=3)
    _dot(axes, [difference], [0.5], drawn, 6.5)
    return _svg(figure, name)


def effect_axis(name: str, bounds: tuple[float, float]) -> str:
    """The numbers under a column of effect strips, with their signs."""
    figure, axes = _canvas(18)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    axes.set(xlim=bounds, ylim=(0, 1))
    axes.axis("off")
    inner = 0.03 * (bounds[1] - bounds[0])
    ticks = _ticks(bounds)
    for at in ticks:
        if bounds[0] + inner <= at <= bounds[1] - inner:
            axes.text(at, 0.45, _sign(at), ha="center", va="center", color=MUTED, fontsize=12)
    return _svg(figure, name)


def curves(name: str, arms: Sequence[tuple[str, Sequence[Sequence[tuple[float, float]]]]], *, bins: int = 120) -> str:
    """Training curves: a thin line a seed, a bold mean an arm, the arm's mark at its end.

    Args:
        name: A name that no other figure of the page has.
        arms: For each arm its name and, for each seed, the points (step, value).
        bins: Longer curves are averaged over this many stretches of equal length.
    """
    figure, axes = _canvas(250)
    figure.subplots_adjust(left=0.095, right=0.975, bottom=0.1, top=0.97)
    for arm, trials in arms:
        drawn = mark(arm)
        lines = [thinned(np.asarray(points, dtype=np.float64), bins) for points in trials if len(points)]
        for line in lines:
            axes.plot(line[:, 0], line[:, 1], color=drawn.colour, linewidth=0.6, alpha=0.45, linestyle=drawn.line)
        if not lines:
            continue
        middle = mean_curve(lines)
        axes.plot(middle[:, 0], middle[:, 1], color=drawn.colour, linewidth=2.0, linestyle=drawn.line)
        _dot(axes, middle[-1:, 0], middle[-1:, 1], drawn, 6.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=12, labelcolor=MUTED)
    axes.tick_params(axis="x", length=3, color=INK)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=_ROUND, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=_ROUND))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return _svg(figure, name)


def thinned(points: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.float64]:
    """A curve averaged over at most ``bins`` stretches of equally many points: (n, 2) to (min(n, bins), 2)."""
    if len(points) <= bins:
        return points
    return np.stack([part.mean(axis=0) for part in np.array_split(points, bins)])


def mean_curve(lines: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """The mean of curves over the steps that all of them reach, at the first curve's steps; shape (n, 2)."""
    low, high = max(line[0, 0] for line in lines), min(line[-1, 0] for line in lines)
    steps = lines[0][:, 0]
    steps = steps[(steps >= low) & (steps <= high)]
    if not len(steps):
        return lines[0]
    return np.stack([steps, np.mean([np.interp(steps, line[:, 0], line[:, 1]) for line in lines], axis=0)], axis=1)


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _dot(axes: Axes, x: Any, y: Any, drawn: Mark, size: float) -> None:
    face = drawn.colour if drawn.filled else "white"
    axes.plot(x, y, drawn.marker, color=drawn.colour, markerfacecolor=face, markersize=size, zorder=4, clip_on=False)


def _ticks(bounds: tuple[float, float]) -> list[float]:
    ticks = MaxNLocator(9, steps=_ROUND).tick_values(*bounds)
    return [float(at) for at in ticks if bounds[0] <= at <= bounds[1]]


def _sign(value: float) -> str:
    return "0" if np.isclose(value, 0.0) else f"{value:+g}".replace("-", "\N{MINUS SIGN}")


def _svg(figure: Figure, name: str) -> str:
    """The figure as one ``<svg>`` element that scales, with ids of its own and the page's font."""
    buffer = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "clipc"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: (?:[a-z]+ |\d+ )*([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = text.replace("<svg ", '<svg aria-hidden="true" ', 1)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    return re.sub(r"\s*\n\s*", " ", re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text))
