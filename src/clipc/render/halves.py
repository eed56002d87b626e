"""The halves of a batch's composites, with the caption of each."""

import numpy as np
import torch

from clipc.compose.arrays import Float32s
from clipc.compose.captions.fit import shorten
from clipc.compose.layouts.tiles import Tiles, area
from clipc.compose.plan import Plan, Plans
from clipc.errors import UserError
from clipc.render.batch import Halves, Tokenizer


def halves(
    plans: Plans, plan: Plan, tiles: Tiles, sources: torch.Tensor, texts: torch.Tensor, tokenizer: Tokenizer
) -> Halves:
    """The halves of the composites among the rows of a plan.

    In the wrong-caption control the second half has the caption of the third pair, as the composite has.

    Args:
        plans: The plans that the rows are part of.
        plan: The rows.
        tiles: Their windows and places.
        sources: Their image ids, ``int64``, shape (rows, 2).
        texts: Their caption ids, ``int64``, shape (rows, 2).
        tokenizer: The model's tokenizer.

    Raises:
        UserError: The two parts of a composite overlap, or one of them is not shown, in a layout of the user's.
    """
    rows = np.flatnonzero(plan.right >= 0)
    places = tiles.place[rows]
    _check(plans, places, tiles.opacity[rows])
    pairs = np.stack([plan.left, plan.second_caption[0]], axis=1)[rows].reshape(-1)
    choices = np.stack([plan.left_caption, plan.second_caption[1]], axis=1)[rows].reshape(-1)
    captions = [plans.catalog.caption(*entry) for entry in zip(pairs.tolist(), choices.tolist(), strict=True)]
    captions = [shorten(caption, tokenizer.count, tokenizer.max_text_tokens) for caption in captions]
    tokens = tokenizer(captions) if captions else torch.zeros((0, tokenizer.context_length), dtype=torch.int64)
    return Halves(
        rows=torch.from_numpy(rows).repeat_interleave(2),
        places=torch.from_numpy(places.reshape(-1, 4)),
        tokens=tokens,
        sources=sources[rows].reshape(-1, 1),
        texts=texts[rows].reshape(-1, 1),
    )


def _check(plans: Plans, places: Float32s, opacity: Float32s) -> None:
    low, high = np.maximum(places[:, 0, :2], places[:, 1, :2]), np.minimum(places[:, 0, 2:], places[:, 1, 2:])
    overlapping = (high - low > 1e-6).all(axis=1)
    hidden = (area(places) <= 0).any(axis=1) | (opacity < 1).any(axis=1)
    if (overlapping | hidden).any():
        raise UserError(
            "policy.halves matches each half of a composite with its own caption, but the layout "
            f"{plans.policy.layout} has composites whose parts overlap or are not shown; set policy.halves=0."
        )
