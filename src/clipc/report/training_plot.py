"""Training curves as inline SVG.

No figure holds a word. Numbers are real SVG text in the page's own font, and every name stands beside the
figure in HTML, where it wraps, is translated, and never turns into empty boxes. Arms differ in shape and line as
well as in colour, so that a black-and-white print says the same.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from clipc.report.drawing import INK, MUTED, ROUND, RULE, canvas, dot, inline
from clipc.report.marks import Mark


def training_curves(name: str, arms: Sequence[tuple[Mark, Sequence[Sequence[tuple[float, float]]]]]) -> str:
    """Training curves: a thin line a seed, a bold mean an arm, the arm's mark at its end.

    Args:
        name: A name that no other figure of the page has.
        arms: For each arm its mark and, for each seed, the points (step, value).
    """
    figure, axes = canvas(250)
    figure.subplots_adjust(left=0.095, right=0.975, bottom=0.1, top=0.97)
    for drawn, trials in arms:
        lines = [np.asarray(points, dtype=np.float64) for points in trials if len(points)]
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


def mean_curve(lines: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """The mean of curves over the steps that all of them reach, at the first curve's steps; shape (n, 2)."""
    low, high = max(line[0, 0] for line in lines), min(line[-1, 0] for line in lines)
    steps = lines[0][:, 0]
    steps = steps[(steps >= low) & (steps <= high)]
    if not len(steps):
        return lines[0]
    return np.stack([steps, np.mean([np.interp(steps, line[:, 0], line[:, 1]) for line in lines], axis=0)], axis=1)
