"""The contact sheet of ``clipc compose``: composites with their sources, plan statistics, effect of the rules."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from clipc.report import readable
from clipc.report.page import page, sample
from clipc.report.policy import policy_facts
from clipc.report.words import Words, words

_PLAIN, _SHORTENED, _NEARLY_ALL, _MANY_EXCLUDED = 0.2, 0.2, 0.99, 0.5
_MAX_RULE_TEXT: Final = 48
_ONE_IMAGE: Final = ("plain", "strong")


def render_sheet(data: dict[str, Any], *, lang: str = "en") -> str:
    """A contact sheet of composites as one self-contained HTML page, as :func:`render_pilot` makes them.

    Args:
        data: ``source``, ``policy`` (its fields), ``statistics`` (as :func:`clipc.prepare.plan_statistics.statistics`
            tells), ``rules`` (as :func:`clipc.compose.rules.effects.effects` tells; None without rules) and
            ``samples`` (as :func:`clipc.prepare.preview.preview` makes them).
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.

    Raises:
        UserError: There are no words in that language.
        ValueError: A sample's image is no ``data:`` URI.
    """
    say = words(lang)
    statistics, rules = data["statistics"], data.get("rules")
    content = {
        "source": data["source"],
        "headline": _headline(statistics, say),
        "limitations": list(_limitations(statistics, rules, say)),
        "figures": _statistics(statistics, say),
        "tokens": _tokens(statistics, say),
        "policy": policy_facts(data["policy"], say),
        "rules": None if rules is None else _rules(rules, data["policy"], say),
        "samples": [_sample(row, say) for row in data["samples"]],
    }
    return page("sheet.html", say, content)


def _headline(statistics: Mapping[str, Any], say: Words) -> str:
    rows = readable.count(statistics["rows"])
    if statistics["strong"]:
        return say("sheet.headline_strong", strong=readable.count(statistics["strong"]), rows=rows)
    if not statistics["composed"]:
        return say("sheet.headline_none", rows=rows)
    return say("sheet.headline", composed=readable.count(statistics["composed"]), rows=rows)


def _statistics(statistics: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    """The plan's statistics as named lines."""
    count = readable.count
    share = say("sheet.of_which", n=count(statistics["composed"]), share=readable.percent(statistics["share"]))
    layouts = [
        f"{say.either(f'sheet.layout.{name}', name)} {count(n)}"
        for name, n in statistics["layouts"].items()
        if n and name not in _ONE_IMAGE
    ]
    fallbacks, planned = _fallback_counts(statistics)
    reasons = [
        say(f"sheet.fallback.{code}", n=count(n)) for code, n in statistics["fallbacks"].items() if n and planned
    ]
    plain = say("sheet.plain_value", n=count(fallbacks), of=count(planned), why=say("page.list").join(reasons))
    shortened = say(
        "sheet.shortened_value",
        n=count(statistics["shortened"]),
        of=count(statistics["counted"]),
        share=readable.percent(statistics["shortened_share"]),
    )
    facts = [(say("sheet.rows"), count(statistics["rows"])), (say("sheet.composed"), share)]
    if layouts:
        facts.append((say("sheet.layouts"), say("page.list").join(layouts)))
    facts.append((say("sheet.plain"), plain if fallbacks else say("page.none")))
    if statistics["partners"]:
        partners = {"n": count(statistics["partners"]), "most": count(statistics["partners_most"])}
        facts.append((say("sheet.partners"), say("sheet.partners_value", **partners)))
    if statistics["seen"]:
        facts.append((say("sheet.seen"), _visible_share(statistics, say)))
    return [*facts, (say("sheet.shortened"), shortened)]


def _visible_share(statistics: Mapping[str, Any], say: Words) -> str:
    visible = {f"{name}": f"{share:.0%}" for name, share in statistics["seen"].items()}
    after_crop = {f"kept_{name}": f"{share:.0%}" for name, share in statistics["kept"].items()}
    return say("sheet.seen_value", **visible, **after_crop)


