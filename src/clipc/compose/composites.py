"""Composites: partners, captions and layouts of the rows of a plan that the mask selects."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Bytes, Float64s, Int32s, Int64s, Positions
from clipc.compose.entries import Candidates, Entries
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import find_layout
from clipc.compose.partners.draw import choose_one, draw, least_similar
from clipc.compose.partners.pools import single_pool
from clipc.compose.policy import Policy
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.similarity.lookalike import lookalikes
from clipc.compose.streams import epoch_generator

FALLBACKS: Final = ("none", "never", "unknown", "alone")
"""Why a selected row stayed plain.

``never``: a rule excludes the pair; ``unknown``: a value that a rule requires to be equal is unknown; ``alone``: no
allowed partner exists, or none was drawn.
"""
_NEVER, _UNKNOWN, _ALONE = 1, 2, 3


@dataclass(frozen=True, eq=False)
class _FirstPairs:
    """The first pairs of composites, with the random choices that do not depend on their partners.

    Attributes:
        own: The entries (captions) that they use, shape (n,).
        chance: Random numbers in [0, 1) for the choice of a partner's caption.
        layout: Random layout codes.
        swapped: Random orders of the captions.
        entries: The entries of the catalog.
        compiled_rules: The compiled rules, or None.
        has_axes: Whether rules may set the axis of the layout.
    """

    own: Int64s
    chance: Float64s
    layout: Bytes
    swapped: Bools
    entries: Entries
    compiled_rules: CompiledRules | None
    has_axes: bool

    def second(self, which: Positions, partner: Int32s) -> Int64s:
        """The entry of each partner: one of its allowed captions, uniformly; -1 if none is allowed."""
        first, counts = self.entries.first[partner], self.entries.counts[partner]
        if self.compiled_rules is None:
            return first + self.entries.choice(partner, self.chance[which])
        begins = np.cumsum(counts) - counts
        candidate = np.arange(int(counts.sum())) + np.repeat(first - begins, counts)
        candidates, fits = self.candidates(np.repeat(which, counts), candidate)
        good = np.flatnonzero(fits)
        good = good[self.compiled_rules.allowed(candidates.take(good))]
        chosen = choose_one(good, begins, counts, self.chance[which])
        return np.where(chosen >= 0, candidate[chosen], -1)

    def candidates(self, which: Positions, second: Int64s) -> tuple[Candidates, Bools]:
        """The candidate composites of some pairs, and whether both images may be cut along one axis."""
        first, layout = self.own[which], self.layout[which]
        fits = np.ones(len(which), dtype=np.bool_)
        if self.has_axes and self.compiled_rules is not None:
            layout, fits = self.compiled_rules.cut(first, second, layout)
        return Candidates(first, second, layout, self.swapped[which]), fits


def compose_rows(
    rows: Int32s, catalog: Catalog, entries: Entries, policy: Policy, inputs: Inputs, seed: int, epoch: int
) -> dict[str, npt.NDArray[Any]]:
    """Partners, captions and layouts for the first pairs of composites.

    Random numbers are drawn for every pair of the catalog and then indexed, so the result for a pair does not
    depend on which other pairs are composed. Look-alikes of an image never become its partner. A partner is allowed
    if any of its captions may be joined to the first pair's caption; one of those is then used.

    Args:
        rows: The pairs that come first, shape (n,).
        catalog: The training pairs.
        entries: The catalog's entries.
        policy: How to compose.
        inputs: The tables that the policy needs.
        seed: The run's seed.
        epoch: The epoch; fixed pairing always draws as in epoch 0.

    Returns:
        The columns of :class:`~clipc.compose.plan.Plan` that composition sets, by name, each of shape (n,).
    """
    when = 0 if policy.pairing == "fixed" else epoch
    pairs, compiled_rules = len(catalog), inputs.compiled_rules
    captions = epoch_generator(seed, "caption", when)
    choice = entries.choice(rows, captions.random(pairs)[rows])
    chance, order = captions.random(pairs)[rows], captions.random(pairs)[rows]
    layout_type = find_layout(policy.layout)
    codes = np.array(layout_type.drawn_from(policy.axis), dtype=np.uint8)
    layout = epoch_generator(seed, "layout", when).choice(codes, pairs)[rows]
    own = entries.first[rows] + choice
    first_pairs = _FirstPairs(own, chance, layout, order < 0.5, entries, compiled_rules, layout_type.has_axes)
    pools = inputs.pools or single_pool(entries.counts)
    pool = pools.of[own]
    fallback = np.where(pool < 0, _ALONE, 0).astype(np.uint8)
    if compiled_rules is not None:
        if compiled_rules.groups is not None:
            fallback[compiled_rules.groups[own] < 0] = _UNKNOWN
        fallback[compiled_rules.never[own]] = _NEVER
    seeking = np.flatnonzero(fallback == 0)
    alike = inputs.alike or lookalikes(catalog)

    def allowed(which: Positions, partner: Int32s) -> Bools:
        which = seeking[which]
        good = (rows[which] != partner) & ~alike(rows[which], partner)
        if compiled_rules is not None:
            some = np.flatnonzero(good)
            good[some] = first_pairs.second(which[some], partner[some]) >= 0
        return good

    def one(part: int) -> Int32s:
        return draw(rows[seeking], pool[seeking], pools, allowed, epoch_generator(seed, "partner", when, part), pairs)

    if policy.partner == "diverse":
        assert inputs.vectors is not None
        drawn = np.stack([one(part) for part in range(policy.draws)], axis=1)
        partner = least_similar(rows[seeking], drawn, inputs.vectors)
    else:
        partner = one(0)

    right = np.full(len(rows), -1, dtype=np.int32)
    right[seeking] = partner
    fallback[seeking[partner < 0]] = _ALONE
    third = np.full(len(rows), -1, dtype=np.int32)
    if policy.caption == "wrong":
        third = third_pairs(rows, right, epoch_generator(seed, "third", when).random(pairs)[rows], pairs)
    return _columns(right, choice, third, fallback, first_pairs)


def third_pairs(left: Int32s, right: Int32s, chance: Float64s, pairs: int) -> Int32s:
    """A uniformly drawn third pair for each composite, other than its two pairs.

    Args:
        left: The first pairs, shape (n,).
        right: The second pairs, -1 for none.
        chance: Numbers in [0, 1).
        pairs: How many there are.

    Returns:
        Their rows; -1 where there is no second pair, or no third one.
    """
    low, high = np.minimum(left, right), np.maximum(left, right)
    third = (chance * max(0, pairs - 2)).astype(np.int32)
    third += third >= low
    third += third >= high
    return np.where((right >= 0) & (pairs > 2), third, -1).astype(np.int32)


def _columns(
    right: Int32s, choice: Int32s, third: Int32s, fallback: Bytes, first_pairs: _FirstPairs
) -> dict[str, npt.NDArray[Any]]:
    """The columns of the plan, given the partners."""
    composed, wrong = np.flatnonzero(right >= 0), np.flatnonzero(third >= 0)
    entries, rules = first_pairs.entries, first_pairs.compiled_rules
    first = entries.first[right[composed]]
    # A partner's only caption is allowed; only a choice among several has to be repeated.
    entry, several = first.copy(), np.flatnonzero(entries.counts[right[composed]] > 1)
    entry[several] = first_pairs.second(composed[several], right[composed][several])
    candidates, _ = first_pairs.candidates(composed, entry)

    def column(rows: Positions, values: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        whole = np.zeros(len(right), dtype)
        whole[rows] = values
        return whole

    return {
        "right": right,
        "left_caption": choice,
        "right_caption": column(composed, entry - first, np.int32),
        "third": third,
        "third_caption": column(wrong, entries.choice(third[wrong], first_pairs.chance[wrong]), np.int32),
        "layout": column(composed, candidates.layout, np.uint8),
        "swapped": first_pairs.swapped & (right >= 0),
        "wording": column(composed, 0 if rules is None else rules.wording(candidates), np.uint8),
        "fallback": fallback,
    }
