"""The results of a study as rows: arms at each size, their comparisons, effect strips."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clipc.report import effect_plot, readable
from clipc.report.effect_plot import Effect
from clipc.report.study_diverged import missing_words
from clipc.report.words import Words

SHOWN_AT_ONCE = 24
"""Tables and plots of more rows than this start folded, after the first one."""


def metric_blocks(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """One block a metric, main metrics first: its name and, for each size, a row an arm."""
    ordered = sorted(data["metrics"], key=lambda metric: not metric["main"])
    return [_block(metric, data, say) for metric in ordered]


def effect_blocks(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """Effect strips of the main metrics: for each size, the largest first, a row an arm and the controls apart."""
    blocks: list[dict[str, Any]] = []
    for metric in data["metrics"]:
        found = {size: effects(data, metric, size) for size in reversed(data["sizes"])}
        drawn = [effect for rows in found.values() for effect in rows.values()]
        if not metric["main"] or not drawn:
            continue
        span = effect_plot.bounds(drawn)
        sizes = [_strips(data, metric, size, rows, span, say) for size, rows in found.items() if rows]
        blocks.append(
            {
                **_named(metric, say),
                "sizes": sizes,
                "axis": Markup(effect_plot.axis(span)),  # made of numbers alone
                "beyond": effect_plot.beyond(drawn, span),
            }
        )
    return blocks


def effects(data: Mapping[str, Any], metric: Mapping[str, Any], size: int) -> dict[str, Effect]:
    """What is drawn of each arm that was compared with the baseline at a size, in the study's order of arms."""
    factor = readable.scale(metric["unit"]) * (1.0 if metric["higher_is_better"] else -1.0)
    rows = {c["arm"]: c for c in versus(data, metric["key"], size, data["baseline"])}
    return {
        name: Effect(
            factor * rows[name]["difference"],
            _turned(rows[name]["interval"], factor),
            _turned(rows[name]["both"], factor),
            tuple(factor * value for value in rows[name]["per_seed"]),
            name in data["controls"],
        )
        for name in arm_names(data)
        if name in rows
    }


def arm_names(data: Mapping[str, Any]) -> list[str]:
    """The arms but the baseline, in the study's order, controls last."""
    names = [arm["name"] for arm in data["arms"] if arm["name"] != data["baseline"]]
    return sorted(names, key=lambda name: name in data["controls"])


def versus(data: Mapping[str, Any], key: str, size: int, against: str) -> list[Mapping[str, Any]]:
    """The comparisons with one arm on one metric at one size."""
    told = (key, size, against)
    return [c for c in data["comparisons"] if (c["metric"], c["size"], c["against"]) == told]


def result(arm: Mapping[str, Any], size: int) -> Mapping[str, Any] | None:
    """An arm's result at a size, if there is one."""
    return next((found for found in arm["results"] if found["size"] == size), None)


def values(found: Mapping[str, Any] | None, key: str) -> list[float]:
    """A metric's values over the finished trials of a result."""
    trials = found["trials"] if found else ()
    return [value for trial in trials if (value := trial["metrics"].get(key)) is not None]