def _tokens(statistics: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """Caption lengths as rows of a small table."""
    rows = [
        (say(f"sheet.tokens.{kind}"), *(readable.count(lengths[name]) for name in ("median", "p95", "max")))
        for kind, lengths in statistics["tokens"].items()
        if lengths
    ]
    return {"rows": rows, "limit": readable.count(statistics["room"])}


def _fallback_counts(statistics: Mapping[str, Any]) -> tuple[int, int]:
    """How many rows stayed plain of how many that were to be composed."""
    fallbacks = sum(statistics["fallbacks"].values())
    return fallbacks, fallbacks + statistics["composed"]


def _limitations(statistics: Mapping[str, Any], rules: Mapping[str, Any] | None, say: Words) -> Iterator[str]:
    """What a reader should look into before training."""
    fallbacks, planned = _fallback_counts(statistics)
    if fallbacks > _PLAIN * planned:
        code = max(statistics["fallbacks"], key=lambda name: statistics["fallbacks"][name])
        numbers = {"n": readable.count(fallbacks), "of": readable.count(planned), "share": f"{fallbacks / planned:.0%}"}
        yield say("sheet.caution.plain", **numbers, why=say(f"sheet.caution.{code}"))
    if statistics["shortened_share"] > _SHORTENED:
        yield say("sheet.caution.shortened", share=f"{statistics['shortened_share']:.0%}")
    if rules is None:
        return
    idle = [
        _rule_name(rule, say)
        for rule in (*rules["constraints"], *rules["exclusions"], *rules["shapes"])
        if rule["share"] == 0
    ]
    if idle and rules["candidates"]:
        yield say("sheet.caution.idle", rules=say("page.list").join(idle))
    # Partners come from the groups that rules make, so there a rule may remove nearly every random pair.
    most = _NEARLY_ALL if rules["groups"] is None else 1.0
    for rule in rules["constraints"]:
        if rule["share"] >= most:
            numbers = {"n": readable.count(rules["candidates"]), "share": readable.percent(rule["share"])}
            yield say("sheet.caution.ban", rule=_rule_name(rule, say), **numbers)
    for rule in rules["exclusions"]:
        if rule["share"] >= _MANY_EXCLUDED:
            yield say("sheet.caution.many_plain", rule=_rule_name(rule, say), share=f"{rule['share']:.0%}")


def _rule_name(rule: Mapping[str, Any], say: Words) -> str:
    """A rule by the beginning of its text and its line."""
    text = rule["text"] if len(rule["text"]) <= _MAX_RULE_TEXT else rule["text"][:_MAX_RULE_TEXT].rstrip() + "…"
    quoted = say("policy.quoted", text=text)
    return quoted if rule["line"] is None else say("sheet.caution.at_line", rule=quoted, line=rule["line"])


def _rules(rules: Mapping[str, Any], policy: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """The rules as the template shows them."""
    groups = rules["groups"]
    rules_policy = policy.get("rules") or {}
    candidates = say("sheet.tried", n=readable.count(rules["candidates"]), share=readable.percent(rules["share"]))
    return {
        "name": rules_policy.get("name"),
        "lead": [candidates, *(_groups(groups, say) if groups is not None else ())],
        "constraints": [
            {**rule, "count": readable.count(rule["removed"]), "only": readable.count(rule["only"]), **_bar(rule)}
            for rule in rules["constraints"]
        ],
        "exclusions": [
            {**rule, "count": say("sheet.never_count", n=readable.count(rule["pairs"])), **_bar(rule)}
            for rule in rules["exclusions"]
        ],
        "shapes": [{**rule, "count": _pair_count(rule, say), "examples": (), **_bar(rule)} for rule in rules["shapes"]],
    }


def _pair_count(rule: Mapping[str, Any], say: Words) -> str:
    """For how many pairs a rule on images holds; nothing for one on how captions are joined."""
    return "" if rule["pairs"] is None else say("sheet.never_count", n=readable.count(rule["pairs"]))


def _groups(groups: Mapping[str, Any], say: Words) -> list[str]:
    """Sentences on the groups within which partners are drawn; none where all pairs are one group."""
    if groups["groups"] == 1 and not groups["unknown"]:
        return []
    sizes = {name: readable.count(groups[name]) for name in ("groups", "median", "largest")}
    excluded = [name for name in ("alone", "unknown") if groups[name]]
    return [
        say("sheet.groups", **sizes),
        *(say(f"sheet.groups_{name}", n=readable.count(groups[name])) for name in excluded),
    ]


def _bar(rule: Mapping[str, Any]) -> dict[str, str]:
    return {"percent": readable.percent(rule["share"]), "width": f"{100 * rule['share']:.1f}"}


def _sample(row: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """One composite as the sheet shows it."""
    content = sample(row)
    sources = [
        {
            "of": order,
            "side": say(f"samples.{side}"),
            "picture": content[f"{position}_image"],
            "caption": row[f"{position}_caption"],
            "key": row[f"{position}_key"],
            "seen": say("sheet.kept", share=f"{visible:.0%}"),
            "mirrored": mirrored,
        }
        for order, position, side, visible, mirrored in zip(
            ("first", "second"), ("left", "right"), content["sides"], row["kept"], row["mirrored"], strict=True
        )
    ]
    hits = [{**hit, "said": _hit(hit, content["sides"], say)} for hit in row["hits"]]
    passed = say("sheet.passed", n=row["passed"]) if row["passed"] else ""
    return {**content, "sources": sources, "why": _why(row["why"], say), "hits": hits, "passed": passed}


def _hit(hit: Mapping[str, str], sides: tuple[str, str], say: Words) -> str:
    """What a rule did to a composite, in words."""
    where = {"first": sides[0], "second": sides[1]}.get(hit["of"])
    effect = say.either(f"sheet.hit.{hit['code']}", hit["code"])
    return effect if where is None else say("sheet.hit.at", what=effect, where=say(f"samples.{where}"))


def _why(why: Mapping[str, Any], say: Words) -> str:
    """Why this partner, in words."""
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
