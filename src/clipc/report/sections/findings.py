"""The section of findings: the gains and losses of each arm, grouped by verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clipc.report.page import fragment
from clipc.report.words import Words

_ComparisonKey = tuple[str, str, int, str]
"""The arm, metric, number of training pairs and other arm of a comparison."""


def findings(data: Mapping[str, Any], say: Words) -> Markup:
    """Groups of arms with their gains and losses; empty if there are no groups."""
    groups = finding_groups(data)
    return fragment("findings.html", say, groups=groups, data=data) if groups else Markup()


def finding_groups(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Groups of arms, each with the ``code`` of its verdict.

    Groups of arms with gains or losses have ``rows``, one for each arm. The others have ``names`` and empty ``rows``.
    """
    main = {m["key"] for m in data["metrics"] if m["main"]}
    main_rows = [c for c in data["comparisons"] if c["metric"] in main]
    with_baseline: dict[str, list[Mapping[str, Any]]] = {arm["name"]: [] for arm in data["arms"]}
    for c in main_rows:
        if c["against"] == data["baseline"]:
            with_baseline.setdefault(c["arm"], []).append(c)
    with_controls = {
        (c["arm"], c["metric"], c["size"], c["against"]): c for c in main_rows if c["against"] in data["controls"]
    }
    classes, groups = data["verdict"]["arms"], list[dict[str, Any]]()
    for code in ("gain", "shared", "uncontrolled", "mixed", "loss"):
        if names := [name for name in classes if classes[name] == code]:
            rows = [_finding(name, with_baseline[name], with_controls, data) for name in names]
            groups.append({"code": code, "rows": rows})
    changed = [n for n in data["controls"] if any(c["verdict"] in ("gain", "loss") for c in with_baseline.get(n, ()))]
    if changed:
        groups.append({"code": "controls", "rows": [_finding(name, with_baseline[name], {}, data) for name in changed]})
    for code in ("none", "waiting", "unknown"):
        if names := [name for name in classes if classes[name] == code]:
            groups.append({"code": code, "names": names, "rows": []})
    return groups


def _finding(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    with_controls: Mapping[_ComparisonKey, Mapping[str, Any]],
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """An arm's gains and losses, those at the most training pairs first, each with the arm's comparisons with controls.

    Args:
        name: The arm.
        rows: Its comparisons with the baseline.
        with_controls: The comparisons of all arms with the controls.
        data: The study's tables.
    """
    changes = sorted((c for c in rows if c["verdict"] in ("gain", "loss")), key=lambda c: -c["size"])
    keys = [[(name, c["metric"], c["size"], control) for control in data["controls"]] for c in changes]
    against_controls = [[with_controls[key] for key in change_keys if key in with_controls] for change_keys in keys]
    return {
        "arm": name,
        "control": name in data["controls"],
        "changes": list(zip(changes, against_controls, strict=True)),
        "no_evidence": sum(c["verdict"] == "no evidence" for c in rows),
        "compared": len(rows),
    }
