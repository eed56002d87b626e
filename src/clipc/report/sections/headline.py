"""The first section of a page: the verdict in words, the main metrics at a glance, and their limitations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import fragment
from clipc.report.sections.rows import comparisons_with, diverged_count, heading, result, values
from clipc.report.words import Words

CLASSES = ("gain", "shared", "uncontrolled", "mixed", "loss", "none", "waiting", "unknown")
"""The classes of an arm, in the order of the tally."""


@dataclass(frozen=True)
class Headline:
    """The texts of the first section.

    Attributes:
        sentence: The result of the arms under test against the baseline.
        more: Further sentences: what a gain is attributed to, what the controls show, and what recall cannot show.
        badge: The class of the only arm under test, and its name in words; None with several arms.
        tally: For each class with arms its code, its name in words and the number of arms; empty with a single arm.
        limitations: Sentences on undetectable effects, missing trials and generated images.
    """

    sentence: str
    more: tuple[str, ...]
    badge: tuple[str, str] | None
    tally: tuple[tuple[str, str, int], ...]
    limitations: tuple[str, ...]


def headline(data: Mapping[str, Any], say: Words) -> Markup:
    """The verdict of an experiment, and its limitations."""
    return fragment("headline.html", say, verdict=headline_words(data, say), glances=glances(data, say), data=data)


def headline_words(data: Mapping[str, Any], say: Words) -> Headline:
    """The verdict of an experiment in words."""
    classes = list(data["verdict"]["arms"].values())
    single = classes[0] if len(classes) == 1 else None
    counts = [(code, say(f"study.class.{code}"), classes.count(code)) for code in CLASSES if code in classes]
    return Headline(
        _sentence(data, say),
        (*_credit(data, say), *_controls(data, say), *_few_captions(data, say)),
        None if single is None else (single, say(f"study.class.{single}")),
        tuple(counts) if single is None else (),
        tuple(_limitations(data, say)),
    )


def glances(data: Mapping[str, Any], say: Words, limit: int = 4) -> list[dict[str, Any]]:
    """The first main metrics: the baseline's mean, the arm's mean, and their difference.

    Empty unless exactly one arm is under test, at a single size.
    """
    arms = {arm["name"]: arm for arm in data["arms"]}
    treatments = list(data["verdict"]["arms"])
    if len(treatments) != 1 or len(data["sizes"]) != 1 or not {data["baseline"], *treatments} <= arms.keys():
        return []
    size, entries = data["sizes"][0], list[dict[str, Any]]()
    for metric in data["metrics"]:
        key, unit = metric["key"], metric["unit"]
        comparisons = {c["arm"]: c for c in comparisons_with(data, key, size, data["baseline"])}
        if metric["main"] and treatments[0] in comparisons:
            before, after = (
                readable.level(unit, readable.mean(values(result(arms[name], size), key)))
                for name in (data["baseline"], treatments[0])
            )
            row = {"metric": metric, "before": before, "after": after, "comparison": comparisons[treatments[0]]}
            entries.append({**heading(metric, say), **row})
    return entries[:limit]


def multiple_testing_note(data: Mapping[str, Any], say: Words) -> str:
    """A sentence on the number of verdicts, Holm's correction, and the rate of false gains; empty without verdicts."""
    counts = data["verdict"]["looks"]
    if counts is None:
        return ""
    numbers = {"n": counts["with_baseline"], "more": counts["with_controls"], "families": counts["families"]}
    return say(
        "study.looks",
        **{name: readable.count(count) for name, count in numbers.items()},
        measures=counts["metrics"],
        rate=readable.percent(counts["false_gain"]),
        baseline=data["baseline"],
    )


def _sentence(data: Mapping[str, Any], say: Words) -> str:
    verdict, baseline = data["verdict"]["headline"], data["baseline"]
    code = verdict["code"]
    if verdict["arm"] is None:
        key = "mixed_shared" if code == "mixed" and verdict["shared"] else code
        counts = {"n": verdict["compared"], "found": verdict["found"], "shared": verdict["shared"]}
        return say(f"study.headline.{key}", **counts, baseline=baseline)
    key = {"gain": "better", "shared": "better", "uncontrolled": "better", "loss": "worse"}.get(code, code)
    count = verdict["losses"] if key == "worse" else verdict["gains"]
    on = _fraction_words(count, verdict["comparisons"], data, say)
    return say(f"study.headline_one.{key}", arm=verdict["arm"], baseline=baseline, on=on, losses=verdict["losses"])


