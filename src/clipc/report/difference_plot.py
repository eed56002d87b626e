"""An arm's paired difference from the baseline over the size of the training set, on a scale that all arms share."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from clipc.report.curve_plot import frame, number_places
from clipc.report.drawing import INK, canvas, dot, inline, sign
from clipc.report.effect_plot import Effect

WIDTH, HEIGHT = 230.0, 150.0
"""The natural size of one arm's panel on a page, in CSS pixels."""


def draw(axes: Axes, points: Sequence[tuple[int, Effect]], sizes: Sequence[int], span: tuple[float, float]) -> None:
    """Draws one arm: a mark a size, the t interval thick, the two-way one thin, as in effect plots; zero is a line.

    Args:
        axes: Where to draw.
        points: Training pairs and the difference there, better upwards.
        sizes: All sizes of the study; with more than one the axis is logarithmic.
        span: The range of differences; what lies outside is an arrow at the edge.
    """
    axes.set_xscale("log")
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1.5)
    for x, effect in points:
        colour = effect.mark.colour
        if effect.both is not None:
            axes.plot([x, x], effect.both, color=INK, linewidth=0.8, zorder=2)
            axes.plot([x, x], effect.both, "_", color=INK, markersize=7, markeredgewidth=0.8, zorder=2)
        if effect.interval is not None:
            axes.plot([x, x], effect.interval, color=colour, linewidth=3.0, solid_capstyle="butt", zorder=3)
        ends = [effect.difference, *(effect.interval or ()), *(effect.both or ())]
        for edge, marker, out in ((0, "v", min(ends) < span[0]), (1, "^", max(ends) > span[1])):
            if out:
                axes.plot(x, span[edge], marker, color=INK, markersize=5, clip_on=False, zorder=4)
    drawn = points[0][1].mark
    within = [(x, effect.difference) for x, effect in points if span[0] <= effect.difference <= span[1]]
    places, means = [x for x, _ in within], [mean for _, mean in within]
    axes.plot(places, means, color=drawn.colour, linewidth=0.9, zorder=2.5)
    dot(axes, places, means, drawn, 5.5)
    frame(axes)
    number_places(axes, sizes, log=True)
    axes.set_ylim(span)
    axes.yaxis.set_major_formatter(lambda value, _: sign(value))


def inline_differences(
    name: str, points: Sequence[tuple[int, Effect]], sizes: Sequence[int], span: tuple[float, float]
) -> str:
    """One arm as one ``<svg>`` element without words; see :func:`draw`.

    Args:
        name: A name that no other figure of the page has.
        points: Training pairs and the difference there.
        sizes: All sizes of the study.
        span: The range of differences.
    """
    figure, axes = canvas(HEIGHT, WIDTH)
    figure.subplots_adjust(left=0.13, right=0.97, bottom=0.14, top=0.96)
    axes.tick_params(labelsize=10.5)
    draw(axes, points, sizes, span)
    return inline(figure, name)
