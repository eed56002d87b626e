"""A study's report: one HTML file for a reviewer who doubts, from the verdict down to every trial's name."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import marks, readable
from clipc.report.facts import all_settings, data_facts, limit, reasons, versions
from clipc.report.page import date, page
from clipc.report.study_curves import study_curves
from clipc.report.study_differences import study_differences
from clipc.report.study_diverged import trials_words
from clipc.report.study_results import SHOWN_AT_ONCE, effect_blocks, kind, metric_blocks
from clipc.report.study_search import search_rows
from clipc.report.study_verdict import study_verdict
from clipc.report.words import Words, words


def render_study(data: dict[str, Any], *, lang: str = "en") -> str:
    """The report of one study as one self-contained HTML page.

    Nothing in it is asked for from elsewhere: figures are inline SVG, there are no scripts, and the page's own policy
    forbids a browser to fetch anything. All text of the data is escaped.

    Args:
        data: The tables of ``study.json``: arms, the metrics of each trial, comparisons, curves, power.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.

    Raises:
        UserError: There are no words in that language.
    """
    say = words(lang)
    blocks = metric_blocks(data, say)
    main = [block for block in blocks if block["main"]]
    content = {
        "data": data,
        "source": data["source"],
        "created": date(data["created"], say),
        "verdict": study_verdict(data, say),
        "asked": _asked(data, say),
        "icons": {code: Markup(marks.icon(drawn)) for code, drawn in _ICONS.items()},  # our own marks
        "effects": effect_blocks(data, say),
        "at_once": SHOWN_AT_ONCE,
        "differences": study_differences(data, say),
        "curves": study_curves(data, say),
        "main": main,
        "many": sum(len(size["rows"]) for block in main for size in block["sizes"]) > SHOWN_AT_ONCE,
        "rest": [block for block in blocks if not block["main"]],
        "search": search_rows(data, say),
        "power": [_power(row, say) for row in data["power"]],
        "limits": [limit(code, say) for code in data["not_shown"]],
        "facts": _facts(data, say),
        "arms": [_arm(arm, data, say) for arm in data["arms"]],
        "runs": [trial["run"] for arm in data["arms"] for found in arm["results"] for trial in found["trials"]],
        "all_settings": all_settings(data["settings"]),
        "versions": versions(data),
        "reasons": reasons(data["source"]["rejects"]["reasons"], say),
    }
    return page("study.html", say, content)


_ICONS = {"baseline": marks.BASELINE, "arm": marks.ARM, "control": marks.CONTROL}


def _asked(data: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    """What was asked and on what data, in a few named lines."""
    pairs, settings = data["source"]["pairs"], data["settings"]
    others = [arm["name"] for arm in data["arms"] if kind(arm["name"], data) == "arm"]
    listed = say("page.list")
    counts = {split: readable.count(pairs.get(split, 0)) for split in ("train", "val", "test")}
    rows = [
        (say("done.source"), data["source"]["name"]),
        (say("done.pairs"), say("done.pairs_value", **counts)),
        (say("study.asked.sizes"), listed.join(readable.count(size) for size in data["sizes"])),
        (say("study.asked.baseline"), data["baseline"]),
        (say("study.asked.arms"), say("study.asked.arms_value", n=len(others))),
        (say("study.asked.controls"), listed.join(data["controls"]) or say("page.none")),
        (say("study.asked.seeds"), listed.join(map(str, data["seeds"]))),
    ]
    if (samples := settings.get("samples")) is not None:
        rows.append((say("study.asked.samples"), readable.count(samples)))
    trials = say("study.asked.trials_value", n=readable.count(data["finished"]), of=readable.count(data["planned"]))
    return [*rows, (say("study.asked.trials"), trials)]


def _facts(data: Mapping[str, Any], say: Words) -> list[tuple[str, list[tuple[str, str]]]]:
    """What was done, as groups of named lines; settings that differ between arms are not among them."""
    settings, machine = data["settings"], data["machine"]
    training: list[tuple[str, str]] = []
    if {"model", "parameters"} <= settings.keys():
        parameters = readable.short(settings["parameters"])
        training.append((say("done.model"), say("done.model_value", name=settings["model"], parameters=parameters)))
    if "image_size" in settings:
        training.append((say("done.image"), say("done.image_value", size=settings["image_size"])))
    for name in ("samples", "batch_size", "steps"):
        if settings.get(name) is not None:
            training.append((say(f"study.training.{name}"), readable.count(settings[name])))
    if settings.get("prompts"):
        training.append((say("done.prompts"), str(settings["prompts"])))
    device = machine["gpu"] or str(machine["device"]).upper()
    where = say("done.machine_value", cpu=machine["cpu"], cores=machine["cores"], device=device)
    effort = [(say("done.machine"), where), (say("repeat.versions"), versions(data))]
    spent = sum(
        trial["core_seconds"] or 0.0 for arm in data["arms"] for found in arm["results"] for trial in found["trials"]
    )
    effort.append((say("study.core_hours"), readable.tidy(spent / 3600)))
    groups = [(say("done.data"), data_facts(data["source"], say)), (say("done.training"), training)]
    return [*((title, rows) for title, rows in groups if rows), (say("done.effort"), effort)]


def _arm(arm: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    trials = [trial for found in arm["results"] for trial in found["trials"]]
    shares = sorted({readable.percent(found["treated_share"] or 0.0) for found in arm["results"]})
    seconds = [trial["core_seconds"] for trial in trials if trial["core_seconds"] is not None]
    rates = [trial["pairs_per_second"] for trial in trials if trial["pairs_per_second"] is not None]
    return {
        "arm": arm["name"],
        "kind": kind(arm["name"], data),
        "what": arm["what"],
        "changes": [
            (key, repr(value) if isinstance(value, str) else str(value)) for key, value in arm["changes"].items()
        ],
        "share": " / ".join(shares) or readable.NONE,
        "trials": trials_words(data, arm["name"], len(trials), say),
        "core_seconds": readable.tidy(readable.mean(seconds)),
        "rate": readable.tidy(readable.mean(rates)),
    }


def _power(row: Mapping[str, Any], say: Words) -> dict[str, Any]:
    unit = row["unit"]
    return {
        "name": say.metric(row["metric"]),
        "sd": readable.plain(unit, row["sd"]),
        "pairs_of_arms": row["pairs_of_arms"],
        "unit": say.unit(unit, "difference"),
        "floor": readable.plain(unit, row["floor"]),
        "rows": [
            (
                readable.plain(unit, r["difference"]),
                say("study.power.never") if r["seeds"] is None else readable.count(r["seeds"]),
            )
            for r in row["rows"]
        ],
    }
