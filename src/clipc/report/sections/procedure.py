"""The sections on a study's question, its procedure, its search for settings, and how to repeat it."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import format_date, fragment
from clipc.report.policy import policy_facts
from clipc.report.sections.rows import diverged_count, heading, kind
from clipc.report.words import Words


def question(data: Mapping[str, Any], say: Words) -> Markup:
    """The question of a study: its arms, sizes, seeds, data and main metrics."""
    main = [heading(metric, say) for metric in data["metrics"] if metric["main"]]
    treatments = sum(kind(arm["name"], data) == "treatment" for arm in data["arms"])
    return fragment("question.html", say, data=data, treatments=treatments, main=main)


def procedure(data: Mapping[str, Any], say: Words) -> Markup:
    """The data, the training, the effort, and the changes of each arm."""
    policies = [(arm["arm"], policy_facts(arm["policy"], say, arm.get("group"))) for arm in data.get("composites", ())]
    core_seconds = sum(seconds for arm in data["arms"] for seconds in _trial_values(arm, "core_seconds"))
    arms = [_arm(arm, data) for arm in data["arms"]]
    return fragment("procedure.html", say, data=data, policies=policies, core_seconds=core_seconds, arms=arms)


def search(data: Mapping[str, Any], say: Words) -> Markup:
    """The results of the search for settings, one row per arm; empty without a search."""
    return fragment("search.html", say, search=data["search"]) if data.get("search") else Markup()


def reproduction(data: Mapping[str, Any], say: Words) -> Markup:
    """The command, fingerprint, versions, rejected files, settings, and names of all trials."""
    trials = [(arm["name"], trial) for arm in data["arms"] for result in arm["results"] for trial in result["trials"]]
    runs = [(name, kind(name, data), run) for name, trial in trials for run in trial["runs"]]
    created, settings = format_date(data["created"], say), _all_settings(data["settings"])
    return fragment("reproduction.html", say, data=data, created=created, settings=settings, runs=runs)


def _arm(arm: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **arm,
        "kind": kind(arm["name"], data),
        "shares": sorted({readable.percent(result["treated_share"] or 0.0) for result in arm["results"]}),
        "finished": sum(len(trial["runs"]) for result in arm["results"] for trial in result["trials"]),
        "diverged": diverged_count(data, arm["name"]),
        "core_seconds": readable.mean(_trial_values(arm, "core_seconds")),
        "score_seconds": readable.mean(_scoring_seconds(arm)),
        "rate": readable.mean(_trial_values(arm, "pairs_per_second")),
    }


def _trial_values(arm: Mapping[str, Any], key: str) -> list[float]:
    """A value of each of an arm's trials, without missing values."""
    return [trial[key] for result in arm["results"] for trial in result["trials"] if trial[key] is not None]


def _scoring_seconds(arm: Mapping[str, Any]) -> list[float]:
    """The seconds in which composites were scored, of each trial that has scores."""
    trials = [trial for result in arm["results"] for trial in result["trials"]]
    return [seconds for trial in trials if (seconds := trial.get("score_core_seconds"))]


def _all_settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs of recipe key and value, sorted by key; nested keys are dotted."""
    rows = [(name, str(value)) for name, value in settings.items() if not isinstance(value, Mapping)]
    for name, nested in settings.items():
        if isinstance(nested, Mapping):
            rows += [(f"{name}.{key}", repr(value)) for key, value in nested.items()]
    return sorted(rows)
