"""The verdict of a study in words: which arms gain, which lose, where there is no evidence, how often was looked."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from clipc.report import readable
from clipc.report.study_diverged import diverged_cautions
from clipc.report.study_results import arm_names, span_words
from clipc.report.study_search import search_cautions
from clipc.report.words import Words

CLASSES = ("gain", "shared", "uncontrolled", "mixed", "loss", "none", "waiting", "unknown")
"""What is said of an arm: a gain over the controls too, one that controls show as well, one of which neither can be
said, gains and losses, losses, no evidence, seeds still missing, not compared."""
FINAL = ("gain", "loss", "no evidence")
"""The verdicts of comparisons that are finished."""


@dataclass(frozen=True)
class StudyVerdict:
    """What the first page says.

    Attributes:
        headline: One plain sentence on the arms against the baseline.
        more: The sentences after it: losses, controls, how often was looked.
        tally: For each class of :data:`CLASSES` that occurs, its words and the number of arms.
        findings: Groups of arms with what was found, see :func:`_findings`.
        cautions: What limits it: trials that are missing, generated pictures.
    """

    headline: str
    more: tuple[str, ...]
    tally: tuple[tuple[str, str, int], ...]
    findings: tuple[dict[str, Any], ...]
    cautions: tuple[str, ...]


def study_verdict(data: Mapping[str, Any], say: Words) -> StudyVerdict:
    """The verdict on the main metrics of a study's tables, over all sizes."""
    main = {m["key"] for m in data["metrics"] if m["main"]}
    found = [c for c in data["comparisons"] if c["metric"] in main]
    by_arm: dict[str, list[Mapping[str, Any]]] = {name: [] for name in arm_names(data)}
    for comparison in found:
        if comparison["against"] == data["baseline"] and comparison["verdict"]:
            by_arm.setdefault(comparison["arm"], []).append(comparison)
    arms = {name: rows for name, rows in by_arm.items() if name not in data["controls"]}
    controls = {name: rows for name, rows in by_arm.items() if name in data["controls"]}
    beaten = gains_of(found)
    classes = {name: _class(rows, data["controls"], beaten) for name, rows in arms.items()}
    tally = tuple(
        (code, say(f"study.class.{code}"), count) for code in CLASSES if (count := list(classes.values()).count(code))
    )
    return StudyVerdict(
        _headline(data, classes, say),
        (*_controls(controls, data, say), *_looks(found, data, say)),
        tally,
        tuple(_findings(arms, controls, classes, found, data, say)),
        tuple(_cautions(data, say)),
    )


def gains_of(comparisons: Sequence[Mapping[str, Any]]) -> Set[tuple[str, str, int, str]]:
    """Which arm gains by which metric at which size over whom."""
    return {(c["arm"], c["metric"], c["size"], c["against"]) for c in comparisons if c["verdict"] == "gain"}


def beats_all(row: Mapping[str, Any], controls: Sequence[str], beaten: Set[tuple[str, str, int, str]]) -> bool:
    """Whether a gain over the baseline is the arm's own: there are controls, and it gains over every one of them.

    Args:
        row: The comparison with the baseline.
        controls: The names of the controls.
        beaten: As :func:`gains_of` gives it for all comparisons.
    """
    place = (row["arm"], row["metric"], row["size"])
    return bool(controls) and all((*place, name) in beaten for name in controls)


def _class(rows: Sequence[Mapping[str, Any]], controls: Sequence[str], beaten: Set[tuple[str, str, int, str]]) -> str:
    """One of :data:`CLASSES`: a gain is the arm's own only where it gains over every control as well."""
    if not rows:
        return "unknown"
    gains = [c for c in rows if c["verdict"] == "gain"]
    losses = any(c["verdict"] == "loss" for c in rows)
    waiting = any(c["verdict"] not in FINAL for c in rows)
    if gains and losses:
        return "mixed"
    own = [c for c in gains if not c["shown_by_controls"]]
    if own:
        return "gain" if any(beats_all(c, controls, beaten) for c in own) else "uncontrolled"
    if gains:
        return "shared"
    return "loss" if losses else "waiting" if waiting else "none"


def _headline(data: Mapping[str, Any], classes: Mapping[str, str], say: Words) -> str:
    compared = [name for name, code in classes.items() if code not in ("waiting", "unknown")]
    said = list(classes.values())
    counts = {code: said.count(code) for code in CLASSES}
    code = next((c for c in ("gain", "uncontrolled", "mixed", "shared", "loss") if counts[c]), "none")
    if not compared:
        code = "waiting" if counts["waiting"] else "unknown"
    if len(compared) == 1:
        return say(f"study.headline_one.{code}", arm=compared[0], baseline=data["baseline"])
    key = "mixed_shared" if code == "mixed" and counts["shared"] else code
    told = {"n": len(compared), "found": counts[code], "shared": counts["shared"], "baseline": data["baseline"]}
    return say(f"study.headline.{key}", **told)


