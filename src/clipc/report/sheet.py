"""The contact sheet of ``clipc compose``: composites with their sources, plan statistics, and effects of the rules."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from clipc.report import readable
from clipc.report.page import page, sample_content
from clipc.report.policy import policy_facts
from clipc.report.words import Words, words

# Shares above which the sheet shows a warning: of examples that stay plain, of shortened captions, of random pairs that
# one rule removes, and of captions that one rule keeps plain.
_PLAIN, _SHORTENED, _NEARLY_ALL, _MANY_EXCLUDED = 0.2, 0.2, 0.99, 0.5
_MAX_RULE_TEXT: Final = 48
_SECTIONS: Final = ("constraints", "exclusions", "shapes")


def render_sheet(data: dict[str, Any], *, lang: str = "en") -> str:
    """A contact sheet of composites as one self-contained HTML page.

    Args:
        data: ``source``, ``few_captions`` (see :func:`clipc.evaluate.ceiling.few_captions_facts`), ``policy`` (its
            fields), ``statistics`` (see :func:`clipc.prepare.plan_statistics.statistics`), ``rules`` (see
            :func:`clipc.compose.rules.effects.effects`; None without rules) and ``samples`` (see
            :func:`clipc.prepare.preview.preview`).
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.

    Raises:
        UserError: There are no words in this language.
        ValueError: A sample's image is not a ``data:`` URI.
    """
    say = words(lang)
    statistics, rules = data["statistics"], data.get("rules")
    fallbacks, planned = _fallback_counts(statistics)
    counts = statistics["fallbacks"].items() if planned else ()
    content = {
        "source": data["source"],
        "statistics": statistics,
        "rules": rules,
        "working": _working(rules),
        "idle": _idle(rules, say),
        "rules_name": (data["policy"].get("rules") or {}).get("name"),
        "policy": policy_facts(data["policy"], say, data.get("group")),
        "limitations": [*few_captions_sentence(data, say), *_limitations(statistics, rules, say)],
        "fallbacks": fallbacks,
        "planned": planned,
        "reasons": [say(f"sheet.fallback.{code}", n=readable.count(n)) for code, n in counts if n],
        "samples": [{**sample_content(row), "why": partner_sentence(row["why"], say)} for row in data["samples"]],
    }
    return page("sheet.html", say, content)


def few_captions_sentence(data: Mapping[str, Any], say: Words) -> Iterator[str]:
    """A sentence on how to judge models, where few captions are distinct.

    Args:
        data: The contents of a contact sheet.
        say: The words of the language.
    """
    few = data.get("few_captions")
    if few is None:
        return
    code = "sheet" if data["source"]["label_columns"] else "recall_only"
    if readable.ceiling(readable.SHARE, few["ceiling"]) is None:
        code = "sheet_class_names"  # Each class is named once, so recall has no ceiling.
    yield say(f"few_captions.{code}", **readable.few_captions_texts(few))


def _fallback_counts(statistics: Mapping[str, Any]) -> tuple[int, int]:
    """The number of rows that stayed plain, and the number of rows that were to be composed."""
    fallbacks = sum(statistics["fallbacks"].values())
    return fallbacks, fallbacks + statistics["composed"]


def _limitations(statistics: Mapping[str, Any], rules: Mapping[str, Any] | None, say: Words) -> Iterator[str]:
    """Sentences on what a reader should check before training."""
    fallbacks, planned = _fallback_counts(statistics)
    if fallbacks > _PLAIN * planned:
        code = max(statistics["fallbacks"], key=lambda name: statistics["fallbacks"][name])
        numbers = {"n": readable.count(fallbacks), "of": readable.count(planned), "share": f"{fallbacks / planned:.0%}"}
        yield say("sheet.caution.plain", **numbers, why=say(f"sheet.caution.{code}"))
    if statistics["shortened_share"] > _SHORTENED:
        yield say("sheet.caution.shortened", share=f"{statistics['shortened_share']:.0%}")
    if rules is None:
        return
    if idle := idle_counts(rules):
        numbers = {"n": readable.count(sum(idle.values())), "of": readable.count(_count(_rows(rules)))}
        yield say("sheet.caution.idle", **numbers)
    # With groups, partners are drawn within groups, so a rule may remove nearly all random pairs without harm.
    limit = _NEARLY_ALL if rules["groups"] is None else 1.0
    for rule in rules["constraints"]:
        if rule["share"] >= limit:
            numbers = {"n": readable.count(rules["candidates"]), "share": readable.percent(rule["share"])}
            yield say("sheet.caution.nearly_all", rule=_rule_name(rule, say), **numbers)
    for rule in rules["exclusions"]:
        if rule["share"] >= _MANY_EXCLUDED:
            yield say("sheet.caution.many_plain", rule=_rule_name(rule, say), share=f"{rule['share']:.0%}")


def idle_counts(rules: Mapping[str, Any]) -> dict[str, int]:
    """How many rules have no effect, by reason: ``empty-columns``, ``no-match``, or ``idle`` (met by no pair tried).

    Args:
        rules: See :func:`clipc.compose.rules.effects.effects`.
    """
    rows = [row for row in _rows(rules) if _is_idle(row, rules)]
    by_reason = {code: [row for row in rows if _reason(row) == code] for code in ("empty-columns", "no-match", "idle")}
    return {code: _count(of_code) for code, of_code in by_reason.items() if of_code}


def _rows(rules: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for section in _SECTIONS for row in rules[section]]


def _count(rows: Iterable[Mapping[str, Any]]) -> int:
    """The number of an expert's rules in some rows: a rule on how images are shown may have several, of one line."""
    return len({row["text"] if row["line"] is None else row["line"] for row in rows})


