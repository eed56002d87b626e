"""Figures as inline SVG: plain arrays in, one ``<svg>`` element out.

No figure holds a word. Numbers are real SVG text in the page's own font, and every name stands beside the
figure in HTML, where it wraps, is translated, and never turns into empty boxes. Arms differ in shape and line as
well as in colour, so that a black-and-white print says the same.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from clipc.report.drawing import BAND, INK, MUTED, ROUND, RULE, canvas, dot, inline, sign, ticks
from clipc.report.marks import mark


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
    figure, axes = canvas(30)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    axes.set(xlim=bounds, ylim=(0, 1))
    axes.axis("off")
    for at in ticks(bounds):
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
    dot(axes, [difference], [0.5], drawn, 6.5)
    return inline(figure, name)


def effect_axis(name: str, bounds: tuple[float, float]) -> str:
    """The numbers under a column of effect strips, with their signs."""
    figure, axes = canvas(18)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    axes.set(xlim=bounds, ylim=(0, 1))
    axes.axis("off")
    inner = 0.03 * (bounds[1] - bounds[0])
    for at in ticks(bounds):
        if bounds[0] + inner <= at <= bounds[1] - inner:
            axes.text(at, 0.45, sign(at), ha="center", va="center", color=MUTED, fontsize=12)
    return inline(figure, name)


def curves(name: str, arms: Sequence[tuple[str, Sequence[Sequence[tuple[float, float]]]]], *, bins: int = 120) -> str:
    """Training curves: a thin line a seed, a bold mean an arm, the arm's mark at its end.

    Args:
        name: A name that no other figure of the page has.
        arms: For each arm its name and, for each seed, the points (step, value).
        bins: Longer curves are averaged over this many stretches of equal length.
    """
    figure, axes = canvas(250)
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
        dot(axes, middle[-1:, 0], middle[-1:, 1], drawn, 6.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=12, labelcolor=MUTED)
    axes.tick_params(axis="x", length=3, color=INK)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return inline(figure, name)


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
