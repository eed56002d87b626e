"""The pilot's own sections: sample composites, training curves, and the cost of composing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from clipc.report import marks
from clipc.report.curve_plot import frame
from clipc.report.drawing import TICK_STEPS, draw_marks, inline_svg, new_figure
from clipc.report.marks import Mark
from clipc.report.page import fragment, sample_content
from clipc.report.sections.rows import kind
from clipc.report.words import Words


def composites(data: Mapping[str, Any], say: Words) -> Markup:
    """Sample composites of each arm under test, with their captions."""
    galleries = [
        (arm["arm"], [sample_content(row) for row in arm["samples"]]) for arm in data["composites"] if arm["samples"]
    ]
    return fragment("composites.html", say, composites=galleries, generated=data["source"]["generated"])


def training(data: Mapping[str, Any], say: Words) -> Markup:
    """Curves of the training loss and of validation over the steps; empty without records."""
    names = [arm["name"] for arm in data["arms"]]
    marks_by_arm = marks.assign_marks({name: kind(name, data) for name in names})
    figures: dict[str, Any] = {}
    for what, factor in (("validation", 100.0), ("loss", 1.0)):
        lines = {
            name: [[(s, factor * v) for s, v in trial[what]] for trial in data["training"] if trial["arm"] == name]
            for name in names
        }
        if any(points for trials in lines.values() for points in trials):
            # made of numbers alone
            figures[what] = Markup(training_curves(f"training-{what}", [(marks_by_arm[n], lines[n]) for n in names]))
    if not figures:
        return Markup()
    legend = [(Markup(marks.legend_swatch(marks_by_arm[name])), name) for name in names]  # our own marks
    return fragment("training.html", say, figures=figures, legend=legend)


def cost(data: Mapping[str, Any], say: Words) -> Markup:
    """The training speed of the baseline and of each arm under test."""
    return fragment("cost.html", say, cost=data["composing_cost"], baseline=data["baseline"])


def training_curves(name: str, arms: Sequence[tuple[Mark, Sequence[Sequence[tuple[float, float]]]]]) -> str:
    """A plot of training curves: a thin line per seed, and per arm a bold mean with the arm's mark at its end.

    Args:
        name: The prefix of the figure's ids; no other figure of the page may have it.
        arms: For each arm its mark and, for each seed, the points (step, value).
    """
    figure, axes = new_figure(250, bottom=0.1)
    for mark, trials in arms:
        lines = [np.asarray(points, dtype=np.float64) for points in trials if len(points)]
        for line in lines:
            axes.plot(line[:, 0], line[:, 1], color=mark.colour, linewidth=0.6, alpha=0.45, linestyle=mark.line)
        if not lines:
            continue
        mean = mean_curve(lines)
        axes.plot(mean[:, 0], mean[:, 1], color=mark.colour, linewidth=2.0, linestyle=mark.line)
        draw_marks(axes, mean[-1:, 0], mean[-1:, 1], mark, 6.5)
    frame(axes)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=TICK_STEPS, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return inline_svg(figure, name)


def mean_curve(lines: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """The mean of curves, at the first curve's steps between the largest first and smallest last step of all.

    Args:
        lines: Curves of (step, value), each of shape (n, 2) with its own n.

    Returns:
        Points (step, mean), shape (n, 2); the first curve where no step is common.
    """
    low, high = max(line[0, 0] for line in lines), min(line[-1, 0] for line in lines)
    steps = lines[0][:, 0]
    steps = steps[(steps >= low) & (steps <= high)]
    if not len(steps):
        return lines[0]
    return np.stack([steps, np.mean([np.interp(steps, line[:, 0], line[:, 1]) for line in lines], axis=0)], axis=1)
