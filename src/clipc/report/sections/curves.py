"""The section of curves over sizes and settings: panels of lines, labels of axes, and figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from clipc.report import marks, readable
from clipc.report.curve_plot import Line, curve_lines, draw, value_range
from clipc.report.drawing import inline_svg, new_figure
from clipc.report.page import fragment
from clipc.report.sections.rows import result, values
from clipc.report.words import Words


@dataclass(frozen=True)
class Panel:
    """Lines that share one plot.

    Attributes:
        kind: ``arm`` or ``control`` where arms under test and controls have separate panels; otherwise ``all``.
        lines: The lines; every panel contains the baseline's, if it has one.
    """

    kind: str
    lines: tuple[Line, ...]


def curves(data: Mapping[str, Any], say: Words) -> Markup:
    """The curves over the size of the training set and over settings; empty without curves."""
    figures = curve_figures(data, say)
    return fragment("curves.html", say, curves=figures) if figures else Markup()


def curve_figures(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """Every panel of every curve with its title, figure, legend and labels of axes, without empty panels."""
    main = {m["key"] for m in data["metrics"] if m["main"]}
    figures: list[dict[str, Any]] = []
    # Curves are ordered by axis, so that those over the same axis follow each other.
    order = list(dict.fromkeys(curve["axis"] for curve in data["curves"]))
    for number, curve in enumerate(sorted(data["curves"], key=lambda curve: order.index(curve["axis"]))):
        metric = curve["metric"]
        level, invert_y = baseline_level(curve, data), lower_is_better(metric, data)
        panels = curve_panels(curve, data)
        span = value_range(line for panel in panels for line in panel.lines) if len(panels) > 1 else None
        title = say("study.curve", metric=say.metric(metric), axis=axis_name(curve["axis"], say))
        for index, panel in enumerate(panels):
            figure, axes = new_figure(270, bottom=0.09)
            draw(axes, panel.lines, log=curve["log"], level=level, invert_y=invert_y, y_range=span)
            figures.append(
                {
                    "main": metric in main,
                    "title": title,
                    "panel": panel_name(panel, say),
                    "figure": Markup(inline_svg(figure, f"curve-{number}-{index}")),  # made of numbers alone
                    "legend": [(Markup(marks.legend_swatch(line.mark)), line.name) for line in panel.lines],
                    "level": data["baseline"] if level is not None else None,
                    "axis": axis_label(curve, panel.lines, say),
                    "unit": unit(metric, data, say),
                }
            )
    return figures


def curve_panels(curve: Mapping[str, Any], data: Mapping[str, Any]) -> list[Panel]:
    """A curve's lines in panels, each with at most as many lines as there are marks.

    Over sizes, arms under test and controls have separate panels. An arm has the same mark in all curves over one axis.
    """
    factor, baseline = readable.scale(readable.unit_of(curve["metric"], data)), data["baseline"]
    names = [line["name"] for line in curve["lines"] if line["name"] != baseline]
    names = [name for name in names if any(p["mean"] is not None for p in _points_of(curve, name))]
    groups = [("all", names, marks.LINE_MARKS)]
    if curve["axis"] == "pairs" and any(name in data["controls"] for name in names):
        treatments = [name for name in names if name not in data["controls"]]
        controls = [name for name in names if name in data["controls"]]
        groups = [("treatment", treatments, marks.TREATMENT_MARKS), ("control", controls, marks.CONTROL_MARKS)]
    panels: list[Panel] = []
    for kind, members, cycle in groups:
        for chunk in _chunks(members, len(cycle)):
            marks_by_name = {baseline: marks.BASELINE} | dict(zip(chunk, cycle, strict=False))
            panels.append(Panel(kind, tuple(curve_lines(curve, factor, marks_by_name))))
    if not panels:
        panels = [Panel("all", tuple(curve_lines(curve, factor, {baseline: marks.BASELINE})))]
    return [panel for panel in panels if panel.lines]


def panel_name(panel: Panel, say: Words) -> str:
    """The common role of a panel's lines besides the baseline; empty for a panel of all lines."""
    return (
        "" if panel.kind == "all" else say("study.asked.arms" if panel.kind == "treatment" else "study.asked.controls")
    )


def _points_of(curve: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [point for line in curve["lines"] if line["name"] == name for point in line["points"]]


def _chunks(names: Sequence[str], size: int) -> list[Sequence[str]]:
    """Splits names into the fewest groups of at most ``size`` names, with nearly equal numbers."""
    count = math.ceil(len(names) / size)
    ends = [round(i * len(names) / count) for i in range(count + 1)] if count else [0]
    return [names[start:end] for start, end in pairwise(ends)]


def baseline_level(curve: Mapping[str, Any], data: Mapping[str, Any]) -> float | None:
    """The baseline's mean at the largest size, for a horizontal line; None if the baseline is a line of the curve."""
    if curve["axis"] == "pairs" or any(line["name"] == data["baseline"] for line in curve["lines"]):
        return None
    arm = next((arm for arm in data["arms"] if arm["name"] == data["baseline"]), None)
    baseline_values = values(result(arm, data["sizes"][-1]), curve["metric"]) if arm else []
    mean = readable.mean(baseline_values)
    return None if mean is None else readable.scale(readable.unit_of(curve["metric"], data)) * mean


def lower_is_better(metric: str, data: Mapping[str, Any]) -> bool:
    """Whether lower values of a metric are better."""
    return any(m["key"] == metric and not m["higher_is_better"] for m in data["metrics"])


def axis_name(axis: str, say: Words) -> str:
    """A readable name for the quantity on a curve's x axis; a setting's key if there is none."""
    return say.get(f"study.axis.{axis}", axis)


def axis_label(curve: Mapping[str, Any], lines: Sequence[Line], say: Words) -> str:
    """The label of the x axis; it says whether the axis is logarithmic."""
    name = axis_name(curve["axis"], say)
    positive = all(point[0] > 0 for line in lines for point in line.points)
    return say("study.log", axis=name) if curve["log"] and positive else name


def unit(metric: str, data: Mapping[str, Any], say: Words) -> str:
    """The unit of a metric for the y axis; where lower is better, it says that the axis is inverted."""
    name = say.unit(readable.unit_of(metric, data), "level")
    return say("study.level_turned", unit=name) if lower_is_better(metric, data) else name
