"""Correction: partner weights under which the halves of composites no longer carry an association."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipc.audit.bias.mentions import Mentions
from clipc.catalog.catalog import Catalog
from clipc.catalog.sources.grid import read_grid
from clipc.compose.arrays import Bools, Float64s
from clipc.compose.partners.group_weights import GroupWeights, group_weights_document
from clipc.compose.plan import Plans
from clipc.errors import UserError, unknown_name
from clipc.files import write_json
from clipc.prepare.partner_weights import Balance, balance_partners

REACHED: Final = 0.05
"""A share counts as reached if it lies within this relative distance of the target."""

Shares = Mapping[tuple[str, str], float]
"""Stated shares by group and concept: of the composites of which one half shows the group, the share whose other half
shows the concept."""


def read_shares(file: Path) -> dict[tuple[str, str], float]:
    """Stated shares from a table with the columns ``group``, ``concept`` and ``share``.

    Raises:
        UserError: The file cannot be read, has other columns, or a share is not a number above 0 and below 1.
    """
    grid = read_grid(file)
    if set(grid.names) != {"group", "concept", "share"}:
        raise UserError(f"{file} has the columns {', '.join(grid.names)}; it needs group, concept and share.")
    shares: dict[tuple[str, str], float] = {}
    for record in grid.records:
        if isinstance(record.values, str):
            raise UserError(f"{file}, row {record.number}: {record.values}.")
        try:
            share = float(record.values.get("share") or "")
        except (TypeError, ValueError):
            share = float("nan")
        if not 0 < share < 1:
            raise UserError(f"{file}, row {record.number}: share must be a number between 0 and 1, such as 0.25.")
        shares[str(record.values.get("group")), str(record.values.get("concept"))] = share
    return shares


def correct(
    plans: Plans, attributes: list[Mentions], concepts: Mentions, tested: list[Bools], shares: Shares | None = None
) -> tuple[Balance, dict[str, Any]]:
    """Partner weights for combinations of groups and concepts, in both orders of the halves.

    Args:
        plans: The plans of the policy to correct.
        attributes: The attributes.
        concepts: The concepts.
        tested: For each attribute which combinations have enough counts, shape (G, K).
        shares: Stated shares, which alone are constrained then; None for independence of all combinations.

    Returns:
        The weights, and a table ready for JSON: ``target`` (``independence`` or ``shares``), ``rows`` (for each
        combination ``attribute``, ``group``, ``concept``, and the share of composites with both across halves:
        ``target``, ``before``, ``after``, whether it is ``reached``, and ``fixed``: no choice of the allowed partners
        changes it), the number ``unreached`` and ``fixed``, ``efficiency``, ``acceptance`` and ``left_out`` (names of
        features for which there were too many groups).

    Raises:
        UserError: A stated share names an unknown group or concept, or partners cannot be weighted.
    """
    sizes = [len(attribute.names) for attribute in attributes]
    begins = np.cumsum([0, *sizes])
    k0, total = int(begins[-1]), int(begins[-1]) + len(concepts.names)
    features = np.hstack([*(a.present for a in attributes), concepts.present]).astype(np.float64)
    linked = np.zeros((total, total), dtype=np.bool_)
    wanted = None if shares is None else np.full((total, total), np.nan)
    for attribute, begin, some in zip(attributes, begins, tested, strict=False):
        rows = slice(int(begin), int(begin) + len(attribute.names))
        linked[rows, k0:], linked[k0:, rows] = some, some.T
    names = [*(group for a in attributes for group in a.names), *concepts.names]
    if shares is not None and wanted is not None:
        linked[:] = False
        _state(shares, wanted, linked, names, k0, features)
    inputs, policy = plans.inputs, plans.policy
    balance = balance_partners(policy, plans.catalog, inputs, plans.seed, features, linked, wanted)
    table: list[dict[str, Any]] = []
    for attribute, begin in zip(attributes, begins, strict=False):
        for g, group in enumerate(attribute.names):
            for k, concept in enumerate(concepts.names):
                a, b = int(begin) + g, k0 + k
                if linked[a, b] and np.isfinite(balance.wanted[a, b]):
                    table.append(
                        {"attribute": attribute.name, "group": group, "concept": concept, **_row(balance, a, b)}
                    )
    return balance, {
        "target": "independence" if shares is None else "shares",
        "rows": table,
        "unreached": sum(not row["reached"] for row in table),
        "fixed": sum(row["fixed"] for row in table),
        "efficiency": balance.efficiency,
        "acceptance": balance.acceptance,
        "left_out": [names[feature] for feature in balance.unused if feature < len(names) and linked[feature].any()],
    }


def write_weights(file: Path, pairs: Catalog, weights: GroupWeights, about: Mapping[str, Any]) -> None:
    """Writes the weights as a file for ``policy.weights``.

    Raises:
        UserError: The file cannot be written.
    """
    write_json(file, group_weights_document(pairs.keys, weights, about))


def _row(balance: Balance, a: int, b: int) -> dict[str, Any]:
    """The mean over both orders of the halves."""
    target, before, after = (
        float(matrix[a, b] + matrix[b, a]) / 2 for matrix in (balance.wanted, balance.before, balance.after)
    )
    reached = abs(after - target) <= REACHED * target
    fixed = not reached and abs(after - before) <= REACHED * abs(target - before)
    return {"target": target, "before": before, "after": after, "reached": reached, "fixed": fixed}


def _state(shares: Shares, wanted: Float64s, linked: Bools, names: list[str], k0: int, features: Float64s) -> None:
    """Writes the stated shares into the matrix, for both orders of the halves."""
    means = features.mean(axis=0)
    for (group, concept), share in shares.items():
        if group not in names[:k0]:
            raise unknown_name("group", group, names[:k0])
        if concept not in names[k0:]:
            raise unknown_name("concept", concept, names[k0:])
        a, b = names.index(group), k0 + names[k0:].index(concept)
        linked[a, b] = linked[b, a] = True
        wanted[a, b] = share
        # The other order has the same joint share: P(first shows b) * P(partner shows a | b) = P(a) * share.
        wanted[b, a] = min(1.0, means[a] * share / max(means[b], 1e-12))
