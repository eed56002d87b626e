"""Composition inside a batch: for a training loop that has its own data."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.compose.layouts import find_layout
from clipc.compose.layouts.tiles import PLAIN, Views
from clipc.compose.policy import Policy
from clipc.compose.streams import epoch_generator
from clipc.errors import UserError
from clipc.render.context import Context
from clipc.render.tensor_tiles import lay_tiles
from clipc.render.texts import text_id

_PAPER: Final = Policy()


@dataclass(frozen=True, eq=False)
class ComposedBatch:
    """A batch, some of whose rows have become composites.

    Attributes:
        images: Like the images that were given, shape (B, 3, S, S).
        captions: B captions, joint ones for composites.
        sources: What each row shows: the keys of its first and second pair (numbers as they were given, a hash of
            others), or without keys their positions in the batch; -1 for none; ``int64``, shape (B, 2), on the
            images' device.
        texts: Ids of the captions that went in, -1 for none; ``int64``, shape (B, 2). With ``sources`` they are
            what :func:`clipc.shared_sources` masks false negatives by.
        treated: How many rows are composites.
        shortened: How many captions had to be cut to fit the tokenizer; 0 where none was given.
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

    A pure function of its arguments: chance comes from the seed and the step. Composites are made from the batch as it
    was given, never from rows that are composites already, and the given tensor is not written to.

    The second pair is any other row of the batch, with equal chance; the paper draws it from the whole training set,
    which a shuffled batch stands for. What needs to know more than the batch (rules, groups, neighbours,
    regions) needs :class:`clipc.CompositePairs`.

    Args:
        images: Pictures as the loop's own transform made them, floating point or ``uint8``, shape (B, 3, S, S).
        captions: B captions.
        policy: How often and how to compose.
        seed: The run's seed; ranks that train together should each have their own.
        step: The number of the step, counted through all epochs.
        keys: B ids of the pairs, numbers from 0 or texts: rows of one key are never composed with each other.
        tokenizer: Of open_clip's or Hugging Face's: captions that are too long for it have both parts
            shortened. Without one they are as long as they come, and a tokenizer may cut away the second one.

    Raises:
        UserError: The policy needs more than a batch, or images, captions and keys do not agree.
    """
    _check(images, captions, policy, keys)
    n = len(images)
    ids, codes = _ids(keys, n)
    partner = _partners(codes, epoch_generator(seed, "partner", step).random(n))
    composed = np.flatnonzero((epoch_generator(seed, "mask", step).random(n) < policy.rho) & (partner >= 0))
    second = np.full(n, -1, dtype=np.int64)
    second[composed] = partner[composed]
    swapped = epoch_generator(seed, "caption", step).random(n) < 0.5
    layouts = epoch_generator(seed, "layout", step)
    form = find_layout(policy.layout)
    drawn = layouts.choice(form.drawn_from(policy.axis), n)
    layout = np.where(second >= 0, drawn, PLAIN).astype(np.uint8)
    draws = layouts.random((n, 4)).astype(np.float32)

    pictures = images.clone()
    if len(composed):
        tiles = form.tiles(layout[composed], draws[composed], Views.plain(len(composed)))
        one, other = (torch.from_numpy(rows).to(images.device) for rows in (composed, second[composed]))
        pictures[one] = lay_tiles(images[one], images[other], tiles)
    context, wording = Context(tokenizer), policy.wording
    texts = [
        context.caption(captions[i], captions[j] if j >= 0 else None, wording, code, order)
        for i, (j, code, order) in enumerate(zip(second.tolist(), layout.tolist(), swapped.tolist(), strict=True))
    ]
    caption_ids = np.array([text_id(caption) for caption in captions], dtype=np.int64)
    return ComposedBatch(
        images=pictures,
        captions=[text for text, _ in texts],
        sources=_both(ids, second).to(images.device),
        texts=_both(caption_ids, second).to(images.device),
        treated=len(composed),
        shortened=sum(cut for _, cut in texts),
    )


def _check(
    images: torch.Tensor,
    captions: Sequence[str],
    policy: Policy,
    keys: torch.Tensor | Sequence[Hashable] | None,
) -> None:
    if policy.treatment != "compose":
        raise UserError(f"the policy's treatment {policy.treatment!r} is not composition, and all that happens here.")
    beyond = {
        "rules": policy.rules is not None,
        "group": policy.group is not None,
        f"partner: {policy.partner}": policy.partner != "random",
        f"pairing: {policy.pairing}": policy.pairing != "dynamic",
        f"layout: {policy.layout}": policy.layout == "region",
    }
    if named := [name for name, asked in beyond.items() if asked]:
        raise UserError(
            f"the policy's {' and '.join(named)} cannot be kept inside a batch, which shows nothing but itself; "
            "use clipc.CompositePairs, which plans over the whole catalog."
        )
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise UserError(f"images must be square pictures, shape (B, 3, S, S), not {tuple(images.shape)}.")
    for what, given in (("captions", captions), ("keys", keys)):
        if given is not None and len(given) != len(images):
            raise UserError(f"there are {len(images)} images but {len(given)} {what}; give one for each image.")


def _ids(keys: torch.Tensor | Sequence[Hashable] | None, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """For each row its pair's id, and the number of its key among the batch's keys."""
    if keys is None:
        return np.arange(n), np.arange(n)
    listed: list[Any] = keys.tolist() if isinstance(keys, torch.Tensor) else list(keys)
    ids = np.array([key if isinstance(key, int | np.integer) else text_id(str(key)) for key in listed], dtype=np.int64)
    if (ids < 0).any():
        raise UserError(f"keys must be numbers from 0 or texts, not {int(ids.min())}.")
    return ids, np.unique(ids, return_inverse=True)[1].reshape(-1)


def _partners(codes: npt.NDArray[np.intp], chance: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """For each row one of the rows with another code, each with equal chance; -1 where there is none."""
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes) if len(codes) else np.zeros(0, dtype=np.int64)
    # In this order the rows of one code stand together, and the allowed ones follow them, once around.
    allowed = len(codes) - sizes[codes]
    after = np.cumsum(sizes)[codes] + (chance * allowed).astype(np.int64)
    return np.where(allowed > 0, order[after % max(1, len(codes))], -1)


def _both(ids: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(np.stack([ids, np.where(second >= 0, ids[second], -1)], axis=1))
