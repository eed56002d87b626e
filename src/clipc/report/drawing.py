"""Parts that all plots share: colours, empty figures, marks, round numbers, and inline SVG."""

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

INK, MUTED, RULE = "#1d1d1b", "#6a6a66", "#d9d7d0"
"""The colours of lines and text, of secondary text, and of grid lines."""
TICK_STEPS = [1, 2, 2.5, 5, 10]
"""The allowed steps between numbers on an axis, up to a power of ten, for matplotlib's locators."""
WIDTH = 420.0
"""The default width of a figure, in CSS pixels before the page scales it."""


def new_figure(height: float, width: float = WIDTH, label_size: float = 12.0, **margins: float) -> tuple[Figure, Axes]:
    """An empty figure and its axes.

    Args:
        height: In CSS pixels.
        width: In CSS pixels.
        label_size: The size of the numbers on the axes, in CSS pixels.
        margins: The ``left``, ``right``, ``bottom`` and ``top`` edges of the axes, as fractions of the figure.
    """
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    figure.subplots_adjust(**{"left": 0.095, "right": 0.975, "top": 0.97, **margins})
    axes.tick_params(labelsize=label_size)
    return figure, axes


def draw_marks(axes: Axes, x: Any, y: Any, mark: Mark, size: float) -> None:
    """Draws marks at points, above all other parts of the plot; the edges of the axes do not clip them.

    Args:
        axes: The axes to draw on.
        x: The x of the points.
        y: The y of the points.
        mark: The mark.
        size: The size of the mark, in points.
    """
    face = mark.colour if mark.filled else "white"
    axes.plot(x, y, mark.marker, color=mark.colour, markerfacecolor=face, markersize=size, zorder=4, clip_on=False)


def tick_values(bounds: tuple[float, float]) -> list[float]:
    """At most ten round numbers within a range, for the ticks of an axis."""
    values = MaxNLocator(9, steps=TICK_STEPS).tick_values(*bounds)
    return [float(value) for value in values if bounds[0] <= value <= bounds[1]]


def format_signed(value: float) -> str:
    """A difference as text for an axis, with its sign: ``+2``, ``0``."""
    return "0" if np.isclose(value, 0.0) else f"{value:+g}".replace("-", "\N{MINUS SIGN}")


def inline_svg(figure: Figure, name: str) -> str:
    """The figure as one ``<svg>`` element that scales and uses the page's font.

    Args:
        figure: The figure.
        name: The prefix of the element's ids; no other figure of the page may have it.
    """
    buffer = StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "clipc"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
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
