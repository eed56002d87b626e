"""The sections of a model in use, and their sentences, which the terminal prints too."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import checked_image, fragment
from clipc.report.words import Words

_FEW_PAIRS = 50


def search_hits(data: Mapping[str, Any], say: Words) -> Markup:
    """The images that a search found, with what their scores are worth."""
    images = [
        {
            "image": checked_image(hit["image"]),
            "title": hit["captions"][0] if hit["captions"] else "",
            "key": hit["key"],
            "weak": hit["weak"],
            "basis": hit_basis(hit, say),
        }
        for hit in data["hits"]
    ]
    title, headline = say("use.search.title"), search_headline(data, say)
    sentences = [sentence for sentence in search_sentences(data, say) if sentence != headline]
    return fragment("use_images.html", say, title=title, sentences=sentences, images=images)


def hit_basis(hit: Mapping[str, Any], say: Words) -> str:
    """A hit's score, and how it compares with right answers."""
    parts = [say("use.search.score", score=f"{hit['score']:.2f}")]
    if hit["typical"] is not None:
        parts.append(say("use.search.typical", share=f"{hit['typical']:.0%}"))
    return say("page.list").join(parts)


def search_headline(data: Mapping[str, Any], say: Words) -> str:
    """What was found."""
    if not data["hits"]:
        return say("use.search.none")
    code = "use.search.lead_image" if data["image_query"] else "use.search.lead"
    numbers = {"n": readable.count(len(data["hits"])), "total": readable.count(data["total"])}
    return say(code, query=data["query"], **numbers)


def search_sentences(data: Mapping[str, Any], say: Words) -> list[str]:
    """The model, what was found, and whether to rely on it."""
    hits, sentences = data["hits"], [model_sentence(data["model"], say), search_headline(data, say)]
    if not hits:
        return sentences
    if hits[0]["weak"]:
        sentences.append(say("use.search.all_weak"))
    elif any(hit["weak"] for hit in hits):
        sentences.append(say("use.search.weak_note"))
    elif hits[0]["typical"] is None and not data["image_query"]:
        sentences.append(say("use.search.unknown"))
    return sentences


def model_sentence(model: Mapping[str, Any], say: Words) -> str:
    """Which model it is."""
    return say("use.model", name=model_name(model, say))


def model_name(model: Mapping[str, Any], say: Words) -> str:
    """The model's name, and of a pilot the arm."""
    return model["name"] if model["arm"] is None else say("use.model_arm", name=model["name"], arm=model["arm"])


def classifier_findings(data: Mapping[str, Any], say: Words) -> Markup:
    """What is known of a classifier, and the recall of each class on validation."""
    rows = [
        {
            "name": row["name"],
            "cells": [readable.count(row["n"]), _share(row["recall"], say)],
            "change": "",
            "note": "",
        }
        for row in data["calibration"]["classes"]
    ]
    heads = [say(f"use.classify.{name}") for name in ("class", "images", "recall")]
    title, headline = say("use.classify.title"), classify_headline(data, say)
    sentences = [sentence for sentence in classify_sentences(data, say) if sentence != headline]
    sentences.append(say("use.classify.holds"))
    return fragment("use_table.html", say, title=title, sentences=sentences, heads=heads, rows=rows)


def classified_images(data: Mapping[str, Any], say: Words) -> Markup:
    """Images with their classes, the least certain first; empty without images."""
    images = [
        {
            "image": checked_image(row["image"]),
            "title": answer_text(row, say),
            "key": row["key"],
            "weak": False,
            "basis": say("page.list").join(f"{say('use.classify.raised')} {name}" for name in row["alarms"]),
        }
        for row in data["samples"]
    ]
    if not images:
        return Markup()
    return fragment("use_images.html", say, title=say("use.classify.examples"), sentences=[], images=images)


def answer_text(row: Mapping[str, Any], say: Words) -> str:
    """A classifier's answer for one image, or that it is not sure."""
    code = "use.classify.answer" if row["answered"] else "use.classify.abstained"
    return say(code, name=row["class"], probability=f"{row['probability']:.0%}")


def classify_headline(data: Mapping[str, Any], say: Words) -> str:
    """The accuracy to expect, or that nothing is known about it."""
    return _accuracy_sentence(data["calibration"], say)


def _accuracy_sentence(facts: Mapping[str, Any], say: Words) -> str:
    n, least = readable.count(facts["n"]), readable.count(facts["least"])
    if facts["accuracy"] is not None:
        return say("use.classify.accuracy", share=_share(facts["accuracy"], say))
    return say("use.classify.too_few" if facts["n"] else "use.classify.uncalibrated", n=n, least=least)


