"""Curves over sizes and settings: which lines stand together, what their axes say, and the figures on the page."""

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
    """Lines that are drawn together.

    Attributes:
        kind: ``arm`` or ``control`` where arms under test and controls stand apart; ``all`` otherwise.
        lines: The lines, each with a mark; the baseline's is in all panels.
    """

    kind: str
    lines: tuple[Line, ...]


def curves(data: Mapping[str, Any], say: Words) -> Markup:
    """Curves of the main metrics over the size of the training set or a setting; nothing where there are none."""
    figures = curve_figures(data, say)
    return fragment("curves.html", say, curves=figures) if figures else Markup()


def curve_figures(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """Every panel of every curve with its title, figure, legend and what its axes show; empty ones left out."""
    main = {m["key"] for m in data["metrics"] if m["main"]}
    figures: list[dict[str, Any]] = []
    # One axis after the other, so that the panels of one curve stand side by side.
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
                    "legend": [(Markup(marks.stroke(line.mark)), line.name) for line in panel.lines],
                    "level": data["baseline"] if level is not None else None,
                    "axis": axis_label(curve, panel.lines, say),
                    "unit": unit(metric, data, say),
                }
            )
    return figures


def curve_panels(curve: Mapping[str, Any], data: Mapping[str, Any]) -> list[Panel]:
    """A curve's lines, no more together than there are marks: over sizes, arms under test and controls apart.

    An arm's mark is the same in all curves over one axis.
    """
    factor, baseline = readable.scale(readable.unit_of(curve["metric"], data)), data["baseline"]
    names = [line["name"] for line in curve["lines"] if line["name"] != baseline]
    names = [name for name in names if any(p["mean"] is not None for p in _points_of(curve, name))]
    groups = [("all", names, marks.CYCLE)]
    if curve["axis"] == "pairs" and any(name in data["controls"] for name in names):
        arms = [name for name in names if name not in data["controls"]]
        controls = [name for name in names if name in data["controls"]]
        groups = [("arm", arms, marks.ARMS), ("control", controls, marks.CONTROLS)]
    panels: list[Panel] = []
    for kind, members, cycle in groups:
        for chunk in _chunks(members, len(cycle)):
            marks_by_name = {baseline: marks.BASELINE} | dict(zip(chunk, cycle, strict=False))
            panels.append(Panel(kind, tuple(curve_lines(curve, factor, marks_by_name))))
    if not panels:
        panels = [Panel("all", tuple(curve_lines(curve, factor, {baseline: marks.BASELINE})))]
    return [panel for panel in panels if panel.lines]


def panel_name(panel: Panel, say: Words) -> str:
    """What a panel's lines have in common beside the baseline; empty where it holds all."""
    return "" if panel.kind == "all" else say("study.asked.arms" if panel.kind == "arm" else "study.asked.controls")


def _points_of(curve: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [point for line in curve["lines"] if line["name"] == name for point in line["points"]]


def _chunks(names: Sequence[str], size: int) -> list[Sequence[str]]:
    """Names in as few groups as hold ``size`` each, as equal in number as can be."""
    count = math.ceil(len(names) / size)
    ends = [round(i * len(names) / count) for i in range(count + 1)] if count else [0]
    return [names[a:b] for a, b in pairwise(ends)]


def baseline_level(curve: Mapping[str, Any], data: Mapping[str, Any]) -> float | None:
    """The baseline's mean at the largest size, to be drawn as a level where the baseline is no line of the curve."""
    if curve["axis"] == "pairs" or any(line["name"] == data["baseline"] for line in curve["lines"]):
        return None
    arm = next((arm for arm in data["arms"] if arm["name"] == data["baseline"]), None)
    baseline_values = values(result(arm, data["sizes"][-1]), curve["metric"]) if arm else []
    mean = readable.mean(baseline_values)
    return None if mean is None else readable.scale(readable.unit_of(curve["metric"], data)) * mean


def lower_is_better(metric: str, data: Mapping[str, Any]) -> bool:
    """Whether less of a metric is better."""
    return any(m["key"] == metric and not m["higher_is_better"] for m in data["metrics"])


def axis_name(axis: str, say: Words) -> str:
    """A readable name for what a curve is drawn over; a setting without one is its own name."""
    return say.get(f"study.axis.{axis}", axis)


def axis_label(curve: Mapping[str, Any], lines: Sequence[Line], say: Words) -> str:
    """What the x axis says, with its scale."""
    name = axis_name(curve["axis"], say)
    positive = all(point[0] > 0 for line in lines for point in line.points)
    return say("study.log", axis=name) if curve["log"] and positive else name


def unit(metric: str, data: Mapping[str, Any], say: Words) -> str:
    """The unit of a metric's level on an axis."""
    name = say.unit(readable.unit_of(metric, data), "level")
    return say("study.level_turned", unit=name) if lower_is_better(metric, data) else name
