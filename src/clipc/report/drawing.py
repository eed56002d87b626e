"""Shared by all plots: colours, an empty canvas, marks on it, round numbers, and the way into a page."""

import re
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clipc.report.marks import Mark

INK, MUTED, RULE, BAND = "#1d1d1b", "#6a6a66", "#d9d7d0", "#e9e7e0"
TICK_STEPS = [1, 2, 2.5, 5, 10]
"""The steps between numbers on an axis, for matplotlib's locators."""
WIDTH = 420.0
"""The usual width of a figure in CSS pixels at its natural size; pages only ever scale it a little."""


def new_figure(height: float, width: float = WIDTH, label_size: float = 12.0, **margins: float) -> tuple[Figure, Axes]:
    """An empty figure and its axes.

    Args:
        height: In CSS pixels.
        width: In CSS pixels.
        label_size: The size of the numbers on the axes, in CSS pixels.
        margins: ``left``, ``right``, ``bottom`` and ``top`` edges of the axes, as shares of the figure.
    """
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    figure.subplots_adjust(**{"left": 0.095, "right": 0.975, "top": 0.97, **margins})
    axes.tick_params(labelsize=label_size)
    return figure, axes


def draw_marks(axes: Axes, x: Any, y: Any, mark: Mark, size: float) -> None:
    """Draws marks at points, over everything else and never cut off by the axes."""
    face = mark.colour if mark.filled else "white"
    axes.plot(x, y, mark.marker, color=mark.colour, markerfacecolor=face, markersize=size, zorder=4, clip_on=False)


def tick_values(bounds: tuple[float, float]) -> list[float]:
    """Round numbers within a range, at most ten."""
    values = MaxNLocator(9, steps=TICK_STEPS).tick_values(*bounds)
    return [float(at) for at in values if bounds[0] <= at <= bounds[1]]


def format_signed(value: float) -> str:
    """A number of an axis of differences, with its sign: ``+2``, ``0``."""
    return "0" if np.isclose(value, 0.0) else f"{value:+g}".replace("-", "\N{MINUS SIGN}")


def inline_svg(figure: Figure, name: str) -> str:
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