def _fraction_words(count: int, total: int, data: Mapping[str, Any], say: Words) -> str:
    """``count`` of ``total`` main metrics in words; with several sizes, of comparisons on main metrics."""
    if len(data["sizes"]) > 1:
        return say("study.on.comparisons", k=count, n=total)
    return say(f"study.on.{'some' if count < total else 'one' if total == 1 else 'all'}", k=count, n=total)


def _credit(data: Mapping[str, Any], say: Words) -> Iterator[str]:
    """A sentence on whether controls show the gains of the only arm under test too; none with several arms."""
    verdict, controls = data["verdict"]["headline"], data["verdict"]["controls"]
    if verdict["arm"] is None or not verdict["gains"] or controls["code"] not in ("gain", "none"):
        return
    key = "all" if verdict["own"] == verdict["gains"] else "some" if verdict["own"] else "none"
    names = say("page.list").join(controls["names"])
    yield say(f"study.credit.{key}", names=names, own=verdict["own"], gains=verdict["gains"])


def _controls(data: Mapping[str, Any], say: Words) -> Iterator[str]:
    verdict, separator = data["verdict"]["controls"], say("page.list")
    names = {"names": separator.join(verdict["names"]), "gains": separator.join(verdict["gains"])}
    yield say(f"study.controls.{verdict['code']}", **names, baseline=data["baseline"])


def _few_captions(data: Mapping[str, Any], say: Words) -> Iterator[str]:
    """A sentence on what recall cannot show, where few captions are distinct."""
    few = data.get("few_captions")
    if few is None:
        return
    first = next((m for m in data["metrics"] if m["main"] and m["ceiling"] is None), None)
    if first is None:
        yield say("few_captions.recall_only", **readable.few_captions_texts(few))
    else:
        code = "class_names" if readable.ceiling(readable.SHARE, few["ceiling"]) is None else "first"
        yield say(f"few_captions.{code}", **readable.few_captions_texts(few), metric=say.metric(first["key"]))


def _limitations(data: Mapping[str, Any], say: Words) -> Iterator[str]:
    if data["source"]["generated"]:
        yield say("caution.generated")
    for entry in data.get("not_shown", ()):
        if isinstance(entry, Mapping) and entry["code"] == "small-test-set" and entry.get("few"):
            yield say.limit("small-test-set", entry)
    yield from _resolution(data, say)
    if data["finished"] < data["planned"]:
        counts = {name: readable.count(data[key]) for name, key in (("n", "finished"), ("planned", "planned"))}
        yield say("study.unfinished", **counts)
    separator = say("page.list")
    if arms := list(dict.fromkeys(row["arm"] for row in data.get("diverged", ()))):
        yield say("study.caution_diverged", arms=separator.join(f"{arm} ({diverged_count(data, arm)})" for arm in arms))
    tries = {row["arm"]: row["wanted"] for row in data.get("search", ())}
    if fewer := [arm for arm, count in tries.items() if count < max(tries.values())]:
        yield say("study.search.caution", few=separator.join(fewer))
    if excluded := [row["arm"] for row in data.get("search", ()) if row["settings"] is None]:
        yield say.limit("search-left-out", {"arms": separator.join(excluded)})


def _resolution(data: Mapping[str, Any], say: Words) -> Iterator[str]:
    """A sentence on the half-widths of the intervals of the arms under test: smaller effects are hardly detectable."""
    shares = {m["key"] for m in data["metrics"] if m["main"] and m["unit"] == readable.SHARE}
    half_widths = [
        50.0 * max(ends[1] - ends[0] for ends in (c["interval"], c["both"]) if ends and None not in ends)
        for c in data["comparisons"]
        if c["metric"] in shares and c["against"] == data["baseline"] and c["arm"] in data["verdict"]["arms"]
        if c["interval"] and None not in c["interval"]
    ]
    if half_widths:
        low, high = f"{min(half_widths):.1f}", f"{max(half_widths):.1f}"
        yield say(f"caution.resolution{'_one' if low == high else ''}", low=low, high=high)
