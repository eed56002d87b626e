"""The question of a study, what was done, and how to repeat it."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import date, fragment
from clipc.report.policy import policy_facts
from clipc.report.sections.rows import diverged, heading, kind
from clipc.report.words import Words


def asked(data: Mapping[str, Any], say: Words) -> Markup:
    """The question, and on what data it was asked."""
    main = [heading(metric, say) for metric in data["metrics"] if metric["main"]]
    return fragment("asked.html", say, note=data["note"], asked=_question_rows(data, say), main=main)


def done(data: Mapping[str, Any], say: Words) -> Markup:
    """Data, training, effort, and what each arm changes."""
    return fragment("done.html", say, facts=_facts(data, say), arms=[_arm(arm, data, say) for arm in data["arms"]])


def repeat(data: Mapping[str, Any], say: Words) -> Markup:
    """Command, fingerprint and versions; what could not be read; all settings; the names of all trials."""
    trials = [(arm["name"], result) for arm in data["arms"] for result in arm["results"]]
    return fragment(
        "repeat.html",
        say,
        data=data,
        created=date(data["created"], say),
        versions=_versions(data),
        reasons=_reasons(data["source"]["rejects"]["reasons"], say),
        all_settings=_all_settings(data["settings"]),
        runs=[(name, kind(name, data), trial["run"]) for name, result in trials for trial in result["trials"]],
    )


def _question_rows(data: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    """The question and the data, as named lines."""
    pairs, settings = data["source"]["pairs"], data["settings"]
    treatments = [arm["name"] for arm in data["arms"] if kind(arm["name"], data) == "arm"]
    separator = say("page.list")
    counts = {split: readable.count(pairs.get(split, 0)) for split in ("train", "val", "test")}
    rows = [
        (say("done.source"), data["source"]["name"]),
        (say("done.pairs"), say("done.pairs_value", **counts)),
        (say("study.asked.sizes"), separator.join(readable.count(size) for size in data["sizes"])),
        (say("study.asked.baseline"), data["baseline"]),
        (say("study.asked.arms"), say("study.asked.arms_value", n=len(treatments))),
        (say("study.asked.controls"), separator.join(data["controls"]) or say("page.none")),
        (say("study.asked.seeds"), separator.join(map(str, data["seeds"]))),
    ]
    if (samples := settings.get("samples")) is not None:
        rows.append((say("study.asked.samples"), readable.count(samples)))
    trials = say("study.asked.trials_value", n=readable.count(data["finished"]), of=readable.count(data["planned"]))
    return [*rows, (say("study.asked.trials"), trials)]


def _facts(data: Mapping[str, Any], say: Words) -> list[tuple[str, list[tuple[str, str]]]]:
    """What was done, as groups of named lines; settings that differ between arms are not among them."""
    composites = data.get("composites", ())
    groups = [
        (say("done.data"), _data_facts(data["source"], say)),
        (say("done.training"), _training_facts(data, say)),
        *(
            (say("done.composing") if len(composites) == 1 else arm["arm"], policy_facts(arm["policy"], say))
            for arm in composites
        ),
        (say("done.effort"), _effort_facts(data, say)),
    ]
    return [(title, rows) for title, rows in groups if rows]


def _training_facts(data: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    settings, facts = data["settings"], list[tuple[str, str]]()
    if {"model", "parameters"} <= settings.keys():
        parameters = readable.short(settings["parameters"])
        facts.append((say("done.model"), say("done.model_value", name=settings["model"], parameters=parameters)))
    if "image_size" in settings:
        facts.append((say("done.image"), say("done.image_value", size=settings["image_size"])))
    for name, format_number in (
        ("samples", readable.count),
        ("batch_size", readable.count),
        ("steps", readable.count),
        ("epochs", readable.tidy),
    ):
        if settings.get(name) is not None:
            facts.append((say(f"study.training.{name}"), format_number(settings[name])))
    facts.append((say("done.seeds"), say("page.list").join(map(str, data["seeds"]))))
    return [*facts, (say("done.prompts"), str(settings["prompts"]))] if settings.get("prompts") else facts


def _effort_facts(data: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    machine, facts = data["machine"], list[tuple[str, str]]()
    if budget := data.get("budget"):
        minutes = {"taken": f"{budget['minutes_taken']:.1f}", "allowed": f"{budget['minutes']:g}"}
        facts.append((say("done.time"), say("done.time_value", **minutes, budget=budget["name"])))
        facts.append((say("done.jobs"), str(budget["jobs"])))
    device = machine["gpu"] or str(machine["device"]).upper()
    where = say("done.machine_value", cpu=machine["cpu"], cores=machine["cores"], device=device)
    trials = [trial for arm in data["arms"] for result in arm["results"] for trial in result["trials"]]
    core_seconds = sum(trial["core_seconds"] or 0.0 for trial in trials)
    return [*facts, (say("done.machine"), where), (say("study.core_hours"), readable.tidy(core_seconds / 3600))]


def _arm(arm: Mapping[str, Any], data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    trials = [trial for result in arm["results"] for trial in result["trials"]]
    shares = sorted({readable.percent(result["treated_share"] or 0.0) for result in arm["results"]})
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
        "trials": _trials(data, arm["name"], len(trials), say),
        "core_seconds": readable.tidy(readable.mean(seconds)),
        "rate": readable.tidy(readable.mean(rates)),
    }


def _trials(data: Mapping[str, Any], arm: str, finished: int, say: Words) -> str:
    """How many of an arm's trials are finished, and how many diverged."""
    total = len(data["sizes"]) * len(data["seeds"])
    num_diverged = diverged(data, arm)
    return f"{finished} / {total}" + (f" · {say('study.diverged', n=num_diverged, of=total)}" if num_diverged else "")


def _data_facts(source: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    """Facts of the data, as named lines."""
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


def _reasons(reasons: Mapping[str, int], say: Words, limit: int = 12) -> list[tuple[str, int]]:
    """The commonest reasons why something was not read, and the rest as one."""
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    rest = ordered[limit:]
    others = [(say("repeat.others", n=len(rest)), sum(n for _, n in rest))] if rest else []
    return ordered[:limit] + others


def _versions(data: Mapping[str, Any]) -> str:
    """The versions of the software, in one line."""
    machine = data["machine"]
    versions = {"clipc": data["clipc"]} | {name: machine[name] for name in ("python", "torch", "open_clip")}
    return " · ".join(f"{name} {version}" for name, version in versions.items())


def _all_settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every setting by its recipe name; nested ones by dotted name."""
    nested: dict[str, Mapping[str, Any]] = {name: v for name, v in settings.items() if isinstance(v, Mapping)}
    rows = [(name, str(value)) for name, value in settings.items() if name not in nested]
    for name, inner in nested.items():
        rows += [(f"{name}.{key}", repr(v) if isinstance(v, str) else str(v)) for key, v in inner.items()]
    return sorted(rows)
