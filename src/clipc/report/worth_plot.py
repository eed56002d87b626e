"""Plots of the manager's page: the low-data curve with the data equivalence, and the tornado of the net."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from clipc.report import readable
from clipc.report.curve_plot import Line, draw
from clipc.report.drawing import INK, MUTED, RULE, WIDTH, inline_svg, new_figure, tick_values
from clipc.report.marks import BASELINE, TREATMENT

_HEIGHT = 20.0
_BAND = "#0b4f8a"


def equivalence_plot(
    worth: Mapping[str, Any], *, width: float = 620.0, height: float = 250.0, name: str = "worth-curve"
) -> Markup:
    """The low-data curve of plain CLIP and of composition as an ``<svg>`` element.

    An arrow runs from composition at the size that is decided at to as many plain pairs as give the same; a band shows
    the interval of these. Power laws are dotted.

    Args:
        worth: The table ``worth``.
        width: The figure's width, in CSS pixels before the page scales it.
        height: Its height.
        name: The prefix of its ids.
    """
    unit, metric = worth["metric"]["unit"], worth["metric"]
    factor = readable.scale(unit)
    marks = {worth["baseline"]: BASELINE, worth["arm"]: TREATMENT}
    figure, axes = new_figure(height, width, bottom=0.1, left=44 / width)
    lines: list[Line] = []
    for line in worth["curve"]["lines"]:
        points = tuple(
            (
                float(p["x"]),
                *(factor * p[key] if p[key] is not None else float("nan") for key in ("mean", "low", "high")),
            )
            for p in line["points"]
        )
        lines.append(Line(line["name"], points, marks[line["name"]]))  # pyright: ignore[reportArgumentType]
        if line["fit"] is not None:
            xs, ys = zip(*line["fit"]["points"], strict=True)
            axes.plot(xs, [factor * y for y in ys], ":", color=marks[line["name"]].colour, linewidth=1.0, zorder=1)
    draw(axes, lines, log=True, invert_y=not metric["higher_is_better"])
    table = worth["equivalence"]
    row = next((r for r in table["rows"] if r["size"] == table["decision"]), None) if table else None
    if row is not None:
        level = _level(worth, row["size"])
        if level is not None:
            _arrow(axes, row, factor * level)
    return Markup(inline_svg(figure, name))  # made of numbers alone


def _level(worth: Mapping[str, Any], size: int) -> float | None:
    """The mean of composition at a size."""
    points = next((line["points"] for line in worth["curve"]["lines"] if line["name"] == worth["arm"]), ())
    return next((p["mean"] for p in points if p["x"] == size), None)


def _arrow(axes: Axes, row: Mapping[str, Any], y: float) -> None:
    pairs, n = row["pairs"], row["size"]
    band: dict[str, Any] = {"color": _BAND, "linewidth": 9, "alpha": 0.22, "solid_capstyle": "butt"}
    axes.plot([pairs["low"], pairs["high"]], [y, y], zorder=1, **band)
    for end, marker, is_open in (("low", "<", pairs["open_low"]), ("high", ">", pairs["open_high"])):
        if is_open:
            axes.plot(pairs[end], y, marker, color=_BAND, markersize=7, clip_on=False, zorder=5)
    if abs(pairs["value"] - n) > 0.02 * n:
        style = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.6, "shrinkA": 5, "shrinkB": 0}
        axes.annotate("", (pairs["value"], y), (n, y), arrowprops=style, zorder=5)
    low = axes.get_ylim()[0]
    axes.plot([pairs["value"]] * 2, [low, y], color=INK, linewidth=0.8, linestyle=(0, (3.0, 2.0)), zorder=1)


def tornado_span(rows: Sequence[Mapping[str, Any]], net: float) -> tuple[float, float]:
    """The common range of all bars, with zero and a margin."""
    values = [0.0, net, *(row[end] for row in rows for end in ("low", "high"))]
    margin = 0.06 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin


def tornado_bar(row: Mapping[str, Any], net: float, span: tuple[float, float]) -> Markup:
    """One assumption's bar as an ``<svg>`` element without text."""
    left, right = sorted((_x(row["low"], span), _x(row["high"], span)))
    grid = "".join(f"M{_x(value, span):.1f} 0v{_HEIGHT:g}" for value in tick_values(span))
    parts = [
        f'<path d="{grid}" fill="none" stroke="{RULE}" stroke-width="0.6"/>',
        f'<path d="M{left:.1f} 4H{right:.1f}V16H{left:.1f}z" fill="{TREATMENT.colour}" fill-opacity="0.75"/>',
        f'<path d="M{_x(0.0, span):.1f} 0v{_HEIGHT:g}" stroke="{INK}" stroke-width="1"/>',
        f'<path d="M{_x(net, span):.1f} 0v{_HEIGHT:g}" stroke="{INK}" stroke-width="1" stroke-dasharray="3 2"/>',
    ]
    return _svg(_HEIGHT, "".join(parts))


def tornado_axis(span: tuple[float, float], write: Any) -> Markup:
    """The axis below the bars: at most five amounts.

    Args:
        span: The range.
        write: Writes an amount as text.
    """
    ticks = tick_values(span)
    step = -(-len(ticks) // 5)
    zero = next((i for i, value in enumerate(ticks) if abs(value) < 1e-9), 0)
    shown = [value for i, value in enumerate(ticks) if (i - zero) % step == 0]
    texts = [
        f'<text x="{min(max(_x(value, span), 14), WIDTH - 14):.1f}" y="13">{Markup.escape(write(value))}</text>'
        for value in shown
    ]
    return _svg(18, f'<g fill="{MUTED}" font-size="11" text-anchor="middle">{"".join(texts)}</g>')


def _x(value: float, span: tuple[float, float]) -> float:
    return WIDTH * (value - span[0]) / (span[1] - span[0])


def _svg(height: float, content: str) -> Markup:
    start = f'<svg aria-hidden="true" viewBox="0 0 {WIDTH:g} {height:g}" xmlns="http://www.w3.org/2000/svg">'
    return Markup(f"{start}{content}</svg>")  # our own paths, and escaped text
