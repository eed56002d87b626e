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
    """Effect strips of the main metrics: for each size, the largest first, one row per arm, and controls separately.

    Args:
        data: The tables of a pilot or study; its ``sizes`` ascend.
        say: The texts.

    Returns:
        What ``effects.html`` shows, one block per main metric that was compared.
    """
    blocks: list[dict[str, Any]] = []
    for metric in data["metrics"]:
        by_size = {size: effects(data, metric, size) for size in reversed(data["sizes"])}
        all_effects = [effect for effects_by_arm in by_size.values() for effect in effects_by_arm.values()]
        if not metric["main"] or not all_effects:
            continue
        span = effect_plot.value_range(all_effects)
        sizes = [_strips(data, metric, size, by_arm, span, say) for size, by_arm in by_size.items() if by_arm]
        blocks.append(
            {
                **heading(metric, say),
                "metric": metric,
                "sizes": sizes,
                "axis": Markup(effect_plot.axis(span)),  # safe as Markup: built from numbers only
                "beyond": effect_plot.any_outside(all_effects, span),
            }
        )
    return blocks


def _strips(
    data: Mapping[str, Any],
    metric: Mapping[str, Any],
    size: int,
    effects_by_arm: Mapping[str, Effect],
    span: tuple[float, float],
    say: Words,
) -> dict[str, Any]:
    """The strips of one metric at one size: ``arms`` under test, and ``controls``; each row is one arm.

    Args:
        data: The tables of a pilot or study.
        metric: The metric's row in ``data["metrics"]``.
        size: The number of training pairs.
        effects_by_arm: The effects at this size; an arm without one gets a row that says why.
        span: The lowest and the highest value of the axis, the same for all sizes.
        say: The texts.
    """
    comparisons = {c["arm"]: c for c in comparisons_with(data, metric["key"], size, data["baseline"])}
    strips = [
        {
            "arm": name,
            # Safe as Markup: built from numbers only.
            "strip": Markup(effect_plot.strip(effects_by_arm[name], span)) if name in effects_by_arm else "",
            "comparison": comparisons.get(name),
            "missing": missing_reason(data, name, size, say),
        }
        for name in arm_names(data)
    ]
    arms = [row for row in strips if row["arm"] not in data["controls"]]
    controls = [row for row in strips if row["arm"] in data["controls"]]
    return {"size": size, "arms": arms, "controls": controls}