def classify_sentences(data: Mapping[str, Any], say: Words) -> list[str]:
    """What is known of a classifier's accuracy, when it abstains, its alarms, and how it did where labels are known."""
    sentences = [model_sentence(data["model"], say), *calibration_sentences(data, say)]
    if (measured := data["measured"]) is not None:
        sentences += _measured(measured, say)
    return [*sentences, say("use.classify.counts", **{k: readable.count(v) for k, v in data["counts"].items()})]


def calibration_sentences(data: Mapping[str, Any], say: Words) -> list[str]:
    """What validation images say of a classifier.

    Args:
        data: ``calibration`` (:class:`clipc.inference.calibration.Calibration`) and ``templates``.
        say: The words of the language.
    """
    facts = data["calibration"]
    n, sentences = readable.count(facts["n"]), [_accuracy_sentence(facts, say)]
    if facts["accuracy"] is not None:
        sentences.insert(0, say("use.classify.calibrated", n=n, source=facts["source"], templates=data["templates"]))
        sentences.append(_abstention(facts["abstention"], say))
        if facts["few"]:
            sentences.append(say("use.classify.few", n=n))
    return [*sentences, *(sentence for alarm in facts["alarms"] for sentence in _alarm(alarm, say))]


def _abstention(facts: Mapping[str, Any], say: Words) -> str:
    wanted = readable.percent(facts["wanted"])
    if facts["threshold"] > 1:
        return say("use.classify.never", wanted=wanted)
    if facts["threshold"] == 0:
        return say("use.classify.always", wanted=wanted)
    threshold = readable.percent(facts["threshold"])
    shares = {name: _share(facts[name], say) for name in ("answered", "accuracy")}
    return say("use.classify.abstains", threshold=threshold, **shares)


def _alarm(alarm: Mapping[str, Any], say: Words) -> list[str]:
    false_alarms = {"name": alarm["name"], "false_alarms": _share(alarm["false_alarms"], say)}
    if alarm["recall"] is None:
        sentences = [say("use.classify.alarm_none", **false_alarms)]
    else:
        sentences = [say("use.classify.alarm", **false_alarms, recall=_share(alarm["recall"], say))]
    if not alarm["reached"]:
        numbers = {"n": readable.count(alarm["false_alarms"]["n"]), "needed": readable.count(1 / alarm["wanted"] - 1)}
        wanted = readable.percent(alarm["wanted"])
        sentences.append(say("use.classify.alarm_not_reached", name=alarm["name"], wanted=wanted, **numbers))
    return sentences


def _measured(measured: Mapping[str, Any], say: Words) -> list[str]:
    facts = {"split": measured["split"], "n": readable.count(measured["n"])}
    facts["accuracy"] = _share(measured["accuracy"], say)
    if measured["answered_accuracy"] is None:
        sentences = [say("use.classify.measured_none", **facts)]
    else:
        shares = {name: _share(measured[name], say) for name in ("answered", "answered_accuracy")}
        sentences = [say("use.classify.measured", **facts, **shares)]
    for alarm in measured["alarms"]:
        shares = {name: _share(alarm[name], say) for name in ("false_alarms", "recall")}
        sentences.append(say("use.classify.measured_alarm", name=alarm["name"], **shares))
    return sentences


def comparison_findings(data: Mapping[str, Any], say: Words) -> Markup:
    """What the verdict on the new model rests on, and every metric of both."""
    rows = [
        {
            "name": say.metric(row["name"]),
            "cells": [
                *(readable.level(row["unit"], row[name]) for name in ("old", "new")),
                _points(row["unit"], row["difference"], say),
            ],
            "change": "strong" if row["main"] else "",
            "note": "",
        }
        for row in data["metrics"]
    ]
    heads = [say(f"use.compare.{name}") for name in ("metric", "old", "new", "difference")]
    title, (_, *sentences) = say("use.compare.title"), compare_sentences(data, say)
    return fragment("use_table.html", say, title=title, sentences=sentences, heads=heads, rows=rows)


def compare_headline(data: Mapping[str, Any], say: Words) -> str:
    """The verdict on the new model."""
    code = {"no evidence": "unclear"}.get(data["outcome"], data["outcome"])
    return say(f"use.compare.{code}")


