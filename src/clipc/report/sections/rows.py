"""Look-ups that sections share: arms and their roles, comparisons, effects, and headings of metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from clipc.report import readable
from clipc.report.effect_plot import Effect
from clipc.report.words import Words

SHOWN_AT_ONCE = 24
"""Tables and plots with more rows than this are folded, except the first one."""


def effects(data: Mapping[str, Any], metric: Mapping[str, Any], size: int) -> dict[str, Effect]:
    """The effect of each arm that was compared with the baseline at a size, by the arm's name; controls last."""
    factor = readable.scale(metric["unit"]) * (1.0 if metric["higher_is_better"] else -1.0)
    rows = {c["arm"]: c for c in comparisons_with(data, metric["key"], size, data["baseline"])}
    return {
        name: Effect(
            factor * rows[name]["difference"],
            _scaled_ends(rows[name]["interval"], factor),
            _scaled_ends(rows[name]["both"], factor),
            tuple(factor * value for value in rows[name]["per_seed"]),
            name in data["controls"],
        )
        for name in arm_names(data)
        if name in rows
    }


def arm_names(data: Mapping[str, Any]) -> list[str]:
    """The names of all arms except the baseline, in the study's order, controls last."""
    names = [arm["name"] for arm in data["arms"] if arm["name"] != data["baseline"]]
    return sorted(names, key=lambda name: name in data["controls"])


def comparisons_with(data: Mapping[str, Any], key: str, size: int, against: str) -> list[Mapping[str, Any]]:
    """The comparisons of all arms with the arm ``against`` on one metric at one size."""
    wanted = (key, size, against)
    return [c for c in data["comparisons"] if (c["metric"], c["size"], c["against"]) == wanted]


def result(arm: Mapping[str, Any], size: int) -> Mapping[str, Any] | None:
    """An arm's result at a size; None if there is none."""
    return next((row for row in arm["results"] if row["size"] == size), None)


def values(outcome: Mapping[str, Any] | None, key: str) -> list[float]:
    """A metric's values in the finished trials of a result, without missing ones."""
    trials = outcome["trials"] if outcome else ()
    return [value for trial in trials if (value := trial["metrics"].get(key)) is not None]


def _scaled_ends(ends: Sequence[float | None] | None, factor: float) -> tuple[float, float] | None:
    low, high = ends or (None, None)
    if low is None or high is None:
        return None
    return min(factor * low, factor * high), max(factor * low, factor * high)


def heading(metric: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """A metric's readable name, sentence, unit, chance level, ceiling and number of test items."""
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
        "ceiling": readable.ceiling(metric["unit"], metric["ceiling"]),
    }


def missing_reason(data: Mapping[str, Any], name: str, size: int, say: Words) -> str:
    """Why an arm has no comparison at a size: the number of seeds that diverged, or that are finished."""
    arm = next(arm for arm in data["arms"] if arm["name"] == name)
    outcome = result(arm, size)
    seeds, num_diverged = len(data["seeds"]), diverged_count(data, name, size)
    if num_diverged:
        return say("study.diverged", n=num_diverged, of=seeds)
    return say("study.finished_seeds", n=len(outcome["trials"]) if outcome else 0, of=seeds)


def diverged_count(data: Mapping[str, Any], arm: str, size: int | None = None) -> int:
    """The number of trials of an arm, at one size or all, that ended because the loss was not a number."""
    return sum(row["arm"] == arm and size in (None, row["size"]) for row in data.get("diverged", ()))


def kind(name: str, data: Mapping[str, Any]) -> str:
    """The role of an arm: ``baseline``, ``control`` or ``arm``."""
    return "baseline" if name == data["baseline"] else "control" if name in data["controls"] else "treatment"
