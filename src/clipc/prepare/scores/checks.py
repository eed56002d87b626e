"""Scores without any weights: what the rules, the layout, the tokenizer and the images' hashes say of a composite."""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from clipc.compose.arrays import Float32s, Float64s
from clipc.compose.entries import Candidates
from clipc.compose.plan import Plans
from clipc.prepare.scores.composites import Composites
from clipc.prepare.scores.pixels import WHOLE, FixedPlans, caption_of_entry
from clipc.render.batch import Tokenizer
from clipc.render.geometry import geometry

VERSION: Final = 1
"""Increased whenever equal composites would get other scores."""

UNLIKE_BITS: Final = 16
"""The number of bits in which the difference hashes of two images that do not resemble each other differ at least."""


@dataclass(frozen=True, eq=False)
class CheckScorer:
    """Scores composites by what can be checked without a model.

    Attributes:
        tokenizer: The model's tokenizer, for the share of a joint caption that is read; None to leave that out.
    """

    tokenizer: Tokenizer | None = None

    @property
    def fingerprint(self) -> str:
        """What the scores depend on, pairs and composites apart."""
        tokenizer = self.tokenizer
        facts = "" if tokenizer is None else f"{tokenizer.max_text_tokens} {tokenizer(['a dog, 12犬']).tolist()}"
        return f"checks {VERSION} {facts}"

    def __call__(self, plans: Plans, composites: Composites) -> dict[str, Float32s]:
        """The parts of the scores, by name, each in [0, 1], ``float32``, shape (m,).

        ``rules`` (with rules): 1 if they allow the composite, else 0. ``region`` (where boxes say what must stay
        visible): the visible share of the halves' boxes, the smaller of both. ``tokens`` (with a tokenizer): the share
        of the joint caption that fits the context. ``unlike``: how far the two images are from being look-alikes, and
        0 for equal captions.

        Args:
            plans: The plans with the pairs, rules and wordings.
            composites: The composites of these pairs.
        """
        parts: dict[str, Float64s] = {"unlike": _unlike(plans, composites)}
        if (rules := plans.inputs.compiled_rules) is not None:
            asked = Candidates(composites.first, composites.second, composites.layout, composites.swapped)
            parts["rules"] = rules.allowed(asked).astype(np.float64)
        if plans.inputs.regions is not None or (rules is not None and rules.regions is not None):
            parts["region"] = _visible_region(plans, composites)
        if self.tokenizer is not None:
            parts["tokens"] = _read_share(plans, composites, self.tokenizer)
        return {name: values.astype(np.float32) for name, values in parts.items()}


def _unlike(plans: Plans, composites: Composites) -> Float64s:
    pairs, left, right = plans.catalog, composites.left, composites.right
    content, ids = pairs.table["content"].to_numpy(), pairs.caption_ids
    values = np.where(content[left] == content[right], 0.0, 1.0)
    if "dhash" in pairs.table.column_names:
        column = pairs.table["dhash"]
        known = column.is_valid().to_numpy()
        dhash = column.fill_null(0).to_numpy().astype(np.uint64)
        distance = np.bitwise_count(dhash[left] ^ dhash[right]) / UNLIKE_BITS
        values = np.where(known[left] & known[right], np.minimum(values, distance), values)
    return np.where(ids[composites.first] == ids[composites.second], 0.0, values)


def _visible_region(plans: Plans, composites: Composites) -> Float64s:
    """The share of each half's box that the composite shows, the smaller of both; 1 where there is no box."""
    rules = plans.inputs.compiled_rules
    rows = np.stack([composites.left, composites.right], axis=1)
    entries = np.stack([composites.first, composites.second], axis=1)
    boxes = np.full((*rows.shape, 4), np.nan)
    if plans.inputs.regions is not None:
        boxes = plans.inputs.regions[rows].astype(np.float64)
    if rules is not None and rules.regions is not None:
        own = rules.regions[entries]
        boxes = np.where(np.isnan(own), boxes, own)
    fixed = FixedPlans.of(plans, composites)
    shown = geometry(fixed, fixed.plan, 0, WHOLE)
    sizes = np.tile(plans.catalog.sizes[rows].astype(np.float64), 2)
    corner, extent = np.tile(shown.views[..., :2], 2), np.tile(shown.views[..., 2:] - shown.views[..., :2], 2)
    window, box = corner + shown.tiles.window * extent, boxes * sizes
    low, high = np.maximum(window[..., :2], box[..., :2]), np.minimum(window[..., 2:], box[..., 2:])
    seen = np.prod(np.maximum(high - low, 0), axis=-1)
    whole = np.prod(box[..., 2:] - box[..., :2], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(whole > 0, seen / whole, 1.0)
    return np.clip(share, 0, 1).min(axis=1)


def _read_share(plans: Plans, composites: Composites, tokenizer: Tokenizer) -> Float64s:
    caption, wordings, limit = caption_of_entry(plans), plans.wordings, tokenizer.max_text_tokens
    columns = (composites.first, composites.second, composites.layout, composites.swapped, composites.wording)
    shares = np.ones(len(composites))
    for row, (first, second, layout, swapped, wording) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        join = partial(wordings[wording].text, shape_index=layout, swapped=swapped)
        shares[row] = min(1.0, limit / max(1, tokenizer.count(join(caption(first), caption(second)))))
    return shares