def _reason(row: Mapping[str, Any]) -> str:
    return (row.get("no_effect") or {}).get("code", "idle")


def _is_idle(row: Mapping[str, Any], rules: Mapping[str, Any]) -> bool:
    """Whether a rule has no effect; without random pairs only what can have none is known."""
    return row["share"] == 0 and (_reason(row) != "idle" or bool(rules["candidates"]))


def _working(rules: Mapping[str, Any] | None) -> dict[str, list[Mapping[str, Any]]]:
    """The rules with an effect, section by section."""
    if rules is None:
        return {}
    return {section: [row for row in rules[section] if not _is_idle(row, rules)] for section in _SECTIONS}


def _idle(rules: Mapping[str, Any] | None, say: Words) -> dict[str, Any]:
    """The rules without effect, section by section, their number, and a sentence for each reason."""
    if rules is None:
        return {"count": 0}
    counts = idle_counts(rules)
    return {
        **{section: [row for row in rules[section] if _is_idle(row, rules)] for section in _SECTIONS},
        "count": sum(counts.values()),
        "sentences": [say(f"sheet.idle.{code}", n=readable.count(n)) for code, n in counts.items()],
    }


def _rule_name(rule: Mapping[str, Any], say: Words) -> str:
    """A readable name for a rule: the beginning of its text, and its line."""
    text = rule["text"] if len(rule["text"]) <= _MAX_RULE_TEXT else rule["text"][:_MAX_RULE_TEXT].rstrip() + "…"
    quoted = say("policy.quoted", text=text)
    return quoted if rule["line"] is None else say("sheet.caution.at_line", rule=quoted, line=rule["line"])


def partner_sentence(why: Mapping[str, Any], say: Words) -> str:
    """The reason why a partner was chosen, in words.

    Args:
        why: The reason, see :func:`clipc.prepare.evidence.partner_reason`.
        say: The words of the language.
    """
    code = f"sheet.why.{why['code']}"
    numbers = {name: readable.count(why[name]) for name in ("rank", "of", "draws") if name in why}
    reason = say(code, **numbers, name=why.get("name")) if code in say.table else str(why["code"])
    if "pairs" in why:
        values = say("page.list").join(f"{name} = {value}" for name, value in why["values"])
        within = "sheet.why.with_values" if values else "sheet.why.in_group"
        reason = say(within, why=reason, n=readable.count(why["pairs"]), values=values)
    if "similarity" in why:
        reason += say("page.list") + say("sheet.why.similarity", similarity=readable.tidy(why["similarity"]))
    return reason
