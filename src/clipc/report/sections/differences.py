"""The section of each arm's paired difference from the baseline over the sizes of the training set."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from clipc.report import effect_plot
from clipc.report.curve_plot import frame, label_ticks
from clipc.report.drawing import INK, draw_marks, format_signed, inline_svg, new_figure
from clipc.report.effect_plot import Effect
from clipc.report.page import fragment
from clipc.report.sections.rows import arm_names, effects, kind
from clipc.report.words import Words


def size_differences(data: Mapping[str, Any], say: Words) -> Markup:
    """Each arm's difference over the sizes of the training set; empty with a single size."""
    blocks = difference_panels(data, say)
    return fragment("differences.html", say, blocks=blocks, data=data) if blocks else Markup()


def difference_panels(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """For each main metric its title and one panel per arm, controls last; empty with a single size."""
    blocks: list[dict[str, Any]] = []
    for number, metric in enumerate(data["metrics"]):
        by_arm = differences(data, metric)
        if not metric["main"] or not by_arm:
            continue
        span = shared_span(by_arm)
        figures: list[Markup] = []
        for index, points in enumerate(by_arm.values()):
            figure, axes = new_figure(150, 230, 10.5, left=0.13, right=0.97, bottom=0.14, top=0.96)
            draw_differences(axes, points, data["sizes"], span)
            figures.append(Markup(inline_svg(figure, f"over-{number}-{index}")))  # made of numbers alone
        blocks.append(
            {
                "title": say("study.differences.metric", metric=say.metric(metric["key"])),
                "turned": not metric["higher_is_better"],
                "panels": [
                    {"arm": name, "kind": kind(name, data), "figure": figure}
                    for name, figure in zip(by_arm, figures, strict=True)
                ],
            }
        )
    return blocks


def differences(data: Mapping[str, Any], metric: Mapping[str, Any]) -> dict[str, list[tuple[int, Effect]]]:
    """For each arm, by name, its sizes and the effects there; empty with a single size."""
    if len(data["sizes"]) < 2:
        return {}
    by_size = {size: effects(data, metric, size) for size in data["sizes"]}
    points = {name: [(size, rows[name]) for size, rows in by_size.items() if name in rows] for name in arm_names(data)}
    return {name: compared for name, compared in points.items() if compared}


def shared_span(by_arm: Mapping[str, list[tuple[int, Effect]]]) -> tuple[float, float]:
    """The common range of all panels, without the differences for each seed, which panels do not show."""
    all_effects = [effect for points in by_arm.values() for _, effect in points]
    return effect_plot.value_range(
        Effect(effect.difference, effect.interval, effect.two_way, (), effect.control) for effect in all_effects
    )


def draw_differences(
    axes: Axes, points: Sequence[tuple[int, Effect]], sizes: Sequence[int], y_range: tuple[float, float]
) -> None:
    """Draws one arm: a mark per size, the t interval as a thick line, and the two-way interval as a thin one.

    Args:
        axes: The axes to draw on; their x is logarithmic.
        points: Numbers of training pairs, and the effect at each.
        sizes: All sizes of the study, in ascending order.
        y_range: The range of differences; values outside are drawn as arrows at the edge.
    """
    axes.set_xscale("log")
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1.5)
    for x, effect in points:
        colour = effect.mark.colour
        if effect.two_way is not None:
            axes.plot([x, x], effect.two_way, color=INK, linewidth=0.8, zorder=2)
            axes.plot([x, x], effect.two_way, "_", color=INK, markersize=7, markeredgewidth=0.8, zorder=2)
        if effect.interval is not None:
            axes.plot([x, x], effect.interval, color=colour, linewidth=3.0, solid_capstyle="butt", zorder=3)
        ends = [effect.difference, *(effect.interval or ()), *(effect.two_way or ())]
        for edge, marker, outside in ((0, "v", min(ends) < y_range[0]), (1, "^", max(ends) > y_range[1])):
            if outside:
                axes.plot(x, y_range[edge], marker, color=INK, markersize=5, clip_on=False, zorder=4)
    mark = points[0][1].mark
    within = [(x, effect.difference) for x, effect in points if y_range[0] <= effect.difference <= y_range[1]]
    xs, means = [x for x, _ in within], [mean for _, mean in within]
    axes.plot(xs, means, color=mark.colour, linewidth=0.9, zorder=2.5)
    draw_marks(axes, xs, means, mark, 5.5)
    frame(axes)
    label_ticks(axes, sizes, log=True)
    axes.set_ylim(y_range)
    axes.yaxis.set_major_formatter(lambda value, _: format_signed(value))
