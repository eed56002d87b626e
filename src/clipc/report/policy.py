"""A composition policy in words."""

from collections.abc import Mapping
from typing import Any

from clipc.report.words import Words

_HALVES = ("centre-halves", "squeezed-halves", "region")


def policy_facts(
    policy: Mapping[str, Any], say: Words, group: Mapping[str, Any] | None = None
) -> list[tuple[str, str]]:
    """A policy as pairs of a readable key and a readable value; keys without effect are left out.

    A value without words is shown as it is.

    Args:
        policy: Fields of :class:`clipc.compose.policy.Policy`.
        say: The words of the page's language.
        group: What ``group: auto`` comes to on the data, see :func:`clipc.prepare.plans.auto_group`; None if unknown.
    """
    until = policy.get("until", 1)
    share = {"share": f"{policy['rho']:.0%}", "until": f"{until:.0%}"}
    facts = [("share", say("policy.share_value" if until == 1 else "policy.share_until", **share))]
    if policy.get("mixing", "rows") != "rows":
        facts.append(("mixing", _value("mixing", policy, say)))
    if policy.get("treatment", "compose") != "compose":
        facts.append(("treatment", _value("treatment", policy, say)))
        return [(say(f"policy.name.{name}"), text) for name, text in facts]
    facts.append(("layout", _value("layout", policy, say)))
    if policy["layout"] in _HALVES:
        facts.append(("axis", _value("axis", policy, say)))
    if policy.get("region"):
        facts.append(("region", say.get(f"policy.region.{policy['region']}", _column(policy["region"], say))))
    if policy.get("caption"):
        facts.append(("caption", _value("caption", policy, say)))
    facts += _joining(policy, say)
    facts.append(("partner", _value("partner", policy, say)))
    if policy.get("group"):
        facts.append(("group", _group(policy, group, say)))
    if weights := policy.get("weights"):
        column = weights.startswith("column:")
        facts.append(("weights", _column(weights.removeprefix("column:"), say) if column else weights))
    if score := _score(policy.get("score") or {}, say):
        facts.append(("score", score))
    if policy.get("pairing"):
        facts.append(("pairing", _value("pairing", policy, say)))
    if policy["partner"] in ("nearest", "diverse") and policy.get("embedding"):
        facts.append(("embedding", _embedding(policy, say)))
    if policy.get("rules"):
        facts.append(("rules", _rules(policy["rules"], say)))
    return [(say(f"policy.name.{name}"), text) for name, text in facts]


def _value(key: str, policy: Mapping[str, Any], say: Words) -> str:
    """The readable value of one field of the policy."""
    numbers = {name: str(policy.get(name)) for name in ("neighbours", "draws")}
    phrase = f"policy.{key}.{policy[key]}"
    return say(phrase, **numbers) if phrase in say.table else str(policy[key])


def _group(policy: Mapping[str, Any], found: Mapping[str, Any] | None, say: Words) -> str:
    """What partners are restricted to; where that is nothing, why, and what becomes of equal captions."""
    if policy["group"] != "auto":
        return say("policy.group_value", column=policy["group"])
    if found is None:
        return say("policy.group_auto")
    text = say(f"policy.group_found.{found['code']}", column=found["column"])
    if found["code"] != "single-captions":
        return text
    return say("policy.equal_nearest" if policy["partner"] == "nearest" else "policy.equal_random", restriction=text)


def _column(name: str, say: Words) -> str:
    return say("policy.column", name=name)


def _joining(policy: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    """The joiner or the template, if the caption strategy keeps both captions and uses one."""
    strategy = policy.get("caption", "join")
    if strategy in ("one", "first", "second"):
        return []
    if policy.get("template"):
        return [("template", say("policy.quoted", text=policy["template"]))]
    if strategy == "spatial":
        return []
    joiner = policy.get("joiner")
    if joiner is None:
        return [("joiner", say("policy.joiner_by_language"))]
    return [("joiner", say("policy.quoted", text=joiner.strip()) if joiner.strip() else say("policy.space"))]


def _embedding(policy: Mapping[str, Any], say: Words) -> str:
    kind, _, name = policy["embedding"].partition(":")
    if kind == "captions":
        return say("policy.embedding.captions")
    if kind == "column":
        return _column(name, say)
    source = say.get(f"policy.embedding_of.{policy['embedding_of']}", str(policy["embedding_of"]))
    return say("policy.embedding.model", folder=policy["embedding"], of=source)


def _score(score: Mapping[str, Any], say: Words) -> str:
    """What scores composites and how the plan uses it; empty without scores."""
    if score.get("by") is None:
        return ""
    uses = {
        "keep": {} if score.get("keep", 1) == 1 else {"keep": f"{score['keep']:.0%}"},
        "threshold": {} if score.get("threshold") is None else {"threshold": f"{score['threshold']:g}"},
        "weight": {} if not score.get("weight") else {"weight": f"{score['weight']:g}"},
    }
    named = [say(f"policy.score_use.{name}", **values) for name, values in uses.items() if values]
    by = say.get(f"quality.by.{score['by']}", score["by"])
    return say("policy.score_value", by=by, use=say("page.list").join(named))


def _rules(rules: Mapping[str, Any], say: Words) -> str:
    captions = rules.get("captions", ())
    refusing = (
        len(rules.get("pairs", ()))
        + len(rules.get("never", ()))
        + sum(rule.get("forbid") is not None for rule in captions)
    )
    shaping = len(rules.get("images", ())) + sum(rule.get("forbid") is None for rule in captions)
    counts = {"what": refusing, "how": shaping}
    parts = [say(f"policy.rules_{name}", n=n) for name, n in counts.items() if n]
    return say("policy.rules_value", name=rules["name"], parts=say("page.list").join(parts) or say("page.none"))
