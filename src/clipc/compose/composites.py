"""Composites: partners, captions and layout for the rows of a plan that are to be composed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.compose.entries import Entries, Proposed
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import find_layout
from clipc.compose.layouts.tiles import PLAIN
from clipc.compose.partners.diverse import least_similar
from clipc.compose.partners.draw import draw, one_of
from clipc.compose.partners.pools import Rows, everyone
from clipc.compose.policy import Policy
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.similarity.lookalike import lookalikes
from clipc.compose.streams import epoch_generator

FALLBACKS: Final = ("none", "never", "unknown", "alone")
"""Why a row that was to be composed stayed plain.

``never``: a rule says that this pair stays plain; ``unknown``: a value that a rule requires to be equal is not
known; ``alone``: there is no allowed partner, or none was found.
"""
_NEVER, _UNKNOWN, _ALONE = 1, 2, 3


@dataclass(frozen=True, eq=False)
class Composites:
    """The columns of :class:`~clipc.compose.plan.Plan` that composing decides, for some of its rows."""

    right: Rows
    left_caption: Rows
    right_caption: Rows
    third: Rows
    third_caption: Rows
    layout: npt.NDArray[np.uint8]
    swapped: npt.NDArray[np.bool_]
    wording: npt.NDArray[np.uint8]
    fallback: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Seekers:
    """The pairs that seek a partner, and what has been drawn for them before one is known.

    Attributes:
        rows: The pairs, shape (n,).
        own: The entries that they show.
        chance: Numbers in [0, 1) by which a partner's caption is chosen.
        layout: Drawn layout codes.
        swapped: Drawn orders of the captions.
        entries: The numbers of all captions.
        rules: The rules, if there are any.
        has_axes: Whether rules may turn the layout.
    """

    rows: Rows
    own: npt.NDArray[np.int64]
    chance: npt.NDArray[np.float64]
    layout: npt.NDArray[np.uint8]
    swapped: npt.NDArray[np.bool_]
    entries: Entries
    compiled_rules: CompiledRules | None
    has_axes: bool

    def second(self, which: npt.NDArray[np.intp], partner: Rows) -> npt.NDArray[np.int64]:
        """The caption that each partner would show: one of its allowed ones, each with equal chance; -1 without any."""
        first, counts = self.entries.first[partner], self.entries.counts[partner]
        if self.compiled_rules is None:
            return first + self.entries.choice(partner, self.chance[which])
        begins = np.cumsum(counts) - counts
        candidate = np.arange(int(counts.sum())) + np.repeat(first - begins, counts)
        proposed, fits = self.proposed(np.repeat(which, counts), candidate)
        good = np.flatnonzero(fits)
        good = good[self.compiled_rules.allowed(proposed.take(good))]
        chosen = one_of(good, begins, counts, self.chance[which])
        return np.where(chosen >= 0, candidate[chosen], -1)

    def proposed(
        self, which: npt.NDArray[np.intp], second: npt.NDArray[np.int64]
    ) -> tuple[Proposed, npt.NDArray[np.bool_]]:
        """The composites of some of the pairs, and whether both of their images can be cut along one axis."""
        first, layout = self.own[which], self.layout[which]
        fits = np.ones(len(which), dtype=np.bool_)
        if self.has_axes and self.compiled_rules is not None:
            layout, fits = self.compiled_rules.cut(first, second, layout)
        return Proposed(first, second, layout, self.swapped[which]), fits


def compose_rows(
    rows: Rows, catalog: Catalog, entries: Entries, policy: Policy, inputs: Inputs, seed: int, epoch: int
) -> Composites:
    """Partners, captions and layout for the pairs that come first in a composite.

    Everything is drawn for every pair of the catalog and then looked up, so that what a pair gets does not
    hang on which other pairs are composed. Look-alikes of a picture never become its partner. A partner is allowed
    if any of its captions may be shown beside the one that the first pair shows; it then shows one of those.

    Args:
        rows: The pairs that come first, shape (n,).
        catalog: The training pairs.
        entries: Their captions' numbers.
        policy: How to compose.
        inputs: Tables that the policy needs.
        seed: The run's seed.
        epoch: The epoch; fixed pairing draws as in epoch 0 whatever it is.
    """
    when = 0 if policy.pairing == "fixed" else epoch
    pairs, compiled_rules = len(catalog), inputs.compiled_rules
    captions = epoch_generator(seed, "caption", when)
    choice = entries.choice(rows, captions.random(pairs)[rows])
    form = find_layout(policy.layout)
    codes = np.array(form.drawn_from(policy.axis), dtype=np.uint8)
    seekers = _Seekers(
        rows=rows,
        own=entries.first[rows] + choice,
        chance=captions.random(pairs)[rows],
        layout=epoch_generator(seed, "layout", when).choice(codes, pairs)[rows],
        swapped=captions.random(pairs)[rows] < 0.5,
        entries=entries,
        compiled_rules=compiled_rules,
        has_axes=form.has_axes,
    )
    pools = inputs.pools or everyone(entries.counts)
    pool = pools.of[seekers.own]
    fallback = np.where(pool < 0, _ALONE, 0).astype(np.uint8)
    if compiled_rules is not None:
        if compiled_rules.groups is not None:
            fallback[compiled_rules.groups[seekers.own] < 0] = _UNKNOWN
        fallback[compiled_rules.never[seekers.own]] = _NEVER
    seeking = np.flatnonzero(fallback == 0)
    alike = inputs.alike or lookalikes(catalog)

    def allowed(which: npt.NDArray[np.intp], partner: Rows) -> npt.NDArray[np.bool_]:
        which = seeking[which]
        good = (rows[which] != partner) & ~alike(rows[which], partner)
        if compiled_rules is not None:
            some = np.flatnonzero(good)
            good[some] = seekers.second(which[some], partner[some]) >= 0
        return good

    def one(part: int) -> Rows:
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
    return _filled(right, choice, third, fallback, seekers)


def third_pairs(left: Rows, right: Rows, chance: npt.NDArray[np.float64], pairs: int) -> Rows:
    """A pair for each composite that is neither of its two, each of the others with equal chance.

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


def _filled(right: Rows, choice: Rows, third: Rows, fallback: npt.NDArray[np.uint8], seekers: _Seekers) -> Composites:
    """The columns of the plan, once partners are known."""
    found = np.flatnonzero(right >= 0)
    # A partner with one caption was taken with that one; only the others' choice has to be made again.
    entry = seekers.entries.first[right[found]]
    several = np.flatnonzero(seekers.entries.counts[right[found]] > 1)
    entry[several] = seekers.second(found[several], right[found][several])
    proposed, _ = seekers.proposed(found, entry)
    layout = np.full(len(right), PLAIN, dtype=np.uint8)
    layout[found] = proposed.layout
    second = np.zeros(len(right), dtype=np.int32)
    second[found] = entry - seekers.entries.first[right[found]]
    words = np.zeros(len(right), dtype=np.int32)
    wrong = np.flatnonzero(third >= 0)
    words[wrong] = seekers.entries.choice(third[wrong], seekers.chance[wrong])
    wording = np.zeros(len(right), dtype=np.uint8)
    if seekers.compiled_rules is not None:
        wording[found] = seekers.compiled_rules.wording(proposed)
    swapped = seekers.swapped & (right >= 0)
    return Composites(right, choice, second, third, words, layout, swapped, wording, fallback)
