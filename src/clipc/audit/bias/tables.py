"""The audit's tables: for each attribute its representation, and its association with the concepts."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from clipc.audit.bias.amplification import amplification
from clipc.audit.bias.association import Association, Observations, associate, change, half_width
from clipc.audit.bias.mentions import Mentions
from clipc.audit.bias.plan_variants import Composites
from clipc.compose.arrays import Int64s
from clipc.evaluate.statistics.benjamini_hochberg import benjamini_hochberg

LEVEL = 0.95
"""The level of the intervals."""

FALSE_DISCOVERY_RATE = 0.05
"""The rate below which false discoveries are kept, in each table."""


def attribute_table(
    groups: Mentions, concepts: Mentions, image: Int64s, plans: Mapping[str, Composites]
) -> dict[str, Any]:
    """All tables of one attribute, ready for JSON.

    Args:
        groups: The attribute.
        concepts: The concepts.
        image: The number of each pair's image, shape (pairs,).
        plans: The composites of each plan, by its name; the first is the reference for what lies across halves.

    Returns:
        ``name``, ``kind``; ``groups``: for each its ``name``, ``pairs``, ``share`` and its share of the halves of each
        plan (``plans``); ``tables``: one for the pairs, and for each plan one within and one across halves, see
        :func:`_table`.
    """
    pairs = Observations.of_pairs(groups.present, concepts.present, image, int(image.max(initial=-1)) + 1)
    own = associate(pairs)
    biased = own.observed > own.expected
    tables = [_table("pairs", "within", own, None)]
    shares: dict[str, Any] = {}
    reference: Observations | None = None
    for name, made in plans.items():
        halves, across = made.within(groups, concepts), made.across(groups, concepts)
        shares[name] = halves.groups.mean(axis=0) if len(halves) else np.zeros(len(groups.names))
        for place, observations, before in (("within", halves, pairs), ("across", across, reference)):
            association = associate(observations)
            difference = None if before is None else change(observations, before)
            table = _table(name, place, association, difference)
            base = pairs if place == "within" else None
            to_concept, to_group = amplification(biased, observations, base)
            table["amplification"] = {"to_concept": to_concept.as_dict(LEVEL), "to_group": to_group.as_dict(LEVEL)}
            tables.append(table)
        reference = across if reference is None else reference
    rows = [
        {
            "name": group,
            "pairs": int(own.group_counts[g]),
            "share": float(own.group_counts[g] / max(1, own.total)),
            "plans": {plan: float(share[g]) for plan, share in shares.items()},
        }
        for g, group in enumerate(groups.names)
    ]
    named = [_named(table, groups, concepts) for table in tables]
    return {"name": groups.name, "kind": groups.kind, "left_out": groups.left_out, "groups": rows, "tables": named}


def _table(plan: str, place: str, association: Association, difference: tuple[Any, Any] | None) -> dict[str, Any]:
    """One table of associations; ``rows`` are arrays of shape (G, K) until :func:`_named` makes rows of them.

    Returns:
        ``plan`` (``pairs`` or a plan's name), ``place`` (``within`` one pair, or ``across`` the halves),
        ``observations``, the number of combinations that were ``tested`` and of those ``found``, and ``rows``: for each
        group and concept ``observed`` and ``expected`` counts, ``pmi`` with its interval (``low``, ``high``), ``p``,
        ``q`` (p after Benjamini and Hochberg, over the table), ``few`` (counts so small that the interval is rough;
        ``p`` is None where they are too small for a test), ``found`` (q at most :data:`FALSE_DISCOVERY_RATE`), and the
        ``change`` of pmi from the pairs (within) or from random partners (across) with its interval, where there is
        one.
    """
    low, high = association.interval(LEVEL)
    columns: dict[str, Any] = {
        "observed": association.observed,
        "expected": association.expected,
        "pmi": association.pmi,
        "low": low,
        "high": high,
        "p": association.p,
        "few": association.few,
    }
    if difference is not None:
        value, error = difference
        margin = half_width(error, LEVEL)
        columns |= {"change": value, "change_low": value - margin, "change_high": value + margin}
    return {"plan": plan, "place": place, "observations": association.total, "columns": columns}


def _named(table: dict[str, Any], groups: Mentions, concepts: Mentions) -> dict[str, Any]:
    columns = table.pop("columns")
    cells = [(g, k) for g in range(len(groups.names)) for k in range(len(concepts.names))]
    rows: list[dict[str, Any]] = [
        {"group": groups.names[g], "concept": concepts.names[k]}
        | {name: bool(v[g, k]) if name == "few" else _number(v[g, k]) for name, v in columns.items()}
        for g, k in cells
    ]
    adjusted = benjamini_hochberg([row["p"] for row in rows])
    for row, q in zip(rows, adjusted, strict=True):
        row |= {"q": q, "found": q is not None and q <= FALSE_DISCOVERY_RATE}
    counts = {"tested": sum(row["q"] is not None for row in rows), "found": sum(row["found"] for row in rows)}
    return {**table, **counts, "rows": rows}


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
