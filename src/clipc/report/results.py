"""The results of a pilot as rows: means over seeds, paired differences, effect strips."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clipc.report import figures, readable
from clipc.report.words import Words

PAIRS = (("augment", "clip"), ("clip-c", "clip"), ("clip-c", "augment"))
"""The comparisons in reading order; others follow as they come."""


def tables(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """One block a metric, main metrics first: its name, its arms' levels and its comparisons."""
    ordered = sorted(data["metrics"], key=lambda metric: not metric["main"])
    return [_block(metric, data, say) for metric in ordered]


def glances(data: Mapping[str, Any], say: Words, most: int = 4) -> list[dict[str, Any]]:
    """The first main metrics as large figures: CLIP's mean, CLIP-C's mean, and their difference."""
    blocks = [block for block in tables(data, say) if block["main"]]
    shown: list[dict[str, Any]] = []
    for block in blocks:
        arms = {row["arm"]: row for row in block["levels"]}
        versus = [c for c in block["comparisons"] if (c["arm"], c["against"]) == ("clip-c", "clip")]
        if versus and {"clip", "clip-c"} <= arms.keys():
            shown.append({**block, "before": arms["clip"], "after": arms["clip-c"], "versus": versus[0]})
    return shown[:most]


def effects(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """Groups of effect strips, one group a unit and direction, each with a common scale.

    Where less is better strips are turned round, so that to the right is better on every strip.
    """
    blocks = [block for block in tables(data, say) if block["main"] and block["comparisons"]]
    groups: list[dict[str, Any]] = []
    for unit, better in dict.fromkeys((block["unit"], block["better"]) for block in blocks):
        members = [block for block in blocks if (block["unit"], block["better"]) == (unit, better)]
        groups.append(_group(unit, len(groups), members) | {"turned": better < 0})
    return groups


def _block(metric: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    key: str = metric["key"]
    found = [c for c in data["comparisons"] if c["metric"] == key]
    found.sort(key=lambda c: _place((c["arm"], c["against"])))
    return {
        "key": key,
        "main": metric["main"],
        "unit": metric["unit"],
        "better": 1.0 if metric["higher_is_better"] else -1.0,
        "name": say.metric(key),
        "gloss": say.gloss(key),
        "n": readable.count(metric["n"]),
        "chance": readable.level(metric["unit"], metric["chance"]) if metric["chance"] is not None else None,
        "levels": [_level(metric, arm, say) for arm in data["arms"]],
        "comparisons": [_comparison(metric["unit"], c, say) for c in found],
    }


def _place(pair: tuple[str, str]) -> int:
    return PAIRS.index(pair) if pair in PAIRS else len(PAIRS)


def _level(metric: Mapping[str, Any], arm: Mapping[str, Any], say: Words) -> dict[str, Any]:
    key, unit = metric["key"], metric["unit"]
    values = [v for trial in arm["trials"] if (v := trial["metrics"].get(key)) is not None]
    low, high = (readable.level(unit, end(values)) if values else readable.NONE for end in (min, max))
    return {
        "arm": arm["name"],
        "name": say.arm(arm["name"]),
        "seeds": len(values),
        "mean": readable.level(unit, readable.mean(values)),
        "spread": say("page.range", low=low, high=high) if values else readable.NONE,
    }


def _comparison(unit: str, row: Mapping[str, Any], say: Words) -> dict[str, Any]:
    interval = readable.interval(row)
    low, high = (readable.signed(unit, end) for end in interval) if interval else (None, None)
    return {
        "arm": row["arm"],
        "against": row["against"],
        "name": say("against", arm=say.arm(row["arm"]), against=say.arm(row["against"])),
        "to": say.arm(row["against"]),
        "difference": readable.signed(unit, row["difference"]),
        "interval": say("page.range", low=low, high=high) if interval else readable.NONE,
        "test_error": readable.plain(unit, row["test_error"]),
        "verdict": row["verdict"] or "none",
        "said": say(f"verdict.{row['verdict'] or 'none'}"),
        "shortly": say(f"verdict_short.{row['verdict'] or 'none'}"),
        "raw": row,
    }


def _group(unit: str, number: int, blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    reach: list[float] = []
    for block in blocks:
        for comparison in block["comparisons"]:
            drawn = comparison["drawn"] = _drawn(block, comparison["raw"])
            reach += [drawn["difference"], *(drawn["interval"] or ()), *drawn["per_seed"]]
            error = 1.96 * (drawn["test_error"] or 0.0)
            reach += [drawn["difference"] - error, drawn["difference"] + error]
    bounds = figures.limits(reach)
    for at, block in enumerate(blocks):
        for of, comparison in enumerate(block["comparisons"]):
            name = f"effect-{number}-{at}-{of}"
            strip = figures.effect_strip(name, comparison["arm"], bounds=bounds, **comparison.pop("drawn"))
            comparison["strip"] = Markup(strip)  # made of numbers alone
    return {"unit": unit, "blocks": blocks, "axis": Markup(figures.effect_axis(f"axis-{number}", bounds))}


def _drawn(block: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison in the axis' unit, with better to the right."""
    factor = block["better"] * readable.scale(block["unit"])
    interval = readable.interval(row)
    return {
        "difference": factor * row["difference"],
        "interval": (min(factor * end for end in interval), max(factor * end for end in interval))
        if interval
        else None,
        "test_error": abs(factor) * row["test_error"] if row["test_error"] is not None else None,
        "per_seed": [factor * value for value in row["per_seed"]],
    }
