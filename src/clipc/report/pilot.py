"""The pilot's report: one HTML file that a manager can decide on, print, and send on."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import figures, readable
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
        "all_settings": _all_settings(data["settings"]),
        "samples": [sample(row) for row in data["samples"]],
        "effects": effects(data, say),
        "main": [block for block in blocks if block["main"]],
        "rest": [block for block in blocks if not block["main"]],
        "curves": _curves(data),
        "cost": _cost(data["composing_cost"], say),
        "limits": [_limit(code, say) for code in data["not_shown"]],
        "versions": _versions(data),
        "rejects": data["source"]["rejects"],
        "reasons": _reasons(data["source"]["rejects"]["reasons"], say),
    }
    return page("pilot.html", say, content)


def _facts(data: Mapping[str, Any], say: Words) -> list[tuple[str, list[tuple[str, str]]]]:
    """What was done, as groups of named lines."""
    source, settings, machine = data["source"], data["settings"], data["machine"]
    return [
        (say("done.data"), _data_facts(source, say)),
        (say("done.training"), _training_facts(settings, say)),
        (say("done.composing"), policy_facts(settings["policy"], say)),
        (say("done.effort"), _effort_facts(settings, machine, say)),
    ]


def _data_facts(source: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    counts = {split: readable.count(source["pairs"].get(split, 0)) for split in ("train", "val", "test")}
    captions = {split: readable.count(source["captions"].get(split, 0)) for split in ("train", "val", "test")}
    labels = [
        say("done.labels_value", column=column, n=source["classes"].get(column, readable.NONE))
        for column in source["label_columns"]
    ]
    unread = source["rejects"]["total"]
    name = source["name"] + (f" ({say('done.generated')})" if source["generated"] else "")
    facts = [
        (say("done.source"), name),
        (say("done.pairs"), say("done.pairs_value", **counts)),
        (say("done.captions"), say("done.pairs_value", **captions)),
        (say("done.splits"), say("done.splits_made" if source["splits_made"] else "done.splits_source")),
        (say("done.labels"), say("page.list").join(labels) if labels else say("done.labels_none")),
        (say("done.unread"), say("done.unread_value", n=readable.count(unread)) if unread else say("done.unread_none")),
    ]
    return [*facts, (say("done.notes"), say("page.list").join(source["notes"]))] if source["notes"] else facts


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


def _limit(code: str | Mapping[str, Any], say: Words) -> str:
    if isinstance(code, str):
        return say.limit(code, {})
    return say.limit(code["code"], {name: value for name, value in code.items() if name != "code"})


def _reasons(reasons: Mapping[str, int], say: Words, most: int = 12) -> list[tuple[str, int]]:
    """The commonest reasons why something was not read, and the rest as one."""
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    rest = ordered[most:]
    others = [(say("repeat.others", n=len(rest)), sum(n for _, n in rest))] if rest else []
    return ordered[:most] + others


def _versions(data: Mapping[str, Any]) -> str:
    machine = data["machine"]
    named = {"clipc": data["clipc"]} | {name: machine[name] for name in ("python", "torch", "open_clip")}
    return " · ".join(f"{name} {version}" for name, version in named.items())


def _all_settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every setting by its recipe name; nested ones by dotted name."""
    nested: dict[str, Mapping[str, Any]] = {name: v for name, v in settings.items() if isinstance(v, Mapping)}
    rows = [(name, str(value)) for name, value in settings.items() if name not in nested]
    for name, inner in nested.items():
        rows += [(f"{name}.{key}", repr(v) if isinstance(v, str) else str(v)) for key, v in inner.items()]
    return sorted(rows)
