"""The sections of results (one table per metric), of limitations, and of statistical power."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report.page import fragment
from clipc.report.sections.rows import (
    SHOWN_AT_ONCE,
    arm_names,
    comparisons_with,
    heading,
    kind,
    missing_reason,
    result,
    values,
)
from clipc.report.words import Words


def results(data: Mapping[str, Any], say: Words) -> Markup:
    """Means over seeds, and differences from the baseline: main metrics, then secondary ones; the others are folded."""
    blocks = [_block(metric, data, say) for metric in data["metrics"]]
    main = [block for block in blocks if block["main"]]
    many = sum(len(rows) for block in main for _, rows in block["sizes"]) > SHOWN_AT_ONCE
    secondary = [block for block in blocks if block["metric"]["secondary"]]
    rest = [block for block in blocks if not block["main"] and not block["metric"]["secondary"]]
    return fragment("results.html", say, main=main, secondary=secondary, rest=rest, many=many, data=data)


def limits(data: Mapping[str, Any], say: Words) -> Markup:
    """The limitations, one sentence each."""
    return fragment("limits.html", say, limits=data["not_shown"])


def power(data: Mapping[str, Any], say: Words) -> Markup:
    """The number of seeds needed to find a difference, given the measured noise; empty without measured noise."""
    return fragment("power.html", say, data=data) if data["power"] else Markup()


def _block(metric: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    key: str = metric["key"]
    against = {
        size: {c["arm"]: c for c in comparisons_with(data, key, size, data["baseline"])} for size in data["sizes"]
    }
    controls = [c for c in data["comparisons"] if c["metric"] == key and c["against"] != data["baseline"]]
    return {
        **heading(metric, say),
        "metric": metric,
        "sizes": [(size, _rows(metric, size, against[size], data, say)) for size in reversed(data["sizes"])],
        "signs": any(c["p_sign"] is not None for rows in against.values() for c in rows.values()),
        "against_controls": [{**c, "kind": kind(c["arm"], data)} for c in controls],
    }


def _rows(
    metric: Mapping[str, Any], size: int, comparisons: Mapping[str, Any], data: Mapping[str, Any], say: Words
) -> list[dict[str, Any]]:
    """A row for each arm that has a result at this size."""
    arms = {arm["name"]: arm for arm in data["arms"]}
    names = [name for name in (data["baseline"], *arm_names(data)) if name in arms]
    outcomes = {name: outcome for name in names if (outcome := result(arms[name], size)) is not None}
    return [
        {
            "arm": name,
            "kind": kind(name, data),
            "share": outcome["composite_share"],
            "values": values(outcome, metric["key"]),
            "comparison": comparisons.get(name),
            "missing": "" if name == data["baseline"] else missing_reason(data, name, size, say),
        }
        for name, outcome in outcomes.items()
    ]
