"""The findings arm by arm, grouped by verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import fragment
from clipc.report.sections.rows import span_words
from clipc.report.words import Words

_Place = tuple[str, str, int, str]


def findings(data: Mapping[str, Any], say: Words) -> Markup:
    """Groups of arms with their gains and losses; nothing where there are no arms under test."""
    groups = finding_groups(data, say)
    return fragment("findings.html", say, groups=groups) if groups else Markup()


def finding_groups(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """Groups of arms: its title and, for each arm, its gains and losses."""
    main = {m["key"] for m in data["metrics"] if m["main"]}
    main_rows = [c for c in data["comparisons"] if c["metric"] in main]
    against: dict[str, list[Mapping[str, Any]]] = {arm["name"]: [] for arm in data["arms"]}
    for c in main_rows:
        if c["against"] == data["baseline"]:
            against.setdefault(c["arm"], []).append(c)
    with_controls = {
        (c["arm"], c["metric"], c["size"], c["against"]): c for c in main_rows if c["against"] in data["controls"]
    }
    classes, groups = data["verdict"]["arms"], list[dict[str, Any]]()
    for code in ("gain", "shared", "uncontrolled", "mixed", "loss"):
        rows = [_finding(name, against[name], with_controls, data, say) for name in classes if classes[name] == code]
        if rows:
            groups.append({"code": code, "title": _title(code, data, say), "rows": rows})
    changed = [n for n in data["controls"] if any(c["verdict"] in ("gain", "loss") for c in against.get(n, ()))]
    if changed:
        rows = [_finding(name, against[name], {}, data, say) for name in changed]
        groups.append({"code": "controls", "title": _title("controls", data, say), "rows": rows})
    for code in ("none", "waiting", "unknown"):
        if names := [name for name in classes if classes[name] == code]:
            groups.append({"code": code, "title": _title(code, data, say), "names": names, "rows": []})
    return groups


def _title(code: str, data: Mapping[str, Any], say: Words) -> str:
    return say(f"study.finding.{code}", baseline=data["baseline"])


def _finding(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    with_controls: Mapping[_Place, Mapping[str, Any]],
    data: Mapping[str, Any],
    say: Words,
    max_lines: int = 4,
) -> dict[str, Any]:
    changes = [c for c in rows if c["verdict"] in ("gain", "loss")]
    lines = [_line(c, with_controls, data, say) for c in sorted(changes, key=lambda c: -c["size"])]
    undecided = sum(c["verdict"] == "no evidence" for c in rows)
    return {
        "arm": name,
        "control": name in data["controls"],
        "lines": lines[:max_lines],
        "more": say("study.more_lines", n=len(lines) - max_lines) if len(lines) > max_lines else "",
        "silent": say("study.silent", n=undecided, of=len(rows)) if undecided else "",
    }


def _line(
    c: Mapping[str, Any], with_controls: Mapping[_Place, Mapping[str, Any]], data: Mapping[str, Any], say: Words
) -> dict[str, Any]:
    direct = [
        say("study.over", control=control, verdict=say(f"verdict_short.{row['verdict']}"))
        for control in data["controls"]
        if (row := with_controls.get((c["arm"], c["metric"], c["size"], control))) is not None
    ]
    controls = say("page.list").join(c["shown_by_controls"])
    unit = readable.unit_of(c["metric"], data)
    return {
        "metric": say.metric(c["metric"]),
        "size": say("study.pairs", n=readable.count(c["size"])) if len(data["sizes"]) > 1 else "",
        "difference": readable.signed(unit, c["difference"]),
        "unit": say.unit(unit, "difference"),
        "interval": span_words(unit, c["interval"], say),
        "verdict": c["verdict"],
        "said": say(f"verdict_short.{c['verdict']}"),
        "shared": say("study.shared_by", controls=controls) if c["credit"] == "shared" else "",
        "direct": direct,
    }
