"""What a study's page says of trials whose loss stopped being a number."""

from collections.abc import Mapping
from typing import Any

from clipc.report.words import Words


def missing_words(data: Mapping[str, Any], arm: str, size: int, finished: int, say: Words) -> str:
    """Why an arm has no comparison at a size: how many of its seeds diverged, or are finished."""
    seeds, lost = len(data["seeds"]), _lost(data, arm, size)
    if lost:
        return say("study.diverged", n=lost, of=seeds)
    return say("study.finished_seeds", n=finished, of=seeds)


def trials_words(data: Mapping[str, Any], arm: str, finished: int, say: Words) -> str:
    """How many of an arm's trials are finished, and how many diverged."""
    of = len(data["sizes"]) * len(data["seeds"])
    lost = _lost(data, arm)
    return f"{finished} / {of}" + (f" · {say('study.diverged', n=lost, of=of)}" if lost else "")


def diverged_cautions(data: Mapping[str, Any], say: Words) -> list[str]:
    """One sentence that names the arms, where there are any."""
    arms = list(dict.fromkeys(row["arm"] for row in data.get("diverged", ())))
    told = [f"{arm} ({_lost(data, arm)})" for arm in arms]
    return [say("study.caution_diverged", arms=say("page.list").join(told))] if told else []


def _lost(data: Mapping[str, Any], arm: str, size: int | None = None) -> int:
    return sum(row["arm"] == arm and size in (None, row["size"]) for row in data.get("diverged", ()))
