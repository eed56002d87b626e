"""The candidate composites that are scored: a fixed number of partners for each pair."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bytes, Int32s, Int64s
from clipc.compose.composites import compose_rows
from clipc.compose.entries import Entries
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import find_layout
from clipc.compose.plan import Plan
from clipc.compose.policy import Policy
from clipc.compose.score import CANDIDATES

_MAX_DRAWS = 4 * CANDIDATES
"""Draws after which a pair keeps the candidates that it has: its pool holds hardly more."""


@dataclass(frozen=True, eq=False)
class CandidateComposites:
    """The candidate composites of n pairs: a table keyed by the first pair, its partner and the layout.

    Attributes:
        plan: The candidates as rows of a plan, sorted by the first pair, then in the order of their draw; m rows.
        place: The place of each row among its pair's candidates, from 0, ``int64``, shape (m,).
        pairs: The number n of pairs.
    """

    plan: Plan
    place: Int64s
    pairs: int

    def table(self, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], missing: float) -> np.ndarray:
        """Values of the candidates by pair and place.

        Args:
            values: Shape (m,).
            missing: The value where a pair has fewer candidates.

        Returns:
            Of the same type, shape (n, K).
        """
        table = np.full((self.pairs, CANDIDATES), missing, dtype=values.dtype)
        table[self.plan.left, self.place] = values
        return table

    @cached_property
    def right(self) -> Int32s:
        """The partners, -1 for none, ``int32``, shape (n, K)."""
        return self.table(self.plan.right, -1)

    @cached_property
    def layouts(self) -> Bytes:
        """The layouts as in a plan, ``uint8``, shape (n, K)."""
        return self.table(self.plan.layout, 0)


def draw_candidates(policy: Policy, pairs: Catalog, inputs: Inputs, seed: int) -> CandidateComposites:
    """Up to :data:`~clipc.compose.score.CANDIDATES` distinct partners of each pair, each with captions and a layout.

    They are drawn as the plan draws partners, but from a stream of their own: under the policy's rules, groups, weights
    and neighbours, never a look-alike. A pair has fewer where its pool holds hardly more, and none where the rules
    exclude it.

    Args:
        policy: The policy.
        pairs: The training pairs.
        inputs: The policy's tables without scores.
        seed: The run's seed.
    """
    n, entries = len(pairs), Entries.of(pairs)
    right = np.full((n, CANDIDATES), -1, dtype=np.int32)
    filled = np.zeros(n, dtype=np.int64)
    seeking = np.arange(n, dtype=np.int32)
    columns: list[dict[str, np.ndarray]] = []
    for draw in range(_MAX_DRAWS):
        if not len(seeking):
            break
        drawn = compose_rows(seeking, pairs, entries, policy, inputs, seed, draw, candidate=True)
        partner = drawn["right"]
        new = np.flatnonzero((partner >= 0) & ~(right[seeking] == partner[:, None]).any(axis=1))
        rows = seeking[new]
        right[rows, filled[rows]] = partner[new]
        columns.append({name: values[new] for name, values in drawn.items()} | {"left": rows, "place": filled[rows]})
        filled[rows] += 1
        # Whether a pair is excluded can depend on the caption that it shows, so one without a partner is asked again.
        seeking = np.flatnonzero(filled < CANDIDATES).astype(np.int32)
    whole = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]} if columns else {}
    place = whole.pop("place", np.zeros(0, dtype=np.int64))
    order = np.lexsort((place, whole.get("left", place)))
    shapes = find_layout(policy.layout).all_shapes
    plan = Plan(**{name: values[order] for name, values in whole.items()}, shapes=shapes) if whole else _empty(shapes)
    return CandidateComposites(plan, place[order], n)


def _empty(shapes: tuple) -> Plan:
    none = np.zeros(0, dtype=np.int32)
    return Plan.plain(none, none, shapes)
