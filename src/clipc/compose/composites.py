"""Composites: partners, captions and layouts of the rows of a plan that the mask selects."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Bytes, Float64s, Int32s, Int64s, Positions
from clipc.compose.entries import Candidates, Entries
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import find_layout
from clipc.compose.layouts.tiles import PLAIN
from clipc.compose.partners.diverse import least_similar
from clipc.compose.partners.draw import choose_one, draw
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
class Composites:
    """The columns of :class:`~clipc.compose.plan.Plan` that composition sets, for some of its rows."""

    right: Int32s
    left_caption: Int32s
    right_caption: Int32s
    third: Int32s
    third_caption: Int32s
    layout: Bytes
    swapped: Bools
    wording: Bytes
    fallback: Bytes


@dataclass(frozen=True, eq=False)
class _FirstPairs:
    """The first pairs of composites, with the random choices that do not depend on their partners.

    Attributes:
        rows: The pairs, shape (n,).
        own: The entries (captions) that they use.
        chance: Random numbers in [0, 1) for the choice of a partner's caption.
        layout: Random layout codes.
        swapped: Random orders of the captions.
        entries: The entries of the catalog.
        compiled_rules: The compiled rules, or None.
        has_axes: Whether rules may set the axis of the layout.
    """

    rows: Int32s
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
) -> Composites:
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
    """
    when = 0 if policy.pairing == "fixed" else epoch
    pairs, compiled_rules = len(catalog), inputs.compiled_rules
    captions = epoch_generator(seed, "caption", when)
    choice = entries.choice(rows, captions.random(pairs)[rows])
    layout_type = find_layout(policy.layout)
    codes = np.array(layout_type.drawn_from(policy.axis), dtype=np.uint8)
    first_pairs = _FirstPairs(
        rows=rows,
        own=entries.first[rows] + choice,
        chance=captions.random(pairs)[rows],
        layout=epoch_generator(seed, "layout", when).choice(codes, pairs)[rows],
        swapped=captions.random(pairs)[rows] < 0.5,
        entries=entries,
        compiled_rules=compiled_rules,
        has_axes=layout_type.has_axes,
    )
    pools = inputs.pools or single_pool(entries.counts)
    pool = pools.of[first_pairs.own]
    fallback = np.where(pool < 0, _ALONE, 0).astype(np.uint8)
    if compiled_rules is not None:
        if compiled_rules.groups is not None:
            fallback[compiled_rules.groups[first_pairs.own] < 0] = _UNKNOWN
        fallback[compiled_rules.never[first_pairs.own]] = _NEVER
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
    return _filled(right, choice, third, fallback, first_pairs)


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


def _filled(right: Int32s, choice: Int32s, third: Int32s, fallback: Bytes, first_pairs: _FirstPairs) -> Composites:
    """The columns of the plan, given the partners."""
    composed = np.flatnonzero(right >= 0)
    # A partner's only caption is known to be allowed; only a choice among several has to be repeated.
    entry = first_pairs.entries.first[right[composed]]
    several = np.flatnonzero(first_pairs.entries.counts[right[composed]] > 1)
    entry[several] = first_pairs.second(composed[several], right[composed][several])
    candidates, _ = first_pairs.candidates(composed, entry)
    layout = np.full(len(right), PLAIN, dtype=np.uint8)
    layout[composed] = candidates.layout
    second = np.zeros(len(right), dtype=np.int32)
    second[composed] = entry - first_pairs.entries.first[right[composed]]
    words = np.zeros(len(right), dtype=np.int32)
    wrong = np.flatnonzero(third >= 0)
    words[wrong] = first_pairs.entries.choice(third[wrong], first_pairs.chance[wrong])
    wording = np.zeros(len(right), dtype=np.uint8)
    if first_pairs.compiled_rules is not None:
        wording[composed] = first_pairs.compiled_rules.wording(candidates)
    swapped = first_pairs.swapped & (right >= 0)
    return Composites(right, choice, second, third, words, layout, swapped, wording, fallback)
