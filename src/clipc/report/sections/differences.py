"""Each arm's paired difference from the baseline over the sizes of the training set, as small figures."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import effect_plot
from clipc.report.difference_plot import inline_differences
from clipc.report.effect_plot import Effect
from clipc.report.page import fragment
from clipc.report.sections.rows import arm_names, effects, kind
from clipc.report.words import Words


def size_differences(data: Mapping[str, Any], say: Words) -> Markup:
    """Each arm's difference over the sizes of the training set; nothing where there is one size."""
    blocks = difference_panels(data, say)
    return fragment("differences.html", say, blocks=blocks, data=data) if blocks else Markup()


def difference_panels(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """For each main metric its title and a panel an arm, controls last; nothing where a study has one size."""
    drawn: list[dict[str, Any]] = []
    for at, metric in enumerate(data["metrics"]):
        found = differences(data, metric)
        if not metric["main"] or not found:
            continue
        span = shared_span(found)
        drawn.append(
            {
                "title": say("study.differences.metric", metric=say.metric(metric["key"])),
                "turned": not metric["higher_is_better"],
                "panels": [
                    {
                        "arm": name,
                        "kind": kind(name, data),
                        # made of numbers alone
                        "figure": Markup(inline_differences(f"over-{at}-{place}", points, data["sizes"], span)),
                    }
                    for place, (name, points) in enumerate(found.items())
                ],
            }
        )
    return drawn


def differences(data: Mapping[str, Any], metric: Mapping[str, Any]) -> dict[str, list[tuple[int, Effect]]]:
    """By arm the sizes at which it was compared with the baseline and what came out; empty with one size alone."""
    if len(data["sizes"]) < 2:
        return {}
    at = {size: effects(data, metric, size) for size in data["sizes"]}
    points = {name: [(size, rows[name]) for size, rows in at.items() if name in rows] for name in arm_names(data)}
    return {name: found for name, found in points.items() if found}


def shared_span(found: Mapping[str, list[tuple[int, Effect]]]) -> tuple[float, float]:
    """The common range of all panels; seeds are not drawn in them and do not widen it."""
    drawn = [effect for points in found.values() for _, effect in points]
    return effect_plot.bounds(
        Effect(effect.difference, effect.interval, effect.both, (), effect.control) for effect in drawn
    )
