"""Evidence of one composite: why this partner, and which rules had a say in how it looks."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from clipc.compose.plan import Plans
from clipc.compose.rules.columns import CatalogColumns

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
    entry = int(plans.entries.first[first.row]) + first.choice
    pool = inputs.pools.of[entry]
    members = inputs.pools.members[inputs.pools.start[pool] : inputs.pools.start[pool + 1]]
    if policy.partner == "nearest":
        return told | {"rank": int(np.flatnonzero(members == second.row)[0]) + 1, "of": len(members)}
    if len(members) == len(plans.catalog):
        return told
    told |= {"pairs": len(members), "values": list(_shared(plans, entry))}
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
    start = plans.entries.first
    sides = {"first": int(start[first.row]) + first.choice, "second": int(start[second.row]) + second.choice}
    told: list[dict[str, str]] = []
    for rule in law.shaped:
        held = [side for side, entry in sides.items() if rule.entries[entry]]
        if held:
            of = "both" if len(held) == 2 else held[0]
            told.append({"code": rule.key, "of": of, "text": rule.text, "why": rule.why})
    if wording:
        rule = [rule for rule in rules.captions if rule.forbid is None][wording - 1]
        code = "template" if rule.template is not None else "joiner"
        text = f"{code}: {rule.template or rule.joiner}"
        told.append({"code": code, "of": "both", "text": text, "why": rule.why or ""})
    return told


def _shared(plans: Plans, entry: int) -> Iterator[tuple[str, str]]:
    """Columns that rules require to be equal, with one entry's values."""
    law, rules = plans.inputs.law, plans.policy.rules
    assert law is not None
    table, columns = plans.catalog.table, CatalogColumns(plans.catalog)
    meant = rules.found_columns(columns.names) if rules is not None else {}
    equal = [sides for ban in law.bans if ban.text.startswith("require:") for sides in _EQUAL.findall(ban.text)]
    for name in dict.fromkeys(quoted or plain for quoted, plain, *other in equal if [quoted, plain] == other):
        if name in law.fields:
            yield name, str(law.fields[name][entry].as_py())
        elif (column := meant.get(name, name)) in table.column_names:
            row = int(np.searchsorted(plans.entries.first, entry, side="right")) - 1
            yield name, str(table[column][row].as_py())
