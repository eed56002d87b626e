"""Evidence of one composite: why this partner, and which rules had a say in how it looks."""

from typing import Any, NamedTuple

import numpy as np

from clipc.compose.plan import Plans
from clipc.extension import is_own


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
        ``code``: ``random``, ``nearest``, ``diverse``, ``group`` for a random one of its group, or ``own`` for one of
        the ``of`` that the user's own table ``name`` gives. Nearest ones have their ``rank`` from 1 and ``of`` how
        many; diverse ones of how many ``draws``; where vectors are at hand there is the ``similarity``, a cosine; with
        groups there is the number of ``pairs`` in the group, and the ``values`` that they share (names and values of
        columns of the data).
    """
    policy, inputs = plans.policy, plans.inputs
    told: dict[str, Any] = {"code": policy.partner}
    if inputs.vectors is not None:
        told["similarity"] = float(inputs.vectors[first.row] @ inputs.vectors[second.row])
    if policy.partner == "diverse":
        told["draws"] = policy.draws
    if (near := inputs.tables.get("neighbours")) is not None:
        nearest = near[first.row][near[first.row] >= 0]
        if is_own(policy.partner):
            return {"code": "own", "name": policy.partner, "of": len(nearest)}
        return told | {"rank": int(np.flatnonzero(nearest == second.row)[0]) + 1, "of": len(nearest)}
    if inputs.pools is None or inputs.compiled_rules is None or inputs.compiled_rules.groups is None:
        return told
    entry = int(plans.entries.first[first.row]) + first.choice
    pool = inputs.pools.of[entry]
    members = inputs.pools.members[inputs.pools.start[pool] : inputs.pools.start[pool + 1]]
    if len(members) == len(plans.catalog):
        return told
    values = [(name, str(column[entry].as_py())) for name, column in inputs.compiled_rules.shared.items()]
    told |= {"pairs": len(members), "values": values}
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
    compiled_rules = plans.inputs.compiled_rules
    if compiled_rules is None:
        return []
    start = plans.entries.first
    sides = {"first": int(start[first.row]) + first.choice, "second": int(start[second.row]) + second.choice}
    told: list[dict[str, str]] = []
    for rule in compiled_rules.shaped:
        held = [side for side, entry in sides.items() if rule.entries[entry]]
        if held:
            of = "both" if len(held) == 2 else held[0]
            told.append({"code": rule.key, "of": of, "text": rule.text, "why": rule.why})
    if wording:
        saying = compiled_rules.wording_rules[wording - 1]
        code = "joiner" if saying.wording.template is None else "template"
        told.append({"code": code, "of": "both", "text": saying.text, "why": saying.why})
    return told
