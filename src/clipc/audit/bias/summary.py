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
            code = "across" if across["found"] else "across_none" if across["tested"] else "across_few"
            yield {"code": code, "attribute": name, "plan": plan, **_counts(across)}
            yield from _carried(attribute, plan)
    if (correction := tables["correction"]) is not None:
        for attribute in tables["attributes"]:
            before = table_of(attribute, correction["plan"], "across")
            after = table_of(attribute, "corrected", "across")
            if after["tested"]:
                counts = {"before": before["found"], "after": after["found"], "tested": after["tested"]}
                yield {"code": "corrected", "attribute": attribute["name"], **counts}
            yield from _carried(attribute, "corrected")
        cost = {"efficiency": correction["efficiency"], "acceptance": correction["acceptance"]}
        yield {"code": "cost", **cost}
        if correction["unreached"]:
            yield {"code": "unreached", "n": correction["unreached"], "of": len(correction["rows"])}
        yield {"code": "own_captions"}
    if tables["model"] is not None:
        yield from _model_findings(tables["model"])


def _carried(attribute: Mapping[str, Any], plan: str) -> Iterator[dict[str, Any]]:
    """The direction in which the associations of the pairs, all together, recur most across halves, beyond chance."""
    ways: Mapping[str, Any] = table_of(attribute, plan, "across")["amplification"]
    if beyond := {way: one["value"] for way, one in ways.items() if one["low"] > 0}:
        way = max(beyond, key=lambda name: beyond[name])
        facts = {"attribute": attribute["name"], "plan": plan, "way": way}
        yield {"code": "carried", **facts, "points": 100 * beyond[way]}


def _model_findings(model: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for attribute in model["attributes"]:
        for name, results in attribute["models"].items():
            facts = {"attribute": attribute["name"], "model": name}
            rows = [row for gap in results["gaps"] for row in gap["groups"]]
            tested = sum(row["q"] is not None for row in rows)
            found = [(gap, row) for gap in results["gaps"] for row in gap["groups"] if row["found"]]
            if not found:
                yield {"code": "gaps_none" if tested else "gaps_few", **facts, "tested": tested}
            else:
                gap, row = max(found, key=lambda pair: abs(pair[1]["difference"]))
                strongest = {"group": row["name"], "measure": gap["metric"], "points": 100 * row["difference"]}
                yield {"code": "gaps", **facts, "found": len(found), "tested": tested, **strongest}
            if (skew := results["skew"]) is not None:
                code = "skew" if skew["max_skew"] > skew["threshold"] else "skew_none"
                yield {"code": code, **facts, **{key: skew[key] for key in ("k", "queries", "max_skew", "chance")}}
        yield from _amplification_findings(attribute)


def _amplification_findings(attribute: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Where a model's predictions, or the difference of two models', lean beyond their interval."""
    if (amplified := attribute["amplification"]) is None:
        return
    for name, model in amplified["models"].items():
        for way in ("to_concept", "to_group"):
            if (one := model[way]) is None:
                continue
            code = "amplified" if one["low"] > 0 else "damped" if one["high"] < 0 else "as_in_data"
            facts = {"attribute": attribute["name"], "model": name, "way": way}
            yield {"code": code, **facts, "points": 100 * one["value"], "images": amplified["images"]}
    for way, one in (amplified["difference"] or {}).items():
        if one is not None:
            code = "more_amplified" if one["low"] > 0 else "less_amplified" if one["high"] < 0 else "equally_amplified"
            yield {"code": code, "attribute": attribute["name"], "way": way, "points": 100 * one["value"]}


def card_sentences(tables: Mapping[str, Any]) -> list[str]:
    """What was audited and found, for the model card: without words of captions, labels or values of columns."""
    names = ", ".join(attribute["name"] for attribute in tables["attributes"]) or "no attribute"
    settings = tables["settings"]
    count = len(settings["concepts"]["names"])
    sentences = [f"Audited: {names} against {count} concepts in {settings['pairs']:,} training pairs."]
    if settings["skipped"]:
        sentences.append(f"Too rare in the captions to be audited: {', '.join(settings['skipped'])}.")
    for attribute in tables["attributes"]:
        own = table_of(attribute, "pairs", "within")
        sentences.append(f"{attribute['name']}: {own['found']} of {own['tested']} associations found in the pairs.")
        for plan in tables["plans"]:
            across = table_of(attribute, plan, "across")
            sentences.append(
                f"{attribute['name']}, composites ({plan}): {across['found']} of {across['tested']} across the halves."
            )
    for attribute in (tables["model"] or {"attributes": ()})["attributes"]:
        if (amplified := attribute["amplification"]) is not None:
            to_concept = amplified["models"]["model"]["to_concept"]
            ends = ", ".join(f"{100 * to_concept[end]:+.1f}" for end in ("low", "high"))
            sentences.append(
                f"{attribute['name']}: predictions amplify the associations of the pairs by "
                f"{100 * to_concept['value']:+.1f} points ({ends}) over {amplified['images']:,} images."
            )
        for name, results in attribute["models"].items():
            gaps = [gap["gap"] for gap in results["gaps"]]
            if name == "model" and gaps:
                sentences.append(
                    f"{attribute['name']}: the largest gap between groups is {100 * max(gaps):.1f} points."
                )
    if tables["model"] is None:
        sentences.append("The trained model itself was not audited.")
    if tables["model"] is not None and (missing := tables["model"]["missing"]):
        sentences.append(f"Of the model's results, not audited for lack of images: {', '.join(missing)}.")
    return sentences


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
