"""The curves of a study: which lines have marks, what their axes say, and the figure on the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clipc.report import marks, readable
from clipc.report.curve_plot import Line, inline_curve, lines, marked
from clipc.report.study_results import result, values
from clipc.report.words import Words


def study_curves(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """Every curve with its title, its figure, its legend and what its axes show; empty ones left out."""
    main = {m["key"] for m in data["metrics"] if m["main"]}
    drawn: list[dict[str, Any]] = []
    for at, curve in enumerate(data["curves"]):
        shown = curve_lines(curve, data)
        if not shown:
            continue
        metric = curve["metric"]
        level = baseline_level(curve, data)
        downwards = is_downwards(metric, data)
        figure = inline_curve(f"curve-{at}", shown, log=curve["log"], level=level, downwards=downwards)
        drawn.append(
            {
                "main": metric in main,
                "title": say("study.curve", metric=say.metric(metric), axis=axis_name(curve["axis"], say)),
                "figure": Markup(figure),  # made of numbers alone
                "legend": [(Markup(marks.stroke(line.mark)), line.name) for line in shown if line.mark],
                "level": data["baseline"] if level is not None else None,
                "faint": sum(line.mark is None for line in shown),
                "axis": axis_label(curve, shown, say),
                "unit": unit(metric, say),
            }
        )
    return drawn


def curve_lines(curve: Mapping[str, Any], data: Mapping[str, Any]) -> list[Line]:
    """A curve's lines with their marks, which are the same in all curves of a study.

    Where there are more lines than marks, controls and arms that gained or lost on a main metric come first.
    """
    main = {m["key"] for m in data["metrics"] if m["main"]}
    told = [c["arm"] for c in data["comparisons"] if c["metric"] in main and c["verdict"] in ("gain", "loss")]
    first = list(dict.fromkeys([*data["controls"], *told]))
    return marked(lines(curve, readable.scale(curve["metric"])), data["baseline"], first)


def baseline_level(curve: Mapping[str, Any], data: Mapping[str, Any]) -> float | None:
    """The baseline's mean at the largest size, to be drawn as a level where the baseline is no line of the curve."""
    if curve["axis"] == "pairs" or any(line["name"] == data["baseline"] for line in curve["lines"]):
        return None
    arm = next((arm for arm in data["arms"] if arm["name"] == data["baseline"]), None)
    found = values(result(arm, data["sizes"][-1]), curve["metric"]) if arm else []
    middle = readable.mean(found)
    return None if middle is None else readable.scale(curve["metric"]) * middle


def is_downwards(metric: str, data: Mapping[str, Any]) -> bool:
    """Whether less of a metric is better."""
    return any(m["key"] == metric and not m["higher_is_better"] for m in data["metrics"])


def axis_name(axis: str, say: Words) -> str:
    """A readable name for what a curve is drawn over; a setting without one is its own name."""
    return say.either(f"study.axis.{axis}", axis)


def axis_label(curve: Mapping[str, Any], shown: Sequence[Line], say: Words) -> str:
    """What the x axis says, with its scale."""
    name = axis_name(curve["axis"], say)
    positive = all(point[0] > 0 for line in shown for point in line.points)
    return say("study.log", axis=name) if curve["log"] and positive else name


def unit(metric: str, say: Words) -> str:
    """The unit of a metric's level on an axis."""
    return say("study.percent" if readable.is_share(metric) else "study.rank_level")
