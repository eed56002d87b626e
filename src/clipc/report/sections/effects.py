"""The section of effect plots: the differences from the baseline, one strip per arm."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import effect_plot
from clipc.report.effect_plot import Effect
from clipc.report.page import fragment
from clipc.report.sections.headline import multiple_testing_note
from clipc.report.sections.rows import SHOWN_AT_ONCE, arm_names, comparisons_with, effects, heading, missing_reason
from clipc.report.words import Words


def effect_strips(data: Mapping[str, Any], say: Words) -> Markup:
    """Effect strips of the main metrics, and the rule for gains and losses; empty without comparisons."""
    blocks = effect_blocks(data, say)
    if not blocks:
        return Markup()
    note = multiple_testing_note(data, say)
    return fragment("effects.html", say, blocks=blocks, data=data, at_once=SHOWN_AT_ONCE, note=note)


def effect_blocks(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """Effect strips of the main metrics: for each size, the largest first, one row per arm, and controls separately."""
    blocks: list[dict[str, Any]] = []
    for metric in data["metrics"]:
        by_size = {size: effects(data, metric, size) for size in reversed(data["sizes"])}
        all_effects = [effect for rows in by_size.values() for effect in rows.values()]
        if not metric["main"] or not all_effects:
            continue
        span = effect_plot.value_range(all_effects)
        sizes = [_strips(data, metric, size, rows, span, say) for size, rows in by_size.items() if rows]
        blocks.append(
            {
                **heading(metric, say),
                "metric": metric,
                "sizes": sizes,
                "axis": Markup(effect_plot.axis(span)),  # made of numbers alone
                "beyond": effect_plot.any_outside(all_effects, span),
            }
        )
    return blocks


def _strips(
    data: Mapping[str, Any],
    metric: Mapping[str, Any],
    size: int,
    rows: Mapping[str, Effect],
    span: tuple[float, float],
    say: Words,
) -> dict[str, Any]:
    comparisons = {c["arm"]: c for c in comparisons_with(data, metric["key"], size, data["baseline"])}
    strips = [
        {
            "arm": name,
            "strip": Markup(effect_plot.strip(rows[name], span)) if name in rows else "",  # numbers alone
            "comparison": comparisons.get(name),
            "missing": missing_reason(data, name, size, say),
        }
        for name in arm_names(data)
    ]
    groups = [[row for row in strips if (row["arm"] in data["controls"]) is control] for control in (False, True)]
    return {"size": size, "arms": groups[0], "controls": groups[1]}
