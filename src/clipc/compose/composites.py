"""Composites: partners, captions and layouts of the treated rows of a plan."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Bytes, Float64s, Int32s, Int64s, Positions
from clipc.compose.entries import Candidates, Entries
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import find_layout
from clipc.compose.partners.draw import choose_one, draw, least_similar
from clipc.compose.partners.pools import Pools, only_value, single_pool
from clipc.compose.policy import Policy
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.similarity.lookalike import lookalikes
from clipc.compose.streams import candidate_generator, epoch_generator

FALLBACKS: Final = ("none", "never", "unknown", "alone", "score")
"""Why a treated row stayed plain; ``none`` for composites and for rows that are not treated.

``never``: a rule excludes the pair. ``unknown``: a rule requires a value to be equal, and this pair's value is unknown.
``alone``: no allowed partner exists, or none was drawn. ``score``: no candidate composite has the score that the policy
asks for.
"""
_NEVER, _UNKNOWN, _ALONE, _SCORE = 1, 2, 3, 4


@dataclass(frozen=True, eq=False)
class _FirstPairs:
    """The first pairs of composites, with the random choices that do not depend on their partners.

    Attributes:
        own: The entries (captions) that the first pairs show, shape (n,).
        chance: Random numbers in [0, 1) for the choice of a partner's caption, shape (n,).
        layout: Random layout codes, shape (n,).
        swapped: Whether the captions' drawn order is the reverse of the images', shape (n,).
        entries: The entries of the catalog.
        caption_ids: The catalog's :attr:`~clipc.catalog.catalog.Catalog.caption_ids`, shape (entries,).
        compiled_rules: The compiled rules, or None.
        has_axes: Whether the layout is one of halves, so that rules may set its axis.
        rows: The catalog rows of the first pairs, shape (n,).
        scored: The candidate partners of all pairs, shape (pairs, K), and the layout of each; None where partners do
            not come from such a table.
    """

    own: Int64s
    chance: Float64s
    layout: Bytes
    swapped: Bools
    entries: Entries
    caption_ids: Int32s
    compiled_rules: CompiledRules | None
    has_axes: bool
    rows: Int32s
    scored: tuple[Int32s, Bytes] | None = None

    @cached_property
    def _row_of_entry(self) -> Int64s:
        return self.entries.rows()

    @cached_property
    def _only_caption(self) -> Int32s:
        """The caption of each pair whose captions are all equal; -1 for other pairs; shape (pairs,)."""
        return only_value(self.caption_ids, self.entries.first)

    def with_another_caption(self, which: Positions, pool: Int32s, pools: Pools) -> Bools:
        """Whether the pools of first pairs have any caption but the one that the pair shows, rules apart.

        Args:
            which: Positions among the first pairs, shape (m,).
            pool: Their pools, never -1, shape (m,).
            pools: All pools.

        Returns:
            ``bool``, shape (m,).
        """
        filled = np.flatnonzero(pools.sizes)
        only = np.full(len(pools.sizes), -1, dtype=np.int32)
        only[filled] = only_value(self._only_caption[pools.members], pools.start[filled])
        return only[pool] != self.caption_ids[self.own[which]]

    def equal_captions(self, which: Positions, partner: Int32s) -> Bools:
        """Whether a partner has no other caption than the one that the first pair shows.

        Args:
            which: Positions among the first pairs, shape (m,).
            partner: Their partners' catalog rows, shape (m,).
        """
        return self._only_caption[partner] == self.caption_ids[self.own[which]]

    def partner_entries(self, which: Positions, partner: Int32s) -> Int64s:
        """One allowed caption of each partner, drawn uniformly from those that differ from the first pair's, if any.

        Args:
            which: Positions among the first pairs, shape (m,).
            partner: Their partners' catalog rows, shape (m,).

        Returns:
            The entries of the captions, shape (m,); -1 if no caption is allowed.
        """
        first, counts, chance = self.entries.first[partner], self.entries.counts[partner], self.chance[which]
        begins = np.cumsum(counts) - counts
        candidate = np.arange(int(counts.sum())) + np.repeat(first - begins, counts)
        good = np.arange(len(candidate))
        if self.compiled_rules is not None:
            candidates, fits = self.candidates(np.repeat(which, counts), candidate)
            good = np.flatnonzero(fits)
            good = good[self.compiled_rules.allowed(candidates.take(good))]
        own = self.caption_ids[self.own[np.repeat(which, counts)[good]]]
        chosen = choose_one(good[self.caption_ids[candidate[good]] != own], begins, counts, chance)
        chosen = np.where(chosen >= 0, chosen, choose_one(good, begins, counts, chance))
        return np.where(chosen >= 0, candidate[chosen], -1)

    def candidates(self, which: Positions, second: Int64s) -> tuple[Candidates, Bools]:
        """Candidate composites, and whether their two images may be cut along the same axis; both of length m.

        Args:
            which: Positions among the first pairs, shape (m,).
            second: Entries of the second pairs, shape (m,).
        """
        first, layout = self.own[which], self.layout[which]
        if self.scored is not None:
            # A scored candidate has the layout that it was scored in.
            partners, layouts = self.scored
            rows = self.rows[which]
            layout = layouts[rows, (partners[rows] == self._row_of_entry[second][:, None]).argmax(axis=1)]
        fits = np.ones(len(which), dtype=np.bool_)
        if self.has_axes and self.compiled_rules is not None:
            layout, fits = self.compiled_rules.choose_layout(first, second, layout)
        return Candidates(first, second, layout, self.swapped[which]), fits


def compose_rows(
    rows: Int32s,
    catalog: Catalog,
    entries: Entries,
    policy: Policy,
    inputs: Inputs,
    seed: int,
    epoch: int,
    *,
    candidate: bool = False,
) -> dict[str, npt.NDArray[Any]]:
    """Partners, captions and layouts for the first pairs of composites.

    Random numbers are drawn for every pair of the catalog and then indexed, so the result for a pair does not
    depend on which other pairs are composed. Look-alikes of an image never become its partner. A partner is allowed
    if the rules allow any of its captions beside the first pair's caption; one allowed caption is then used. It equals
    the first pair's caption only if no partner with another caption is allowed.

    Args:
        rows: The catalog rows of the first pairs, shape (n,).
        catalog: The training pairs.
        entries: The catalog's entries.
        policy: How to compose.
        inputs: The tables that the policy needs.
        seed: The run's seed.
        epoch: The epoch, from 0; a policy with fixed pairing always draws as in epoch 0.
        candidate: Whether to draw candidates of a number (``epoch``) from their own stream, in place of composites of
            an epoch.

    Returns:
        The columns of :class:`~clipc.compose.plan.Plan` that composition sets, by name, each of shape (n,).
    """
    drawn_epoch = 0 if policy.pairing == "fixed" and not candidate else epoch
    generators = partial(_generator, seed, drawn_epoch, candidate)
    pairs, compiled_rules = len(catalog), inputs.compiled_rules
    captions = generators("caption")
    caption = entries.choice(rows, captions.random(pairs)[rows])
    chance, order = captions.random(pairs)[rows], captions.random(pairs)[rows]
    layout_type = find_layout(policy.layout)
    layout = _draw_layouts(policy, pairs, generators("layout"))[rows]
    own = entries.first[rows] + caption
    ids = catalog.caption_ids if inputs.caption_ids is None else inputs.caption_ids
    swapped, has_axes = order < 0.5, layout_type.has_axes
    scored = None
    if inputs.candidates is not None:
        scored = inputs.candidates, inputs.tables["candidate_layouts"]
    first_pairs = _FirstPairs(own, chance, layout, swapped, entries, ids, compiled_rules, has_axes, rows, scored)
    pools = inputs.pools or single_pool(entries.counts)
    pool = pools.pool_of_entry[own]
    fallback = np.where(pool < 0, _ALONE, 0).astype(np.uint8)
    if inputs.candidates is not None:
        fallback[(pool < 0) & (inputs.candidates[rows] >= 0).any(axis=1)] = _SCORE
    if compiled_rules is not None:
        if compiled_rules.groups is not None:
            fallback[compiled_rules.groups[own] < 0] = _UNKNOWN
        fallback[compiled_rules.never[own]] = _NEVER
    seeking = np.flatnonzero(fallback == 0)
    alike = inputs.alike or lookalikes(catalog)

    def draw_for(which: Positions, part: int, equal_captions: bool) -> Int32s:
        """Partners of first pairs; with captions that equal theirs only if ``equal_captions``."""

        def allowed(index: Positions, partner: Int32s) -> Bools:
            asking = which[index]
            good = (rows[asking] != partner) & ~alike(rows[asking], partner)
            if not equal_captions:
                good &= ~first_pairs.equal_captions(asking, partner)
            if compiled_rules is not None:
                some = np.flatnonzero(good)
                entry = first_pairs.partner_entries(asking[some], partner[some])
                good[some] = entry >= 0
                if not equal_captions:
                    good[some] &= ids[entry] != ids[own[asking[some]]]
            return good

        weight_of = None
        if (weights := inputs.group_weights) is not None:

            def weigh(index: Positions, partner: Int32s) -> Float64s:
                return weights(rows[which[index]], partner)

            weight_of = weigh, generators("weight", part)
        generator = generators("partner", part)
        return draw(rows[which], pool[which], pools, allowed, generator, pairs, weight_of)

    other = np.zeros(0, dtype=np.intp)
    if int(ids.max(initial=-1)) + 1 < len(ids):  # There are equal captions.
        other = np.flatnonzero(first_pairs.with_another_caption(seeking, pool[seeking], pools))

    def draw_partner(part: int) -> Int32s:
        # Both draws use the same random numbers, so a partner whose caption differs anyway is the same in both.
        partner = np.full(len(seeking), -1, dtype=np.int32)
        if len(other):
            partner[other] = draw_for(seeking[other], part, equal_captions=False)
        rest = np.flatnonzero(partner < 0)
        if len(rest):
            partner[rest] = draw_for(seeking[rest], part, equal_captions=True)
        return partner

    if policy.partner == "diverse" and inputs.candidates is None:
        assert inputs.vectors is not None
        drawn = np.stack([draw_partner(part) for part in range(policy.draws)], axis=1)
        partner = least_similar(rows[seeking], drawn, inputs.vectors)
    elif policy.partner == "self":
        partner = rows[seeking]
    else:
        partner = draw_partner(0)

    right = np.full(len(rows), -1, dtype=np.int32)
    right[seeking] = partner
    fallback[seeking[partner < 0]] = _ALONE
    third = np.full(len(rows), -1, dtype=np.int32)
    if policy.caption == "wrong":
        third = third_pairs(rows, right, generators("third").random(pairs)[rows], pairs)
    return _columns(rows, right, caption, third, fallback, first_pairs)


def drawn_layouts(policy: Policy, pairs: int, seed: int, epoch: int) -> Bytes:
    """The layout code of each pair's composite in an epoch, unless a rule sets its axis; ``uint8``, shape (pairs,).

    Args:
        policy: How to compose.
        pairs: The number of pairs in the catalog.
        seed: The run's seed.
        epoch: The epoch, from 0; a policy with fixed pairing always draws as in epoch 0.
    """
    return _draw_layouts(policy, pairs, epoch_generator(seed, "layout", 0 if policy.pairing == "fixed" else epoch))


def _draw_layouts(policy: Policy, pairs: int, generator: np.random.Generator) -> Bytes:
    return generator.choice(np.array(find_layout(policy.layout).codes_for(policy.axis), dtype=np.uint8), pairs)


def _generator(seed: int, number: int, candidate: bool, stream: str, part: int = 0) -> np.random.Generator:
    return (candidate_generator if candidate else epoch_generator)(seed, stream, number, part)


def third_pairs(left: Int32s, right: Int32s, chance: Float64s, pairs: int) -> Int32s:
    """A third pair for each composite, drawn uniformly from all pairs but its own two.

    Args:
        left: The catalog rows of the first pairs, shape (n,).
        right: The catalog rows of the second pairs, -1 for none, shape (n,).
        chance: Random numbers in [0, 1), shape (n,).
        pairs: The number of pairs in the catalog.

    Returns:
        The third pairs' catalog rows, ``int32``, shape (n,); -1 where there is no second pair, or no third one.
    """
    low, high = np.minimum(left, right), np.maximum(left, right)
    third = (chance * max(0, pairs - 2)).astype(np.int32)
    third += third >= low
    third += third >= high
    return np.where((right >= 0) & (pairs > 2), third, -1).astype(np.int32)


def _columns(
    rows: Int32s, right: Int32s, caption: Int32s, third: Int32s, fallback: Bytes, first_pairs: _FirstPairs
) -> dict[str, npt.NDArray[Any]]:
    """The columns of the plan, given the first pairs (``rows``), their captions and the partners (``right``)."""
    composed, wrong = np.flatnonzero(right >= 0), np.flatnonzero(third >= 0)
    entries, rules = first_pairs.entries, first_pairs.compiled_rules
    first = entries.first[right[composed]]
    # A chosen partner's only caption is known to be allowed; a choice among several captions is made again here.
    itself = right[composed] == rows[composed]
    entry = np.where(itself, first_pairs.own[composed], first)
    several = np.flatnonzero((entries.counts[right[composed]] > 1) & ~itself)
    entry[several] = first_pairs.partner_entries(composed[several], right[composed][several])
    candidates, _ = first_pairs.candidates(composed, entry)

    def column(rows: Positions, values: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        whole = np.zeros(len(right), dtype)
        whole[rows] = values
        return whole

    return {
        "right": right,
        "left_caption": caption,
        "right_caption": column(composed, entry - first, np.int32),
        "third": third,
        "third_caption": column(wrong, entries.choice(third[wrong], first_pairs.chance[wrong]), np.int32),
        "layout": column(composed, candidates.layout, np.uint8),
        "swapped": first_pairs.swapped & (right >= 0),
        "wording": column(composed, 0 if rules is None else rules.wording(candidates), np.uint8),
        "fallback": fallback,
    }
