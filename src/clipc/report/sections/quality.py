"""The sections of a quality audit: what the scores say, whether they can be trusted, and the worst composites."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import fragment, sample_content
from clipc.report.words import Words


def quality_findings(data: Mapping[str, Any], say: Words) -> Markup:
    """The scores in sentences, the trial on swapped captions, and the experts' threshold; empty without an audit."""
    if (tables := data.get("quality")) is None:
        return Markup()
    rows = [
        {"name": say.get(f"quality.part.{name}", name), "values": [f"{value:.2f}" for value in values]}
        for name, values in tables["scores"]["quantiles"].items()
    ]
    thresholds = [
        {"keep": f"{row['keep']:.0%}", "threshold": f"{row['threshold']:.3f}"} for row in tables["scores"]["thresholds"]
    ]
    content = {"sentences": quality_sentences(tables, say), "rows": rows, "thresholds": thresholds}
    levels = [f"{level:.0%}" for level in tables["scores"]["levels"]]
    return fragment("quality_findings.html", say, **content, levels=levels, areas=_areas(tables, say), quality=tables)


def quality_samples(data: Mapping[str, Any], say: Words) -> Markup:
    """The worst composites first, then the best; empty without an audit."""
    if (tables := data.get("quality")) is None or not tables["samples"]:
        return Markup()
    rows = [{**sample_content(row), "scores": _scores(row, say)} for row in tables["samples"]]
    groups = [("worst", [row for row in rows if row["worst"]]), ("best", [row for row in rows if not row["worst"]])]
    return fragment("quality_samples.html", say, groups=[group for group in groups if group[1]])


def quality_headline(tables: Mapping[str, Any], say: Words) -> str:
    """Whether the score tells true captions from swapped ones."""
    calibration = tables["calibration"]
    if calibration is None or calibration["random"] is None:
        return say("quality.headline.untried", n=readable.count(tables["scores"]["candidates"]))
    return say(f"quality.headline.{_worth(calibration['random']['score'])}")


def _worth(area: Mapping[str, float]) -> str:
    """What an area under the curve allows, by the lower end of its interval."""
    return "good" if area["low"] >= 0.8 else "fair" if area["low"] >= 0.6 else "poor"


def quality_sentences(tables: Mapping[str, Any], say: Words) -> list[str]:
    """The sentences of a quality audit's summary.

    Args:
        tables: The result of :func:`clipc.audit.quality.audit_quality`.
        say: The words of the language.
    """
    scores, calibration, experts = tables["scores"], tables["calibration"], tables["experts"]
    numbers = {"n": readable.count(scores["candidates"]), "pairs": readable.count(scores["pairs"])}
    by = say.get(f"quality.by.{tables['by']}", tables["by"])
    time = readable.tidy(scores["core_seconds"])
    sentences = [say("quality.summary.scored", **numbers, by=by, seconds=time)]
    if scores["pairs_without"]:
        sentences.append(say("quality.summary.without", n=readable.count(scores["pairs_without"])))
    if calibration is None:
        sentences.append(say("quality.summary.not_tried"))
    elif calibration["random"] is None:
        sentences.append(say("quality.summary.few", n=calibration["composites"], split=calibration["split"]))
    else:
        area = calibration["random"]["score"]
        values = {"auc": f"{area['mean']:.2f}", "low": f"{area['low']:.2f}", "high": f"{area['high']:.2f}"}
        tried = {"n": readable.count(calibration["composites"]), "split": calibration["split"]}
        sentences.append(say(f"quality.summary.{_worth(area)}", **values, **tried))
    return sentences if experts is None else [*sentences, *_expert_sentences(experts, say)]


def _expert_sentences(experts: Mapping[str, Any], say: Words) -> list[str]:
    facts = {"n": readable.count(experts["composites"]), "accepted": readable.count(experts["accepted"])}
    sentences = [say("quality.summary.decided", **facts)]
    for row in experts["agreement"]:
        names = {"first": row["first"], "second": row["second"], "n": readable.count(row["n"])}
        agree = {**names, "agree": f"{row['agree']:.0%}"}
        if row["kappa"] is None:
            sentences.append(say("quality.summary.agree", **agree))
        else:
            sentences.append(say("quality.summary.kappa", **agree, kappa=f"{row['kappa']:.2f}"))
    threshold, wanted = experts["threshold"], f"{experts['wanted']:.0%}"
    if threshold is None:
        return [*sentences, say("quality.summary.few_decisions", needed=experts["needed"])]
    precision = threshold["precision"]
    ends = {name: f"{precision[name]:.0%}" for name in ("mean", "low", "high")}
    if threshold["value"] is None:
        return [*sentences, say("quality.summary.no_threshold", wanted=wanted, **ends)]
    kept = {"threshold": f"{threshold['value']:.3f}", "kept": f"{threshold['kept']:.0%}"}
    return [*sentences, say("quality.summary.threshold", wanted=wanted, **ends, **kept)]


def _areas(tables: Mapping[str, Any], say: Words) -> list[dict[str, str]]:
    """Rows of the trial on swapped captions: for each way of swapping the score, then its parts."""
    rows: list[dict[str, str]] = []
    for kind in ("random", "same_class"):
        tried = (tables["calibration"] or {}).get(kind)
        if tried is None:
            continue
        areas = {"score": tried["score"], **tried["parts"]}
        for name, area in ((name, area) for name, area in areas.items() if area is not None):
            interval = say("page.range", low=f"{area['low']:.2f}", high=f"{area['high']:.2f}")
            what = say.get(f"quality.part.{name}", name)
            values = {"name": what, "auc": f"{area['mean']:.3f}", "interval": interval}
            rows.append({"kind": say(f"quality.swap.{kind}"), **values})
    return rows


def _scores(row: Mapping[str, Any], say: Words) -> str:
    """The score of a composite and its parts as text."""
    parts = row["parts_of_score"].items()
    named = [f"{say.get(f'quality.part.{name}', name)} {value:.2f}" for name, value in parts]
    return say("page.list").join(named)
