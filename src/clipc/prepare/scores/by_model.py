"""A model's score of composites: are the halves recognised, and does the joint caption fit better than half of it?

An image is *recognised* as far as the model prefers its own caption to others. With cosines c and the model's inverse
temperature s, the preference is exp(s c_own) / (exp(s c_own) + mean of exp(s c_other)): the probability of the own
caption beside one other, as the model was trained to tell (InfoNCE). 0.5 says that any caption fits as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from clipc.compose.arrays import Bools, Bytes, Float32s, Float64s, Int32s, Int64s
from clipc.compose.plan import Plans
from clipc.compose.streams import candidate_generator
from clipc.prepare.scores.composites import Composites
from clipc.prepare.scores.encoders import CompositeEncoder

VERSION: Final = 1
"""Increased whenever equal embeddings would give other scores, so that cached ones are computed again."""

BANK: Final = 256
"""The number of captions of other pairs that a half's own caption is compared with."""
SWAPS: Final = 2
"""For each half of a composite, the number of captions that take the place of its own in the joint caption."""

_AT_ONCE: Final = 8192


@dataclass(frozen=True, eq=False)
class ModelScorer:
    """Scores composites by a model, or by several that were each trained without some of the pairs.

    Attributes:
        encoders: The models.
        judge: For each pair of the catalog the model that judges its half, an index into ``encoders``, shape (n,): one
            that has not seen the pair. The joint caption is judged by both halves' models. None for a single model.
    """

    encoders: Sequence[CompositeEncoder]
    judge: Int32s | None = None

    @property
    def fingerprint(self) -> str:
        """What the scores depend on, pairs and composites apart."""
        names = " ".join(encoder.fingerprint for encoder in self.encoders)
        return f"{VERSION} {names} {'' if self.judge is None else self.judge.tolist()}"

    def __call__(self, plans: Plans, composites: Composites) -> dict[str, Float32s]:
        """The parts of the scores, by name, each in [0, 1], ``float32``, shape (m,).

        ``left`` and ``right``: how clearly each half is recognised. ``joint``: how clearly the composite is matched
        with its joint caption rather than with those in which one half's caption is another pair's.

        Args:
            plans: The plans with the pairs, rules and wordings.
            composites: The composites of these pairs.
        """
        judge = np.zeros(len(plans.catalog), dtype=np.int32) if self.judge is None else self.judge
        left, right = judge[composites.left], judge[composites.right]
        parts = {name: np.zeros(len(composites), dtype=np.float32) for name in ("left", "right", "joint")}
        for number, encoder in enumerate(self.encoders):
            rows = np.flatnonzero((left == number) | (right == number))
            if not len(rows):
                continue
            for name, values in _judged(encoder, plans, composites[rows]).items():
                sides = [side for side_name, side in (("left", left), ("right", right)) if name in (side_name, "joint")]
                weight = np.mean([side[rows] == number for side in sides], axis=0)
                parts[name][rows] += (values * weight).astype(np.float32)
        return parts


def caption_bank(plans: Plans) -> Int64s:
    """Entries of up to :data:`BANK` distinct captions of the pairs, in random order, the same for every seed."""
    ids, first = np.unique(plans.catalog.caption_ids, return_index=True)
    order = candidate_generator(0, "caption", 0).permutation(len(ids))[:BANK]
    return first[order].astype(np.int64)


def _judged(encoder: CompositeEncoder, plans: Plans, composites: Composites) -> dict[str, Float64s]:
    """The parts of the scores by one model."""
    m, scale, ids = len(composites), encoder.scale, plans.catalog.caption_ids
    bank = caption_bank(plans)
    owner = plans.entries.rows()[bank]
    rows = np.concatenate([composites.left, composites.right])
    layouts = np.concatenate([composites.layout, composites.layout])
    entries = np.concatenate([composites.first, composites.second])
    halves, half = _distinct(encoder, plans, rows, layouts)
    used, number = np.unique(entries, return_inverse=True)
    captions, others = encoder.captions(plans, used), encoder.captions(plans, bank)
    recognised = np.empty(2 * m)
    for start in range(0, 2 * m, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        image = halves[half[part]]
        own = np.einsum("md,md->m", image, captions[number[part]])
        other = ids[bank][None, :] != ids[entries[part]][:, None]
        other &= owner[None, :] != rows[part][:, None]  # Further captions of the same pair are true as well.
        recognised[part] = preference(own, image @ others.T, other, scale)
    image, own_text = encoder.images(plans, composites), encoder.joint_captions(plans, composites)
    swapped = [encoder.joint_captions(plans, each) for each in _half_swapped(plans, composites, bank)]
    cosines = np.stack([np.einsum("md,md->m", image, text) for text in swapped], axis=1)
    own = np.einsum("md,md->m", image, own_text)
    joint = preference(own, cosines, np.ones(cosines.shape, dtype=np.bool_), scale)
    return {"left": recognised[:m], "right": recognised[m:], "joint": joint}


def _distinct(encoder: CompositeEncoder, plans: Plans, rows: Int32s, layouts: Bytes) -> tuple[Float32s, Int64s]:
    """The embeddings of the distinct halves, and the number of each half among them."""
    keys, number = np.unique(rows.astype(np.int64) * 256 + layouts, return_inverse=True)
    distinct = encoder.halves(plans, (keys // 256).astype(np.int32), (keys % 256).astype(np.uint8))
    return distinct, number.astype(np.int64)


def preference(own: Float32s, others: Float32s, valid: Bools, scale: float) -> Float64s:
    """The probability of the own caption beside one other, in [0, 1]; 0.5 where there is no other.

    Args:
        own: Cosines with the own captions, shape (m,).
        others: Cosines with other captions, shape (m, B).
        valid: Which of these are other captions, shape (m, B).
        scale: The inverse temperature.
    """
    gap = np.where(valid, scale * (others.astype(np.float64) - own[:, None]), -np.inf)
    count = valid.sum(axis=1)
    top = np.maximum(gap.max(axis=1, initial=-np.inf), 0)
    total = np.exp(gap - top[:, None]).sum(axis=1) / np.maximum(count, 1)
    one = np.exp(-top)
    return np.where(count > 0, one / (one + total), 0.5)


def _half_swapped(plans: Plans, composites: Composites, bank: Int64s) -> list[Composites]:
    """The same composites, the caption of one half replaced by that of another pair, each half in turn.

    The replacement depends on the caption that stays alone, so that composites which share it share the swapped caption
    too, and a model encodes that once.
    """
    ids = plans.catalog.caption_ids
    swapped: list[Composites] = []
    for number in range(SWAPS):
        for own, kept, is_first in (
            (composites.first, composites.second, True),
            (composites.second, composites.first, False),
        ):
            place = kept * SWAPS + number
            entry = bank[place % len(bank)]
            entry = np.where(ids[entry] == ids[own], bank[(place + 1) % len(bank)], entry)
            first, second = (entry, composites.second) if is_first else (composites.first, entry)
            swapped.append(composites.with_captions(first, second))
    return swapped
