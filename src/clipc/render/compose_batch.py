"""Composition inside a batch, for training loops with their own data."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from clipc.compose.arrays import Float64s, Int64s, Positions
from clipc.compose.layouts import find_layout
from clipc.compose.layouts.tiles import PLAIN, Views
from clipc.compose.policy import Policy
from clipc.compose.streams import epoch_generator
from clipc.errors import UserError
from clipc.render.context import Context
from clipc.render.tensor_tiles import paste_tiles
from clipc.render.texts import text_id

_PAPER: Final = Policy()


@dataclass(frozen=True, eq=False)
class ComposedBatch:
    """A batch, some of whose rows have become composites.

    Attributes:
        images: Images, shape (B, 3, S, S), with the dtype and on the device of the input.
        captions: B captions; those of composites are joint captions.
        sources: The ids of each row's first and second pair, -1 for none; ``int64``, shape (B, 2), on the images'
            device. An id is the key itself if it is an integer, a hash of any other key, and the position in the batch
            if there are no keys.
        texts: The ids of the two source captions, -1 for none; ``int64``, shape (B, 2), on the images' device.
            :func:`clipc.shared_sources` takes them with ``sources`` to mask false negatives.
        treated: The number of composites.
        shortened: The number of captions that were cut to fit the tokenizer's limit; 0 without a tokenizer.
    """

    images: torch.Tensor
    captions: list[str]
    sources: torch.Tensor
    texts: torch.Tensor
    treated: int
    shortened: int


def compose_batch(
    images: torch.Tensor,
    captions: Sequence[str],
    *,
    policy: Policy = _PAPER,
    seed: int = 0,
    step: int = 0,
    keys: torch.Tensor | Sequence[Hashable] | None = None,
    tokenizer: Any = None,
) -> ComposedBatch:
    """Turns a share of a batch's rows into composites with other rows of the same batch (CLIP-C, arXiv 2407.01408).

    This is a pure function of its arguments: the random numbers depend on the seed and the step. Composites are made
    from the input rows, never from other composites, and the input tensor is not modified.

    The second pair is drawn uniformly from the other rows of the batch. The paper draws it from the whole training set;
    a shuffled batch is a sample of that set. Rules, groups, neighbours and regions need the whole catalog: use
    :class:`clipc.CompositePairs` for them.

    Args:
        images: Images after the training loop's transform, floating point or ``uint8``, shape (B, 3, S, S).
        captions: B captions.
        policy: How often and how to compose.
        seed: The run's seed; ranks that train together should each have their own.
        step: The number of the step, counted through all epochs.
        keys: B ids of the pairs, numbers from 0 or texts; rows with equal keys are never composed with each other.
        tokenizer: A tokenizer of open_clip or Hugging Face. If a joint caption is too long for it, both parts are
            shortened. Without it captions are not shortened, and a tokenizer may later truncate the second part.

    Raises:
        UserError: The policy needs more than a batch, or the numbers of images, captions and keys differ.
    """
    _check(images, captions, policy, keys)
    n = len(images)
    ids, codes = _ids(keys, n)
    partner = _partners(codes, epoch_generator(seed, "partner", step).random(n))
    rows = np.flatnonzero((epoch_generator(seed, "mask", step).random(n) < policy.rho) & (partner >= 0))
    second = np.full(n, -1, dtype=np.int64)
    second[rows] = partner[rows]
    swapped = epoch_generator(seed, "caption", step).random(n) < 0.5
    layouts = epoch_generator(seed, "layout", step)
    layout_type = find_layout(policy.layout)
    layout_codes = layouts.choice(layout_type.codes_for(policy.axis), n)
    layout = np.where(second >= 0, layout_codes, PLAIN).astype(np.uint8)
    draws = layouts.random((n, 4)).astype(np.float32)

    composites = images.clone()
    if len(rows):
        tiles = layout_type.tiles(layout[rows], draws[rows], Views.plain(len(rows)))
        left, right = (torch.from_numpy(index).to(images.device) for index in (rows, second[rows]))
        composites[left] = paste_tiles(images[left], images[right], tiles)
    context, wording = Context(tokenizer), policy.wording
    texts = [
        context.caption(captions[i], captions[j] if j >= 0 else None, wording, code, order)
        for i, (j, code, order) in enumerate(zip(second.tolist(), layout.tolist(), swapped.tolist(), strict=True))
    ]
    caption_ids = np.array([text_id(caption) for caption in captions], dtype=np.int64)
    return ComposedBatch(
        images=composites,
        captions=[text for text, _ in texts],
        sources=_id_pairs(ids, second).to(images.device),
        texts=_id_pairs(caption_ids, second).to(images.device),
        treated=len(rows),
        shortened=sum(cut for _, cut in texts),
    )


def _check(
    images: torch.Tensor, captions: Sequence[str], policy: Policy, keys: torch.Tensor | Sequence[Hashable] | None
) -> None:
    if policy.treatment != "compose":
        raise UserError(f"the policy's treatment {policy.treatment!r} is not composition; set it to compose.")
    if policy.until < 1:
        raise UserError(
            "policy.until is a share of a run whose length is not known here; leave it out, and compose the batches of "
            "that part of the run only."
        )
    unsupported = {
        f"mixing: {policy.mixing}": policy.mixing != "rows",
        "rules": policy.rules is not None,
        "group": policy.group is not None,
        f"partner: {policy.partner}": policy.partner != "random",
        f"pairing: {policy.pairing}": policy.pairing != "dynamic",
        f"layout: {policy.layout}": policy.layout == "region",
    }
    if names := [name for name, present in unsupported.items() if present]:
        raise UserError(
            f"the policy's {' and '.join(names)} cannot be kept inside a batch, which holds no other pairs; "
            "use clipc.CompositePairs, which plans over the whole catalog."
        )
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise UserError(f"images must be square images, shape (B, 3, S, S), not {tuple(images.shape)}.")
    for what, values in (("captions", captions), ("keys", keys)):
        if values is not None and len(values) != len(images):
            raise UserError(f"there are {len(images)} images but {len(values)} {what}; give one for each image.")


def _ids(keys: torch.Tensor | Sequence[Hashable] | None, n: int) -> tuple[Int64s, Positions]:
    """For each row the id of its pair, and the index of that id among the distinct ids; both shape (n,)."""
    if keys is None:
        return np.arange(n), np.arange(n)
    key_list: list[Any] = keys.tolist() if isinstance(keys, torch.Tensor) else list(keys)
    ids = np.array([k if isinstance(k, int | np.integer) else text_id(str(k)) for k in key_list], dtype=np.int64)
    if (ids < 0).any():
        raise UserError(f"keys must be numbers from 0 or texts, not {int(ids.min())}.")
    return ids, np.unique(ids, return_inverse=True)[1].reshape(-1)


def _partners(codes: Positions, draws: Float64s) -> Int64s:
    """For each row a uniformly drawn row with another code, -1 if there is none; ``draws`` are in [0, 1)."""
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes) if len(codes) else np.zeros(0, dtype=np.int64)
    # In the order of codes the rows of one code are adjacent. The allowed ones follow them, cyclically.
    allowed = len(codes) - sizes[codes]
    position = np.cumsum(sizes)[codes] + (draws * allowed).astype(np.int64)
    return np.where(allowed > 0, order[position % max(1, len(codes))], -1)


def _id_pairs(ids: Int64s, second: Int64s) -> torch.Tensor:
    """The ids of each row and of its partner, -1 for none; shape (n, 2)."""
    return torch.from_numpy(np.stack([ids, np.where(second >= 0, ids[second], -1)], axis=1))
