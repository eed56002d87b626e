"""What every report of an experiment tells of its data, settings, versions and limits."""

from collections.abc import Mapping
from typing import Any

from clipc.report import readable
from clipc.report.words import Words


def data_facts(source: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    """What is known of the data, as named lines."""
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


def limit(code: str | Mapping[str, Any], say: Words) -> str:
    """The sentence for one entry of ``not_shown``: a code, or a code with its parameters."""
    if isinstance(code, str):
        return say.limit(code, {})
    return say.limit(code["code"], {name: value for name, value in code.items() if name != "code"})


def reasons(reasons: Mapping[str, int], say: Words, most: int = 12) -> list[tuple[str, int]]:
    """The commonest reasons why something was not read, and the rest as one."""
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    rest = ordered[most:]
    others = [(say("repeat.others", n=len(rest)), sum(n for _, n in rest))] if rest else []
    return ordered[:most] + others


def versions(data: Mapping[str, Any]) -> str:
    """The versions of what computed the figures, in one line."""
    machine = data["machine"]
    named = {"clipc": data["clipc"]} | {name: machine[name] for name in ("python", "torch", "open_clip")}
    return " · ".join(f"{name} {version}" for name, version in named.items())


def all_settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every setting by its recipe name; nested ones by dotted name."""
    nested: dict[str, Mapping[str, Any]] = {name: v for name, v in settings.items() if isinstance(v, Mapping)}
    rows = [(name, str(value)) for name, value in settings.items() if name not in nested]
    for name, inner in nested.items():
        rows += [(f"{name}.{key}", repr(v) if isinstance(v, str) else str(v)) for key, v in inner.items()]
    return sorted(rows)
