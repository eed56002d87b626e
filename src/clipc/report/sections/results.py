"""All results: a table per metric, with every arm at every size, and what was compared with the controls."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import fragment
from clipc.report.sections.rows import (
    SHOWN_AT_ONCE,
    arm_names,
    heading,
    kind,
    missing_words,
    result,
    span_words,
    values,
    versus,
)
from clipc.report.words import Words


def results(data: Mapping[str, Any], say: Words) -> Markup:
    """Means over seeds with their differences from the baseline; main metrics first, the others folded."""
    blocks = metric_blocks(data, say)
    main = [block for block in blocks if block["main"]]
    many = sum(len(size["rows"]) for block in main for size in block["sizes"]) > SHOWN_AT_ONCE
    rest = [block for block in blocks if not block["main"]]
    return fragment("results.html", say, main=main, rest=rest, many=many, data=data)


def metric_blocks(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """One block a metric, main metrics first: its name and, for each size, a row an arm."""
    ordered = sorted(data["metrics"], key=lambda metric: not metric["main"])
    return [_block(metric, data, say) for metric in ordered]


def _block(metric: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    key: str = metric["key"]
    against = {size: {c["arm"]: c for c in versus(data, key, size, data["baseline"])} for size in data["sizes"]}
    controls = [c for c in data["comparisons"] if c["metric"] == key and c["against"] != data["baseline"]]
    return {
        **heading(metric, say),
        "sizes": [_size(metric, size, against[size], data, say) for size in reversed(data["sizes"])],
        "signs": any(c["p_sign"] is not None for rows in against.values() for c in rows.values()),
        "against_controls": [_comparison(c, data, say) for c in controls] if metric["main"] else [],
    }


def _size(
    metric: Mapping[str, Any], size: int, comparisons: Mapping[str, Any], data: Mapping[str, Any], say: Words
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for name in [data["baseline"], *arm_names(data)]:
        arm = next((arm for arm in data["arms"] if arm["name"] == name), None)
        outcome = result(arm, size) if arm else None
        if outcome is None:
            continue
        metric_values = values(outcome, metric["key"])
        rows.append(
            {
                "arm": name,
                "kind": kind(name, data),
                "share": readable.percent(outcome["composite_share"]) if outcome["composite_share"] else readable.NONE,
                "mean": readable.level(metric["unit"], readable.mean(metric_values)),
                "spread": _range_words(metric["unit"], metric_values, say),
                "compared": _comparison(comparisons[name], data, say) if name in comparisons else None,
                "missing": "" if name == data["baseline"] else missing_words(data, name, size, say),
            }
        )
    return {"size": say("study.pairs", n=readable.count(size)), "rows": rows}


def _range_words(unit: str, metric_values: list[float], say: Words) -> str:
    """The lowest and the highest seed."""
    if len(metric_values) < 2:
        return ""
    return say(
        "page.range", low=readable.level(unit, min(metric_values)), high=readable.level(unit, max(metric_values))
    )


def _comparison(comparison: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    unit = readable.unit_of(comparison["metric"], data)
    return {
        "arm": comparison["arm"],
        "against": comparison["against"],
        "kind": kind(comparison["arm"], data),
        "size": readable.count(comparison["size"]),
        "difference": readable.signed(unit, comparison["difference"]),
        "interval": span_words(unit, comparison["interval"], say),
        "both": span_words(unit, comparison["both"], say),
        "p_holm": p_value(comparison["p_holm"]),
        "p_sign": p_value(comparison["p_sign"]),
        "verdict": comparison["verdict"],
        "said": _verdict(comparison, say),
    }


def _verdict(comparison: Mapping[str, Any], say: Words) -> str:
    """The verdict in words; a gain that a control shows too is not attributed to composition."""
    if comparison["credit"] == "shared":
        return say("study.verdict_shared", controls=say("page.list").join(comparison["shown_by_controls"]))
    return say(f"verdict.{comparison['verdict']}")


def p_value(p: float | None) -> str:
    """A p value in two figures: ``0.032``, ``0.41``, ``<0.001``."""
    if p is None:
        return readable.NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