def verdict_word(comparison: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> str:
    """The verdict in words; a gain that a control shows too is said to be none of composition's."""
    code = comparison["verdict"] or "none"
    shared = comparison["shown_by_controls"]
    if code == "gain" and shared and comparison["against"] == data["baseline"] and not is_control(comparison, data):
        return say("study.verdict_shared", controls=say("page.list").join(shared))
    return say(f"verdict.{code}")


def is_control(comparison: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Whether the compared arm is itself a control."""
    return comparison["arm"] in data["controls"]


def _turned(ends: Sequence[float | None] | None, factor: float) -> tuple[float, float] | None:
    low, high = ends or (None, None)
    if low is None or high is None:
        return None
    return min(factor * low, factor * high), max(factor * low, factor * high)


def _named(metric: Mapping[str, Any], say: Words) -> dict[str, Any]:
    key, axis = metric["key"], say.unit(metric["unit"], "axis")
    return {
        "key": key,
        "main": metric["main"],
        "unit": axis if metric["higher_is_better"] else say("effects.axis_turned", unit=axis),
        "turned": not metric["higher_is_better"],
        "name": say.metric(key),
        "gloss": say.gloss(key),
        "n": readable.count(metric["n"]),
        "chance": None if metric["chance"] is None else readable.level(metric["unit"], metric["chance"]),
    }


def _strips(
    data: Mapping[str, Any],
    metric: Mapping[str, Any],
    size: int,
    rows: Mapping[str, Effect],
    span: tuple[float, float],
    say: Words,
) -> dict[str, Any]:
    found = {c["arm"]: c for c in versus(data, metric["key"], size, data["baseline"])}
    told: list[dict[str, Any]] = []
    for name in arm_names(data):
        comparison = found.get(name)
        told.append(
            {
                "arm": name,
                "control": name in data["controls"],
                "strip": Markup(effect_plot.strip(rows[name], span)) if name in rows else None,  # numbers alone
                "difference": readable.signed(metric["unit"], comparison["difference"]) if comparison else None,
                "verdict": (comparison["verdict"] or "none") if comparison else "none",
                "said": _shortly(comparison, data, say) if comparison else _missing(data, name, size, say),
            }
        )
    groups = [[row for row in told if row["control"] is control] for control in (False, True)]
    return {"size": say("study.pairs", n=readable.count(size)), "arms": groups[0], "controls": groups[1]}


def _shortly(comparison: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> str:
    shared = comparison["verdict"] == "gain" and comparison["shown_by_controls"]
    if shared and not is_control(comparison, data):
        return say("study.verdict_shared_short")
    return say(f"verdict_short.{comparison['verdict'] or 'none'}")


def _missing(data: Mapping[str, Any], name: str, size: int, say: Words) -> str:
    arm = next(arm for arm in data["arms"] if arm["name"] == name)
    found = result(arm, size)
    return missing_words(data, name, size, len(found["trials"]) if found else 0, say)


def _block(metric: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    key: str = metric["key"]
    against = {size: {c["arm"]: c for c in versus(data, key, size, data["baseline"])} for size in data["sizes"]}
    controls = [c for c in data["comparisons"] if c["metric"] == key and c["against"] != data["baseline"]]
    return {
        **_named(metric, say),
        "sizes": [_size(metric, size, against[size], data, say) for size in reversed(data["sizes"])],
        "signs": any(c["p_sign"] is not None for rows in against.values() for c in rows.values()),
        "against_controls": [_told(c, data, say) for c in controls] if metric["main"] else [],
    }


def _size(
    metric: Mapping[str, Any], size: int, found: Mapping[str, Any], data: Mapping[str, Any], say: Words
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for name in [data["baseline"], *arm_names(data)]:
        arm = next((arm for arm in data["arms"] if arm["name"] == name), None)
        here = result(arm, size) if arm else None
        if here is None:
            continue
        level = values(here, metric["key"])
        rows.append(
            {
                "arm": name,
                "kind": kind(name, data),
                "share": readable.percent(here["composite_share"]) if here["composite_share"] else readable.NONE,
                "mean": readable.level(metric["unit"], readable.mean(level)),
                "seeds": len(level),
                "compared": _told(found[name], data, say) if name in found else None,
                "missing": "" if name == data["baseline"] else _missing(data, name, size, say),
            }
        )
    return {"size": say("study.pairs", n=readable.count(size)), "rows": rows}


def kind(name: str, data: Mapping[str, Any]) -> str:
    """``baseline``, ``control`` or ``arm``."""
    return "baseline" if name == data["baseline"] else "control" if name in data["controls"] else "arm"


def _told(comparison: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> dict[str, Any]:
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
        "verdict": comparison["verdict"] or "none",
        "said": verdict_word(comparison, data, say),
    }


def span_words(unit: str, ends: Sequence[float | None] | None, say: Words) -> str:
    """An interval of a metric's difference as people write it."""
    low, high = ends or (None, None)
    if low is None or high is None:
        return readable.NONE
    return say("page.range", low=readable.signed(unit, low), high=readable.signed(unit, high))


def p_value(p: float | None) -> str:
    """A p value in two figures: ``0.032``, ``0.41``, ``<0.001``."""
    if p is None:
        return readable.NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
