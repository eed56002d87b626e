"""The pilot's report: one HTML file that a manager can decide on, print, and send on."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import figures, readable
from clipc.report.facts import all_settings, data_facts, limit, reasons, versions
from clipc.report.page import date, page, sample
from clipc.report.policy import policy_facts
from clipc.report.results import effects, glances, tables
from clipc.report.verdict import verdict
from clipc.report.words import Words, words


def render_pilot(data: dict[str, Any], *, lang: str = "en") -> str:
    """The report of one pilot as one self-contained HTML page.

    Nothing in it is asked for from elsewhere: pictures are ``data:`` URIs, figures inline SVG, no scripts, and the
    page's own policy forbids a browser to fetch anything. All text of the data is escaped.

    Args:
        data: The tables of ``report.json``: what was run, the metrics of each trial, the comparisons, samples.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.

    Raises:
        UserError: There are no words in that language.
        ValueError: A sample's picture is no ``data:`` URI.
    """
    say = words(lang)
    blocks = tables(data, say)
    content = {
        "data": data,
        "source": data["source"],
        "settings": data["settings"],
        "created": date(data["created"], say),
        "verdict": verdict(data, say),
        "glances": glances(data, say),
        "facts": _facts(data, say),
        "arms": [_arm(arm, say) for arm in data["arms"]],
        "all_settings": all_settings(data["settings"]),
        "samples": [sample(row) for row in data["samples"]],
        "effects": effects(data, say),
        "main": [block for block in blocks if block["main"]],
        "rest": [block for block in blocks if not block["main"]],
        "curves": _curves(data),
        "cost": _cost(data["composing_cost"], say),
        "limits": [limit(code, say) for code in data["not_shown"]],
        "versions": versions(data),
        "rejects": data["source"]["rejects"],
        "reasons": reasons(data["source"]["rejects"]["reasons"], say),
    }
    return page("pilot.html", say, content)


def _facts(data: Mapping[str, Any], say: Words) -> list[tuple[str, list[tuple[str, str]]]]:
    """What was done, as groups of named lines."""
    source, settings, machine = data["source"], data["settings"], data["machine"]
    return [
        (say("done.data"), data_facts(source, say)),
        (say("done.training"), _training_facts(settings, say)),
        (say("done.composing"), policy_facts(settings["policy"], say)),
        (say("done.effort"), _effort_facts(settings, machine, say)),
    ]


def _training_facts(settings: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    seen = {key: readable.count(settings[key]) for key in ("samples", "steps")}
    seen |= {"batch": readable.count(settings["batch_size"]), "epochs": readable.tidy(settings["epochs"])}
    parameters = readable.short(settings["parameters"])
    facts = [
        (say("done.model"), say("done.model_value", name=settings["model"], parameters=parameters)),
        (say("done.image"), say("done.image_value", size=settings["image_size"])),
        (say("done.seen"), say("done.seen_value", **seen)),
        (say("done.seeds"), say("page.list").join(map(str, settings["seeds"]))),
    ]
    return [*facts, (say("done.prompts"), str(settings["prompts"]))] if settings.get("prompts") else facts


def _effort_facts(settings: Mapping[str, Any], machine: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    time = {"taken": f"{settings['minutes_taken']:.1f}", "budget": settings["budget"]}
    if settings.get("minutes") is None:
        taken = say("done.time_free", **time)
    else:
        taken = say("done.time_value", allowed=f"{settings['minutes']:g}", **time)
    device = machine["gpu"] or str(machine["device"]).upper()
    where = say("done.machine_value", cpu=machine["cpu"], cores=machine["cores"], device=device)
    return [
        (say("done.time"), taken),
        (say("done.jobs"), str(settings["jobs"])),
        (say("done.machine"), where),
    ]


def _arm(arm: Mapping[str, Any], say: Words) -> dict[str, Any]:
    trials = arm["trials"]
    return {
        "arm": arm["name"],
        "name": say.arm(arm["name"]),
        "what": say.either(f"arm_what.{arm['name']}", ""),
        "share": f"{arm['composite_share']:.1%}" if arm["composite_share"] else readable.NONE,
        "trials": len(trials),
        "core_seconds": readable.tidy(readable.mean([trial["core_seconds"] for trial in trials])),
        "rate": readable.tidy(readable.mean([trial["pairs_per_second"] for trial in trials])),
        "runs": [trial["run"] for trial in trials],
    }


def _curves(data: Mapping[str, Any]) -> dict[str, Any]:
    """The loss and validation figures; empty where nothing was recorded."""
    drawn: dict[str, Any] = {}
    for kind, factor in (("loss", 1.0), ("validation", 100.0)):
        arms = [
            (arm["name"], [[(s, factor * v) for s, v in trial["curves"].get(kind, [])] for trial in arm["trials"]])
            for arm in data["arms"]
        ]
        if any(points for _, trials in arms for points in trials):
            drawn[kind] = Markup(figures.curves(f"curve-{kind}", arms))  # made of numbers alone
    return drawn


def _cost(cost: Mapping[str, Any] | None, say: Words) -> dict[str, Any] | None:
    if cost is None:
        return None
    ratio = cost["ratio"]
    rates = {"plain": cost["pairs_per_second_plain"], "composed": cost["pairs_per_second_composed"]}
    top = max(*rates.values(), 1e-9)
    slower = ratio < 0.9995
    return {
        "said": say("cost.slower", percent=f"{1 - ratio:.1%}") if slower else say("cost.faster"),
        "bars": [
            (say(f"cost.{kind}"), say("cost.rate", rate=readable.tidy(rate)), f"{100 * rate / top:.1f}")
            for kind, rate in rates.items()
        ],
        "ratio": say("cost.ratio", ratio=f"{ratio:.3f}"),
        "what": say.either(f"cost.{cost['what']}", str(cost["what"])),
    }
