"""The sections of a bias audit: what was found, associations by attribute, the correction, and the model's groups."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import fragment, missing_check
from clipc.report.words import Words

_SHOWN: Final = 12
"""The number of associations that are shown at once; further ones are folded."""


def bias_findings(data: Mapping[str, Any], say: Words) -> Markup:
    """What the audit found, in sentences; empty without an audit."""
    if (tables := data.get("bias")) is None:
        return Markup()
    concepts = [_concept(tables, name, say) for name in tables["settings"]["concepts"]["names"]]
    return fragment("bias_findings.html", say, sentences=bias_sentences(tables, say), concepts=concepts, bias=tables)


def bias_summary(data: Mapping[str, Any], say: Words) -> Markup:
    """What the audit found in sentences alone, for pages of experiments.

    Args:
        data: The page's tables. ``bias`` holds those of :func:`clipc.audit.bias.audit.audit_bias`, or what
            :func:`clipc.report.page.missing_check` tells.
        say: The words of the language.
    """
    if (missing := missing_check(data, "bias", say("bias.title"), say)) is not None:
        return missing
    tables: Mapping[str, Any] = data["bias"]
    names = [say.get(f"bias.attribute.{attribute['name']}", attribute["name"]) for attribute in tables["attributes"]]
    concepts = tables["settings"]["concepts"]
    audited = say(
        "bias.short.audited",
        attributes=say("page.list").join(names) or say("bias.short.nothing"),
        concepts=say.get(f"bias.concepts.{concepts['name']}", concepts["name"]),
        n=len(concepts["names"]),
        pairs=readable.count(tables["settings"]["pairs"]),
    )
    sentences = bias_sentences(tables, say)
    return fragment("bias_summary.html", say, tables=tables, sentences=sentences, audited=audited)


def bias_associations(data: Mapping[str, Any], say: Words) -> Markup:
    """For each attribute its representation and its associations with the concepts; empty without an audit."""
    if (tables := data.get("bias")) is None or not tables["attributes"]:
        return Markup()
    blocks = [_attribute(attribute, tables, say) for attribute in tables["attributes"]]
    return fragment("bias_associations.html", say, blocks=blocks, bias=tables)


def bias_correction(data: Mapping[str, Any], say: Words) -> Markup:
    """The correction: shares before and after beside their targets, and its cost; empty without a correction."""
    tables = data.get("bias")
    if tables is None or tables["correction"] is None:
        return Markup()
    correction = tables["correction"]
    named: list[dict[str, Any]] = [
        {**r, "group": _group(r["attribute"], r["group"], say), "concept": _concept(tables, r["concept"], say)}
        for r in correction["rows"]
    ]
    rows = sorted(named, key=lambda row: -abs(row["before"] - row["target"]) / row["target"])
    plans = {name: tables["plans"][name] for name in (correction["plan"], "corrected")}
    cut = rows[:_SHOWN], rows[_SHOWN:]
    return fragment("bias_correction.html", say, correction=correction, cut=cut, plans=plans)


def bias_model(data: Mapping[str, Any], say: Words) -> Markup:
    """What trained models can do group by group; empty where no model was audited."""
    tables = data.get("bias")
    if tables is None or tables["model"] is None:
        return Markup()
    model = tables["model"]
    blocks = [
        {
            "name": say.get(f"bias.attribute.{attribute['name']}", attribute["name"]),
            "images": attribute["images"],
            "models": [
                _results(results, attribute["name"], tables, say)
                | {"name": say(f"bias.model.name.{name}") if model["against"] else ""}
                for name, results in attribute["models"].items()
            ],
            "amplification": _amplification(attribute["amplification"], model["against"], say),
        }
        for attribute in model["attributes"]
    ]
    return fragment("bias_model.html", say, model=model, blocks=blocks)


def _amplification(amplified: Mapping[str, Any] | None, against: bool, say: Words) -> dict[str, Any] | None:
    """The amplification of the models' predictions, and of two models the difference, in points."""
    if amplified is None:
        return None
    rows = [(say(f"bias.model.name.{name}"), ways) for name, ways in amplified["models"].items()]
    if against:
        rows.append((say("bias.model.amplification.difference"), amplified["difference"]))
    points = [
        {"name": name, **{way: None if one is None else _points(one, say) for way, one in ways.items()}}
        for name, ways in rows
    ]
    return {"images": amplified["images"], "rows": points}