def _controls(controls: Mapping[str, Sequence[Mapping[str, Any]]], data: Mapping[str, Any], say: Words) -> list[str]:
    if not data["controls"]:
        return [say("study.controls.missing", baseline=data["baseline"])]
    compared = {name: rows for name, rows in controls.items() if any(c["verdict"] in FINAL for c in rows)}
    if not compared:
        return [say("study.controls.unfinished")]
    gains = [name for name, rows in compared.items() if any(c["verdict"] == "gain" for c in rows)]
    names = say("page.list").join(data["controls"])
    if gains:
        return [say("study.controls.gain", names=names, gains=say("page.list").join(gains), baseline=data["baseline"])]
    whole = len(compared) == len(controls) and all(c["verdict"] in FINAL for rows in compared.values() for c in rows)
    return [say(f"study.controls.{'none' if whole else 'none_yet'}", names=names, baseline=data["baseline"])]


def _looks(found: Sequence[Mapping[str, Any]], data: Mapping[str, Any], say: Words) -> list[str]:
    """How many verdicts were given, what Holm's correction covers, and what chance alone may show."""
    found = [c for c in found if c["verdict"] in FINAL]
    if not found:
        return []
    families = {(c["arm"], c["size"]) for c in found if c["against"] == data["baseline"]}
    first = [c for c in found if c["against"] == data["baseline"]]
    told = say(
        "study.looks",
        n=readable.count(len(first)),
        more=readable.count(len(found) - len(first)),
        families=readable.count(len(families)),
        measures=sum(m["main"] for m in data["metrics"]),
        expected=f"{0.05 * len(families):.2g}",
        baseline=data["baseline"],
    )
    return [told]


def _findings(
    arms: Mapping[str, Sequence[Mapping[str, Any]]],
    controls: Mapping[str, Sequence[Mapping[str, Any]]],
    classes: Mapping[str, str],
    found: Sequence[Mapping[str, Any]],
    data: Mapping[str, Any],
    say: Words,
) -> list[dict[str, Any]]:
    """Groups of arms: its title and, for each arm, its gains and losses."""
    rest = {(c["arm"], c["metric"], c["size"], c["against"]): c for c in found if c["against"] in data["controls"]}
    groups: list[dict[str, Any]] = []
    for code in ("gain", "shared", "uncontrolled", "mixed", "loss"):
        rows = [_finding(name, arms[name], rest, data, say) for name in arms if classes[name] == code]
        if rows:
            groups.append(
                {"code": code, "title": say(f"study.finding.{code}", baseline=data["baseline"]), "rows": rows}
            )
    moved = [name for name, rows in controls.items() if any(c["verdict"] in ("gain", "loss") for c in rows)]
    if moved:
        rows = [_finding(name, controls[name], {}, data, say) for name in moved]
        groups.append(
            {"code": "controls", "title": say("study.finding.controls", baseline=data["baseline"]), "rows": rows}
        )
    for code in ("none", "waiting", "unknown"):
        names = [name for name in arms if classes[name] == code]
        if names:
            title = say(f"study.finding.{code}", baseline=data["baseline"])
            groups.append({"code": code, "title": title, "names": names, "rows": []})
    return groups


def _finding(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    rest: Mapping[tuple[str, str, int, str], Mapping[str, Any]],
    data: Mapping[str, Any],
    say: Words,
    most: int = 4,
) -> dict[str, Any]:
    told = [c for c in rows if c["verdict"] in ("gain", "loss")]
    lines = [_line(c, rest, data, say) for c in sorted(told, key=lambda c: -c["size"])]
    silent = sum(c["verdict"] == "no evidence" for c in rows)
    return {
        "arm": name,
        "control": name in data["controls"],
        "lines": lines[:most],
        "more": say("study.more_lines", n=len(lines) - most) if len(lines) > most else "",
        "silent": say("study.silent", n=silent, of=len(rows)) if silent else "",
    }


def _line(
    c: Mapping[str, Any],
    rest: Mapping[tuple[str, str, int, str], Mapping[str, Any]],
    data: Mapping[str, Any],
    say: Words,
) -> dict[str, Any]:
    direct = [
        say("study.over", control=control, verdict=say(f"verdict_short.{row['verdict'] or 'none'}"))
        for control in data["controls"]
        if (row := rest.get((c["arm"], c["metric"], c["size"], control))) is not None
    ]
    unit = readable.unit_of(c["metric"], data)
    shared = c["verdict"] == "gain" and c["shown_by_controls"] and c["arm"] not in data["controls"]
    return {
        "metric": say.metric(c["metric"]),
        "size": say("study.pairs", n=readable.count(c["size"])) if len(data["sizes"]) > 1 else "",
        "difference": readable.signed(unit, c["difference"]),
        "unit": say.unit(unit, "difference"),
        "interval": span_words(unit, c["interval"], say),
        "verdict": c["verdict"],
        "said": say(f"verdict_short.{c['verdict']}"),
        "shared": say("study.shared_by", controls=say("page.list").join(c["shown_by_controls"])) if shared else "",
        "direct": direct,
    }


def _cautions(data: Mapping[str, Any], say: Words) -> list[str]:
    cautions = [say("caution.generated")] if data["source"]["generated"] else []
    if data["finished"] < data["planned"]:
        cautions.append(
            say("study.unfinished", n=readable.count(data["finished"]), planned=readable.count(data["planned"]))
        )
    return [*cautions, *diverged_cautions(data, say), *search_cautions(data, say)]
