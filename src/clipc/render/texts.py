"""The captions of a batch; they are the same for all renderers."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from hashlib import blake2b

import numpy as np
import torch

from clipc.compose.arrays import Bools
from clipc.compose.captions.fit import fit
from clipc.compose.plan import Plan, Plans
from clipc.render.batch import Tokenizer

SIDE_PATTERN = re.compile(
    r"\b(left|right|(north|south)?-?(west|east)|(counter|anti)?-?clockwise)(most|wards?|ern|hand|side)?\b"
    r"|[左右東西]|時計回り",
    re.I,
)
"""Words that a mirrored image would make false."""
_SIDE_WORDS = ("left", "right", "west", "east", "clockwise")
DIRECTION_PATTERN = re.compile(
    rf"{SIDE_PATTERN.pattern}|\b(north|south|top|bottom|upper|lower)(most|wards?|ern|hand|side)?\b"
    r"|\b(above|below|beneath|underneath|upwards?|downwards?|upside|vertical(ly)?|horizontal(ly)?|upright)\b"
    r"|\b(facing|pointing|looking|heading|leading) (up|down)\b|o'clock|[上下南北縦横]",
    re.I,
)
"""Words that an image turned by a quarter, or upside down, would make false.

"Over" and "under" are not among them: in images from above they say what covers what."""


@dataclass(frozen=True, eq=False)
class Texts:
    """The captions of n rows.

    Attributes:
        captions: The captions that the model reads, one for each row.
        ids: The ids of the two source captions (:func:`text_id`), -1 for none; ``int64``, shape (n, 2).
        shortened: The number of captions that were cut to fit the context.
    """

    captions: list[str]
    ids: torch.Tensor
    shortened: int

    @cached_property
    def may_mirror(self) -> Bools:
        """Which rows' images may be mirrored: those whose caption names no side; ``bool``, shape (n,)."""
        return np.array([not names_a_side(caption) for caption in self.captions], dtype=np.bool_)

    @cached_property
    def may_turn(self) -> Bools:
        """Which rows' images may be turned: those whose caption names no side or direction; ``bool``, shape (n,)."""
        return np.array([DIRECTION_PATTERN.search(caption) is None for caption in self.captions], dtype=np.bool_)


@lru_cache(maxsize=1 << 16)
def text_id(text: str) -> int:
    """A 56-bit hash of a text, 0 or more; equal captions have equal ids on all machines."""
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest())


def names_a_side(caption: str) -> bool:
    """Whether a mirrored image would make a caption false."""
    # Searching for five plain words is about twenty times faster than the pattern, and few captions have one of them.
    if caption.isascii() and not any(map(caption.lower().__contains__, _SIDE_WORDS)):
        return False
    return SIDE_PATTERN.search(caption) is not None


def texts(plans: Plans, plan: Plan, tokenizer: Tokenizer) -> Texts:
    """The captions of the rows of a plan: joined for composites, and shortened to the context length.

    Args:
        plans: The plans that the rows are part of.
        plan: The rows.
        tokenizer: The model's tokenizer.
    """
    limit, count, catalog = tokenizer.max_text_tokens, tokenizer.count, plans.catalog
    wordings = plans.wordings
    captions: list[str] = []
    ids = np.full((len(plan), 2), -1, dtype=np.int64)
    shortened = 0
    columns = (plan.left, plan.left_caption, *plan.second_caption, plan.layout, plan.swapped, plan.wording)
    for row, (left, choice, right, other, layout, swapped, wording) in enumerate(
        zip(*(c.tolist() for c in columns), strict=True)
    ):
        first = catalog.caption(left, choice)
        second = catalog.caption(right, other) if right >= 0 else None
        joined = partial(wordings[wording].text, shape_index=layout, swapped=swapped)
        text, was_cut = fit(first, second, joined, count, limit)
        captions.append(text)
        shortened += was_cut
        ids[row, 0] = text_id(first)
        if second is not None:
            ids[row, 1] = text_id(second)
    return Texts(captions, torch.from_numpy(ids), shortened)
