"""Evidence of one composite: why this partner, and which rules had a say in how it looks."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from clipc.compose.entries import Entries
from clipc.compose.layouts.tiles import LAYOUT_NAMES, PLAIN
from clipc.compose.plan import Plans
from clipc.compose.rules.law import Law
from clipc.compose.rules.schema import ImageRule, Rules

_EQUAL = re.compile(r"""\ba\.(?:"((?:[^"]|"")+)"|(\w+))\s*=\s*b\.(?:"((?:[^"]|"")+)"|(\w+))""")


class Entry(NamedTuple):
    """One caption of one pair.

    Attributes:
        row: The pair's row in the catalog.
        choice: Which of its captions.
    """

    row: int
    choice: int


def why(plans: Plans, first: Entry, second: Entry) -> dict[str, Any]:
    """Why the second pair became the first one's partner.

    Returns:
        ``code``: ``random``, ``nearest``, ``diverse``, or ``group`` for a random one of its group. Nearest ones have
        their ``rank`` from 1 and ``of`` how many; diverse ones of how many ``draws``; where vectors are at hand
        there is the ``similarity``, a cosine; with groups there is the number of ``pairs`` in the group, and the
        ``values`` that they share (names and values of columns of the data).
    """
    policy, inputs = plans.policy, plans.inputs
    told: dict[str, Any] = {"code": policy.partner}
    if inputs.vectors is not None:
        told["similarity"] = float(inputs.vectors[first.row] @ inputs.vectors[second.row])
    if policy.partner == "diverse":
        told["draws"] = policy.draws
    if inputs.pools is None:
        return told
    pool = inputs.pools.of[Entries.of(plans.catalog).first[first.row] + first.choice]
    members = inputs.pools.members[inputs.pools.start[pool] : inputs.pools.start[pool + 1]]
    if policy.partner == "nearest":
        return told | {"rank": int(np.flatnonzero(members == second.row)[0]) + 1, "of": len(members)}
    if len(members) == len(plans.catalog):
        return told
    told |= {"pairs": len(members), "values": list(_shared(plans, first.row))}
    return told | {"code": "group" if policy.partner == "random" else policy.partner}


def hits(plans: Plans, first: Entry, second: Entry, wording: int) -> list[dict[str, str]]:
    """The rules that had a say in how a composite looks.

    Args:
        plans: The plans it is part of.
        first: What comes first.
        second: What comes second.
        wording: The plan's ``wording`` of it.

    Returns:
        For each rule ``code`` (``axis``, ``whole``, ``mirror``, ``region``, ``joiner`` or ``template``), ``of``
        (``first``, ``second`` or ``both``: whom it holds for), the ``text`` as the expert wrote it, and ``why``.
    """
    law, rules = plans.inputs.law, plans.policy.rules
    if law is None or rules is None:
        return []
    start = Entries.of(plans.catalog).first
    sides = {"first": int(start[first.row]) + first.choice, "second": int(start[second.row]) + second.choice}
    found: dict[tuple[str, str, str], str] = {}
    for side, entry in sides.items():
        for hit in _image_hits(law, rules, entry):
            found[hit] = "both" if hit in found else side
    told = [{"code": code, "of": of, "text": text, "why": reason} for (code, text, reason), of in found.items()]
    if wording:
        rule = [rule for rule in rules.captions if rule.forbid is None][wording - 1]
        code = "template" if rule.template is not None else "joiner"
        text = f"{code}: {rule.template or rule.joiner}"
        told.append({"code": code, "of": "both", "text": text, "why": rule.why or ""})
    return told


def _image_hits(law: Law, rules: Rules, entry: int) -> Iterator[tuple[str, str, str]]:
    """Code, text and reason of what rules say of one entry's image."""
    if law.axis[entry] != PLAIN:
        yield "axis", *_image_rule(rules, "axis", LAYOUT_NAMES[law.axis[entry]])
    if law.whole[entry]:
        yield "whole", *_image_rule(rules, "whole", True)
    if not law.mirror[entry]:
        yield "mirror", *_image_rule(rules, "mirror", False)
    if law.regions is not None and np.isfinite(law.regions[entry]).all():
        yield "region", *_image_rule(rules, "region", None)


def _image_rule(rules: Rules, key: str, value: Any) -> tuple[str, str]:
    """The text and reason of the image rule that says something; the reason is left out where several say it."""

    def says(rule: ImageRule) -> bool:
        said = getattr(rule, key)
        return said is not None if value is None else said == value

    saying = [rule for rule in rules.images if says(rule)]
    text = f"{key}: {getattr(saying[0], key)}".replace("True", "true").replace("False", "false")
    if len(saying) > 1:
        return text, ""
    when = f" (when {saying[0].when})" if saying[0].when else ""
    return text + when, saying[0].why or ""


def _shared(plans: Plans, row: int) -> Iterator[tuple[str, str]]:
    """Columns of the data that rules require to be equal, with one pair's values."""
    law, rules, table = plans.inputs.law, plans.policy.rules, plans.catalog.table
    assert law is not None
    meant = rules.found_columns(table.column_names) if rules is not None else {}
    equal = [sides for ban in law.bans if ban.text.startswith("require:") for sides in _EQUAL.findall(ban.text)]
    for name in dict.fromkeys(quoted or plain for quoted, plain, *other in equal if [quoted, plain] == other):
        column = meant.get(name, name)
        if column in table.column_names:
            yield name, str(table[column][row].as_py())