def _results(results: Mapping[str, Any], attribute: str, tables: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """One model's gaps and skew with readable names."""
    gaps = [
        {**gap, "groups": [{**row, "name": _group(attribute, row["name"], say)} for row in gap["groups"]]}
        for gap in results["gaps"]
    ]
    skew = results["skew"]
    worst = None if skew is None else {**skew["worst"], "concept": _concept(tables, skew["worst"]["concept"], say)}
    return {"gaps": gaps, "skew": None if skew is None else {**skew, "worst": worst}}


def bias_headline(tables: Mapping[str, Any], say: Words) -> str:
    """How many associations the composites of the audited plan show across their halves, and after a correction."""
    findings: Sequence[Mapping[str, Any]] = tables["summary"]
    plan = next(reversed([name for name in tables["plans"] if name != "corrected"]), None)
    across = [finding for finding in findings if finding["code"] == "across" and finding["plan"] == plan]
    tested = any(finding["code"] in ("across", "across_none") for finding in findings)
    if not across:
        return say("bias.headline.none" if tested else "bias.headline.untested")
    n = readable.count(sum(finding["found"] for finding in across))
    if tables["correction"] is None:
        return say("bias.headline.found", n=n)
    after = sum(finding["after"] for finding in findings if finding["code"] == "corrected")
    return say("bias.headline.corrected", n=n, after=readable.count(after))


def bias_sentences(tables: Mapping[str, Any], say: Words) -> list[str]:
    """The sentences of an audit's summary."""
    return [_sentence(finding, tables, say) for finding in tables["summary"]]


def _sentence(finding: Mapping[str, Any], tables: Mapping[str, Any], say: Words) -> str:
    values = {name: _text(name, value, say) for name, value in finding.items() if name != "code"}
    if "group" in finding:
        values["group"] = _group(finding["attribute"], finding["group"], say)
    if "concept" in finding:
        values["concept"] = _concept(tables, finding["concept"], say)
    return say(f"bias.summary.{finding['code']}", **values)


def _text(name: str, value: Any, say: Words) -> str:
    """A parameter of a sentence as text."""
    if name == "attribute":
        return say.get(f"bias.attribute.{value}", value)
    if name in ("plan", "model"):
        return say(f"bias.plan.{value}" if name == "plan" else f"bias.model.name.{value}")
    if name == "points":
        return readable.signed(readable.SHARE, value / 100)
    if name == "ratio":
        return ratio(value)
    if name in ("efficiency", "acceptance", "share"):
        return readable.percent(value)
    if name == "way":
        return say(f"bias.model.amplification.way.{value}")
    if name == "measure":
        return say.metric(value)
    return readable.count(value) if isinstance(value, int) else readable.tidy(value) if _is_number(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, float)


def _group(attribute: str, name: str, say: Words) -> str:
    """The readable name of a group of a built-in attribute; the name itself for others."""
    return say.get(f"bias.group.{attribute}.{name}", name)


def _concept(tables: Mapping[str, Any], name: str, say: Words) -> str:
    """The readable name of a concept of a built-in list; the name itself for others."""
    return say.get(f"bias.concept.{tables['settings']['concepts']['name']}.{name}", name)


def ratio(value: float) -> str:
    """How many times as often as by chance: ``2.3``, ``1.14``, ``0.40``, ``0.002``."""
    return f"{value:.1f}" if value >= 2 else f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


def _attribute(attribute: Mapping[str, Any], tables: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """The content of one attribute's block: its tables as columns, and one row for each group and concept."""
    columns: list[dict[str, Any]] = [
        {
            "name": say("bias.column.pairs") if t["plan"] == "pairs" else say(f"bias.plan.{t['plan']}"),
            "place": t["place"],
            "key": (t["plan"], t["place"]),
        }
        for t in attribute["tables"]
        if t["plan"] == "pairs" or t["place"] == "across"
    ]
    by_key = {(t["plan"], t["place"]): t["rows"] for t in attribute["tables"]}
    rows = [
        _row([by_key[column["key"]][number] for column in columns], attribute["name"], tables, say)
        for number in range(len(attribute["tables"][0]["rows"]))
    ]
    rows.sort(key=lambda row: (not row["found"], row["few"], -row["strength"]))
    shown = max(3, min(_SHOWN, sum(row["found"] for row in rows)))
    within = [
        {
            "plan": say(f"bias.plan.{t['plan']}"),
            "place": say(f"bias.place.{t['place']}"),
            "found": t["found"],
            "tested": t["tested"],
            "observations": t["observations"],
            **{way: _points(value, say) for way, value in t["amplification"].items()},
        }
        for t in attribute["tables"]
        if "amplification" in t
    ]
    return {
        "name": say.get(f"bias.attribute.{attribute['name']}", attribute["name"]),
        "kind": say(f"bias.kind.{attribute['kind']}"),
        "groups": [{**g, "name": _group(attribute["name"], g["name"], say)} for g in attribute["groups"]],
        "plans": [(name, say(f"bias.plan.{name}")) for name in tables["plans"]],
        "columns": columns,
        "rows": rows[:shown],
        "more": rows[shown:],
        "plan_rows": within,
        "left_out": attribute["left_out"],
    }


def _points(value: Mapping[str, float], say: Words) -> dict[str, str]:
    """An amplification in points, and its interval."""
    interval = say.interval(readable.SHARE, (value["low"], value["high"]))
    return {"value": readable.signed(readable.SHARE, value["value"]), "interval": interval}


def _row(cells: Sequence[Mapping[str, Any]], attribute: str, tables: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """One combination: its names, and for each column the ratio with its interval."""
    return {
        "group": _group(attribute, cells[0]["group"], say),
        "concept": _concept(tables, cells[0]["concept"], say),
        "observed": cells[0]["observed"],
        "expected": cells[0]["expected"],
        "found": any(cell["found"] for cell in cells),
        "few": cells[0]["few"],
        "strength": max(abs(cell["pmi"]) for cell in cells if cell["found"] == any(c["found"] for c in cells)),
        "cells": [
            {
                "ratio": ratio(2 ** cell["pmi"]),
                "low": ratio(2 ** cell["low"]),
                "high": ratio(2 ** cell["high"]),
                "found": cell["found"],
                "few": cell["few"],
            }
            for cell in cells
        ],
    }
