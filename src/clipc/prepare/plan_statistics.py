"""A plan in figures: what is composed, how long captions are, how much of the pictures is seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.compose.plan import Plan, Plans
from clipc.prepare.preview import seen
from clipc.render.geometry import geometry
from clipc.render.texts import texts
from clipc.render.worker import WorkerRenderer


def statistics(renderer: WorkerRenderer, rows: int = 2000) -> dict[str, Any]:
    """The first epoch's plan in figures.

    Args:
        renderer: As in training.
        rows: How many of the plan's rows have their captions and views measured.

    Returns:
        What :meth:`~clipc.compose.plan.Plan.statistics` tells, and of the first ``rows`` rows: how many were
        ``counted``, how many of their captions were ``shortened`` and the ``shortened_share``; ``tokens`` without
        those that the tokenizer adds, as ``median``, ``p95`` and ``max``, of captions by themselves (``single``), of
        joint ones before shortening (``joined``) and as the model reads them (``read``); ``context_length``, which
        counts those that are added too, and ``room``, which does not; ``kept``, the mean share of the ``first`` and
        ``second`` view that the layout keeps, and ``seen``, the mean share of their whole pictures.
    """
    plans, catalog, count = renderer.plans, renderer.catalog, renderer.tokenizer.count
    plan = plans.rows(0, len(catalog))
    counted = plan[:rows]
    composed = np.flatnonzero(counted.right >= 0)
    singles = [catalog.caption(*which) for which in _entries(counted)]
    read = texts(plans, counted, renderer.tokenizer)
    shown = geometry(plans, counted, 0, renderer.augmentation)
    sources = np.stack([counted.left, np.maximum(counted.right, 0)], axis=1)
    return {
        **plan.statistics(),
        "counted": len(counted),
        "shortened": read.shortened,
        "shortened_share": read.shortened / max(1, len(counted)),
        "context_length": renderer.tokenizer.context_length,
        "room": renderer.tokenizer.room,
        "tokens": {
            "single": _lengths([count(text) for text in singles]),
            "joined": _lengths([count(text) for text in _joined(plans, counted, composed)]),
            "read": _lengths([count(read.captions[i]) for i in composed]),
        },
        "kept": _means(shown.tiles.kept()[composed]),
        "seen": _means(seen(shown, catalog.sizes[sources])[composed]),
    }


def _entries(plan: Plan) -> list[tuple[int, int]]:
    """Catalog row and caption of every source of a plan."""
    second = plan.right >= 0
    said = (column[second].tolist() for column in plan.words)
    return [*zip(plan.left.tolist(), plan.left_caption.tolist(), strict=True), *zip(*said, strict=True)]


def _joined(plans: Plans, plan: Plan, composed: npt.NDArray[np.intp]) -> list[str]:
    """The joint captions of some rows before anything is shortened."""
    caption, wordings = plans.catalog.caption, plans.wordings
    second, other = plan.words
    return [
        wordings[plan.wording[i]].text(
            caption(int(plan.left[i]), int(plan.left_caption[i])),
            caption(int(second[i]), int(other[i])),
            layout=int(plan.layout[i]),
            swapped=bool(plan.swapped[i]),
        )
        for i in composed
    ]


def _lengths(tokens: Sequence[int]) -> dict[str, int] | None:
    """Median, 95th percentile and largest of some lengths; None where there are none."""
    if not tokens:
        return None
    return dict(zip(("median", "p95", "max"), spread(tokens), strict=True))


def spread(counts: Sequence[int]) -> tuple[int, int, int]:
    """Median, 95th percentile and largest of some counts, each one of them."""
    median, most = np.percentile(counts, [50, 95], method="higher")
    return int(median), int(most), max(counts)


def _means(shares: npt.NDArray[np.floating]) -> dict[str, float] | None:
    """The mean of the first and of the second sources' shares; None where nothing is composed."""
    if not len(shares):
        return None
    return {name: float(mean) for name, mean in zip(("first", "second"), shares.mean(axis=0), strict=True)}
