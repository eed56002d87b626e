"""Statistics of a plan: shares of composites, lengths of captions, visible shares of images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.compose.plan import Plan, Plans
from clipc.prepare.preview import visible_share
from clipc.render.geometry import geometry
from clipc.render.texts import texts
from clipc.render.worker import WorkerRenderer


def statistics(renderer: WorkerRenderer, rows: int = 2000) -> dict[str, Any]:
    """Statistics of the first epoch's plan.

    Args:
        renderer: The renderer, as in training.
        rows: The number of rows, from the first, whose captions and views are measured.

    Returns:
        The values of :meth:`~clipc.compose.plan.Plan.statistics`, and these:

        - ``inputs``: the fingerprints of the tables from which the plan was made.
        - ``equal_captions``: the number of composites, of all rows, that join two equal captions.
        - ``counted``: the number of measured rows.
        - ``shortened``, ``shortened_share``: the number and share of them with shortened captions.
        - ``context_length``, ``room``: the context length, with and without special tokens.
        - ``tokens``: ``median``, ``p95`` and ``max`` of the tokens, special ones excluded, of single captions
          (``single``) and of joint captions before (``joined``) and after shortening (``read``).
        - ``kept``: the mean share of the ``first`` and of the ``second`` view that the layout keeps.
        - ``seen``: the mean visible share of their whole images.
    """
    plans, catalog, count = renderer.plans, renderer.catalog, renderer.tokenizer.count
    plan = plans.rows(0, len(catalog))
    sample = plan[:rows]
    composites = np.flatnonzero(sample.right >= 0)
    first = [catalog.caption(*pair) for pair in zip(sample.left.tolist(), sample.left_caption.tolist(), strict=True)]
    second_captions = (column[composites].tolist() for column in sample.second_caption)
    second = [catalog.caption(*pair) for pair in zip(*second_captions, strict=True)]
    joined = [
        plans.wordings[sample.wording[i]].text(
            first[i], other, shape_index=int(sample.layout[i]), swapped=bool(sample.swapped[i])
        )
        for i, other in zip(composites, second, strict=True)
    ]
    read = texts(plans, sample, renderer.tokenizer)
    views = geometry(plans, sample, 0, renderer.augmentation, read.may_turn)
    sources = np.stack([sample.left, np.maximum(sample.right, 0)], axis=1)
    return {
        **plan.statistics(),
        "inputs": plans.inputs.fingerprints,
        "equal_captions": _equal_captions(plans, plan),
        "counted": len(sample),
        "shortened": read.shortened,
        "shortened_share": read.shortened / max(1, len(sample)),
        "context_length": renderer.tokenizer.context_length,
        "room": renderer.tokenizer.max_text_tokens,
        "tokens": {
            "single": _lengths([count(text) for text in [*first, *second]]),
            "joined": _lengths([count(text) for text in joined]),
            "read": _lengths([count(read.captions[i]) for i in composites]),
        },
        "kept": _means(views.tiles.visible()[composites]),
        "seen": _means(visible_share(views, catalog.sizes[sources])[composites]),
    }


def _equal_captions(plans: Plans, plan: Plan) -> int:
    """The number of composites whose two captions are equal."""
    composites, (row, choice) = np.flatnonzero(plan.right >= 0), plan.second_caption
    ids, first = plans.catalog.caption_ids, plans.entries.first
    left = ids[first[plan.left[composites]] + plan.left_caption[composites]]
    return int((left == ids[first[row[composites]] + choice[composites]]).sum())


def _lengths(tokens: Sequence[int]) -> dict[str, int] | None:
    """Median, 95th percentile and maximum of lengths in tokens; None if there are none."""
    return dict(zip(("median", "p95", "max"), quantiles(tokens), strict=True)) if tokens else None


def quantiles(counts: Sequence[int]) -> tuple[int, int, int]:
    """Median, 95th percentile and maximum of counts; each is one of the counts."""
    median, p95 = np.percentile(counts, [50, 95], method="higher")
    return int(median), int(p95), max(counts)


def _means(shares: npt.NDArray[np.floating]) -> dict[str, float] | None:
    """The means of the first and of the second sources' shares; None if there are no composites."""
    if not len(shares):
        return None
    return {name: float(mean) for name, mean in zip(("first", "second"), shares.mean(axis=0), strict=True)}
