"""Explanations of one composite: why this partner was drawn, and which rules shaped it."""

from typing import Any, NamedTuple

import numpy as np

from clipc.compose.plan import Plans
from clipc.extension import is_object_reference


class Entry(NamedTuple):
    """One caption of one pair.

    Attributes:
        row: The pair's row in the catalog.
        choice: The index of the caption among those of the pair.
    """

    row: int
    choice: int


def partner_reason(plans: Plans, first: Entry, second: Entry) -> dict[str, Any]:
    """Why the second pair became the first one's partner.

    Returns:
        The key ``code``: ``random``, ``nearest``, ``diverse``, ``group`` (a random pair of the same group), or ``own``
        (one of the ``of`` candidates in the user's own table ``name``). For nearest partners also the ``rank``, from 1,
        among ``of`` neighbours; for diverse ones the number of ``draws``; with vectors the ``similarity``, a cosine;
        with groups the number of ``pairs`` in the group, and ``values``: the names and values of the columns that its
        pairs share.
    """
    policy, inputs = plans.policy, plans.inputs
    reason: dict[str, Any] = {"code": policy.partner}
    if inputs.vectors is not None:
        reason["similarity"] = float(inputs.vectors[first.row] @ inputs.vectors[second.row])
    if policy.partner == "diverse":
        reason["draws"] = policy.draws
    if (table := inputs.tables.get("neighbours")) is not None:
        nearest = table[first.row][table[first.row] >= 0]
        if is_object_reference(policy.partner):
            return {"code": "own", "name": policy.partner, "of": len(nearest)}
        return reason | {"rank": int(np.flatnonzero(nearest == second.row)[0]) + 1, "of": len(nearest)}
    if inputs.pools is None or inputs.compiled_rules is None or inputs.compiled_rules.groups is None:
        return reason
    entry = int(plans.entries.first[first.row]) + first.choice
    pool = inputs.pools.pool_of_entry[entry]
    members = inputs.pools.members[inputs.pools.start[pool] : inputs.pools.start[pool + 1]]
    if len(members) == len(plans.catalog):
        return reason
    values = [(name, str(column[entry].as_py())) for name, column in inputs.compiled_rules.shared.items()]
    code = "group" if policy.partner == "random" else policy.partner
    return reason | {"pairs": len(members), "values": values, "code": code}


def applied_rules(plans: Plans, first: Entry, second: Entry, wording: int) -> list[dict[str, str]]:
    """The rules that shaped a composite: its layout, its views or its caption.

    Args:
        plans: The plans with the composite.
        first: The caption and pair of the first source.
        second: The caption and pair of the second source.
        wording: The composite's index into ``plans.wordings``; 0 is the policy's own wording.

    Returns:
        For each rule its ``code`` (``axis``, ``whole``, ``mirror``, ``region``, ``joiner`` or ``template``), its
        sources (``of``: ``first``, ``second`` or ``both``), its ``text`` as the expert wrote it, and its
        reason (``why``).
    """
    compiled_rules = plans.inputs.compiled_rules
    if compiled_rules is None:
        return []
    start = plans.entries.first
    sides = {"first": int(start[first.row]) + first.choice, "second": int(start[second.row]) + second.choice}
    applied: list[dict[str, str]] = []
    for rule in compiled_rules.image_constraints:
        if matches := [side for side, entry in sides.items() if rule.entries[entry]]:
            sources = "both" if len(matches) == 2 else matches[0]
            applied.append({"code": rule.key, "of": sources, "text": rule.text, "why": rule.why})
    if wording:
        rule = compiled_rules.wording_rules[wording - 1]
        code = "joiner" if rule.wording.template is None else "template"
        applied.append({"code": code, "of": "both", "text": rule.text, "why": rule.why})
    return applied