def compare_sentences(data: Mapping[str, Any], say: Words) -> list[str]:
    """The verdict first, then the classes that got worse, what it rests on, and the thresholds."""
    sentences = [compare_headline(data, say)]
    if data["worse"]:
        sentences.append(say("use.compare.worse_classes", names=say("page.list").join(data["worse"])))
    names = {name: model_name(data["models"][name], say) for name in ("old", "new")}
    sentences.append(say("use.compare.models", **names))
    n = readable.count(data["n"])
    sentences.append(say("use.compare.basis", n=n, split=data["split"], source=data["source"]["name"]))
    if data["seen"]:
        sentences.append(say("use.compare.seen", n=readable.count(data["seen"])))
    if data["n"] < _FEW_PAIRS:
        sentences.append(say("use.compare.few", n=n))
    if not data["classes"]:
        return [*sentences, say("use.compare.no_labels")]
    counts = {name: readable.count(data[name]) for name in ("lost", "gained")}
    return [*sentences, say("use.compare.lost", **counts)]


def comparison_classes(data: Mapping[str, Any], say: Words) -> Markup:
    """The recall of each class under both models; empty without labels."""
    if not data["classes"]:
        return Markup()
    changes = {"better": "gain", "worse": "loss", "unclear": ""}
    rows = [
        {
            "name": row["name"],
            "cells": [
                readable.count(row["n"]),
                readable.percent(row["old"]),
                readable.percent(row["new"]),
                _points("share", row["difference"], say),
            ],
            "change": changes[row["change"]],
            "note": say(f"use.compare.got_{row['change']}") if changes[row["change"]] else "",
        }
        for row in data["classes"]
    ]
    heads = [say(f"use.compare.{name}") for name in ("class", "images", "old", "new", "difference")]
    title, sentences = say("use.compare.per_class"), [say("use.compare.per_class_lead")]
    return fragment("use_table.html", say, title=title, sentences=sentences, heads=heads, rows=rows)


def comparison_examples(data: Mapping[str, Any], say: Words) -> Markup:
    """Images that the new model gets wrong and the old one got right; empty without any."""
    images = [
        {
            "image": checked_image(row["image"]),
            "title": say(
                "use.compare.example", label=row["label"], new=row["new"], probability=f"{row['probability']:.0%}"
            ),
            "key": row["key"],
            "weak": False,
            "basis": "",
        }
        for row in data["examples"]
    ]
    if not images:
        return Markup()
    sentences = [say("use.compare.examples_lead")]
    return fragment("use_images.html", say, title=say("use.compare.examples"), sentences=sentences, images=images)


def comparison_thresholds(data: Mapping[str, Any], say: Words) -> Markup:
    """The thresholds of both models, and what keeping the old one would do; empty without calibration."""
    sentences = threshold_sentences(data, say)
    if not sentences:
        return Markup()
    title = say("use.compare.thresholds")
    return fragment("use_table.html", say, title=title, sentences=sentences, heads=[], rows=[])


def threshold_sentences(data: Mapping[str, Any], say: Words) -> list[str]:
    """The thresholds in sentences; empty without calibration."""
    if (facts := data["thresholds"]) is None:
        return []
    sentences: list[str] = []
    for name in ("old", "new"):
        if facts[name]["threshold"] > 1 or facts[name]["accuracy"] is None:
            sentences.append(say("use.compare.threshold_never", model=say(f"use.compare.{name}_word")))
            continue
        shares = {key: _share(facts[name][key], say) for key in ("answered", "accuracy")}
        threshold = readable.percent(facts[name]["threshold"])
        sentences.append(say(f"use.compare.threshold_{name}", threshold=threshold, **shares))
    if facts["old"]["threshold"] <= 1:
        kept = facts["kept"]
        accuracy = say("use.compare.none_answered") if kept["accuracy"] is None else _share(kept["accuracy"], say)
        sentences.append(say("use.compare.kept", answered=_share(kept["answered"], say), accuracy=accuracy))
    return sentences


def _share(interval: Mapping[str, Any] | None, say: Words) -> str:
    if interval is None:
        return say("use.classify.no_images")
    value, low, high = (readable.percent(interval[name]) for name in ("mean", "low", "high"))
    return say("use.share", value=value, low=low, high=high, n=readable.count(interval["n"]))


def _points(unit: str, interval: Mapping[str, Any], say: Words) -> str:
    value = readable.signed(unit, interval["mean"])
    if interval["low"] is None:
        return value
    low, high = (readable.signed(unit, interval[name]) for name in ("low", "high"))
    return say("use.points", value=value, low=low, high=high)
