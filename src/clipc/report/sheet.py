"""The contact sheet of ``clipc compose``: composites with their sources, plan statistics, and effects of the rules."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from clipc.report import readable
from clipc.report.page import page, sample_content
from clipc.report.policy import policy_facts
from clipc.report.words import Words, words

# Shares above which the sheet shows a warning: of examples that stay plain, of shortened captions, of random pairs that
# one rule removes, and of captions that one rule keeps plain.
_PLAIN, _SHORTENED, _NEARLY_ALL, _MANY_EXCLUDED = 0.2, 0.2, 0.99, 0.5
_MAX_RULE_TEXT: Final = 48


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
        "rules_name": (data["policy"].get("rules") or {}).get("name"),
        "policy": policy_facts(data["policy"], say),
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
    idle = [rule for rule in (*rules["constraints"], *rules["exclusions"], *rules["shapes"]) if rule["share"] == 0]
    by_reason: dict[str, list[str]] = {}
    for rule in idle:
        by_reason.setdefault((rule.get("no_effect") or {}).get("code", "idle"), []).append(_rule_name(rule, say))
    for code in ("empty-columns", "no-match", "idle"):
        if code in by_reason and (code != "idle" or rules["candidates"]):
            yield say(f"sheet.caution.{code}", rules=say("page.list").join(by_reason[code]))
    # With groups, partners are drawn within groups, so a rule may remove nearly all random pairs without harm.
    limit = _NEARLY_ALL if rules["groups"] is None else 1.0
    for rule in rules["constraints"]:
        if rule["share"] >= limit:
            numbers = {"n": readable.count(rules["candidates"]), "share": readable.percent(rule["share"])}
            yield say("sheet.caution.nearly_all", rule=_rule_name(rule, say), **numbers)
    for rule in rules["exclusions"]:
        if rule["share"] >= _MANY_EXCLUDED:
            yield say("sheet.caution.many_plain", rule=_rule_name(rule, say), share=f"{rule['share']:.0%}")


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
