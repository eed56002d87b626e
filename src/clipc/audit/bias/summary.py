"""The audit's findings as codes with parameters, of which pages and the model card make sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def summary_of(tables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings of :func:`~clipc.audit.bias.audit.audit_bias`, the most important first.

    Returns:
        For each finding its ``code`` and parameters: counts, names and ratios, not rounded.
    """
    return list(_findings(tables))


def _findings(tables: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if not tables["attributes"]:
        yield {"code": "nothing"}
        return
    for attribute in tables["attributes"]:
        name = attribute["name"]
        own = table_of(attribute, "pairs", "within")
        code = "pairs" if own["found"] else "pairs_none" if own["tested"] else "pairs_few"
        yield {"code": code, "attribute": name, "all": len(own["rows"]), **_counts(own)}
        for plan in tables["plans"]:
            if plan == "corrected":
                continue
            across = table_of(attribute, plan, "across")
            code = "across" if across["found"] else "across_none"
            if not across["tested"]:
                continue
            yield {"code": code, "attribute": name, "plan": plan, **_counts(across)}
    if (correction := tables["correction"]) is not None:
        for attribute in tables["attributes"]:
            before = table_of(attribute, correction["plan"], "across")
            after = table_of(attribute, "corrected", "across")
            counts = {"before": before["found"], "after": after["found"], "tested": after["tested"]}
            yield {"code": "corrected", "attribute": attribute["name"], **counts}
        cost = {"efficiency": correction["efficiency"], "acceptance": correction["acceptance"]}
        yield {"code": "cost", **cost}
        if correction["unreached"]:
            yield {"code": "unreached", "n": correction["unreached"], "of": len(correction["rows"])}
        yield {"code": "own_captions"}


def table_of(attribute: Mapping[str, Any], plan: str, place: str) -> Mapping[str, Any]:
    """One of an attribute's tables.

    Args:
        attribute: The attribute.
        plan: ``pairs``, or the name of a plan.
        place: ``within`` or ``across``.
    """
    return next(t for t in attribute["tables"] if (t["plan"], t["place"]) == (plan, place))


def _counts(table: Mapping[str, Any]) -> dict[str, Any]:
    """The number of associations, and the strongest one."""
    found: Sequence[Mapping[str, Any]] = [row for row in table["rows"] if row["found"]]
    counts = {"found": table["found"], "tested": table["tested"]}
    if not found:
        return counts
    top = max(found, key=lambda row: abs(row["pmi"]))
    return {**counts, "group": top["group"], "concept": top["concept"], "ratio": 2 ** top["pmi"]}
