"""Composites as people look at them: larger pictures beside their captions and keys."""

import base64
import io
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from clipc.compose.layout import LAYOUT_NAMES
from clipc.render.worker import WorkerRenderer


@dataclass(frozen=True)
class Sample:
    """One composite, ready for a page.

    Attributes:
        picture: The picture as a ``data:`` URI (JPEG).
        left_key: Key of the pair shown first.
        right_key: Key of the pair shown second.
        left_caption: The first pair's caption.
        right_caption: The second pair's caption.
        caption: The joint caption as the model reads it.
        axis: ``left-right`` or ``top-bottom``.
    """

    picture: str
    left_key: str
    right_key: str
    left_caption: str
    right_caption: str
    caption: str
    axis: str


def preview(renderer: WorkerRenderer, count: int, *, size: int = 192) -> list[dict[str, str]]:
    """The first composites of the first epoch, as dictionaries with the fields of :class:`Sample`.

    Args:
        renderer: As in training; only its image size is replaced.
        count: How many composites at the most.
        size: Side of the pictures in pixels.
    """
    catalog = renderer.catalog
    plan = renderer.plans.rows(0, len(catalog))
    rows = np.flatnonzero(plan.right >= 0)[:count].tolist()
    larger = replace(renderer, image_size=size)
    return [asdict(_sample(larger, row)) for row in rows]


def _sample(renderer: WorkerRenderer, row: int) -> Sample:
    from PIL import Image

    catalog, plan = renderer.catalog, renderer.plans.rows(row, row + 1)
    left, right = int(plan.left[0]), int(plan.right[0])
    file = io.BytesIO()
    Image.fromarray(renderer.render(row, row + 1).images[0].numpy()).save(file, "JPEG", quality=88)
    return Sample(
        picture="data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode(),
        left_key=catalog.keys[left],
        right_key=catalog.keys[right],
        left_caption=catalog.caption(left, int(plan.left_caption[0])),
        right_caption=catalog.caption(right, int(plan.right_caption[0])),
        caption=renderer.captions(plan)[0][0],
        axis=LAYOUT_NAMES[plan.layout[0]],
    )


def statistics(renderer: WorkerRenderer, rows: int = 2000) -> dict[str, Any]:
    """The first epoch's plan in figures, with caption lengths in tokens before and after joining.

    Args:
        renderer: As in training.
        rows: How many of the plan's rows have their captions counted.
    """
    plan = renderer.plans.rows(0, len(renderer.catalog))
    counted = plan[:rows]
    count = renderer.tokenizer.count
    before = [count(renderer.catalog.caption(r, c)) for r, c in zip(counted.left, counted.left_caption, strict=True)]
    captions, shortened = renderer.captions(counted)
    after = [count(text) for text, right in zip(captions, counted.right, strict=True) if right >= 0]
    counts = plan.statistics()
    layouts = counts.pop("layouts")
    return {
        **counts,
        "axes": {name: layouts[name] for name in ("left-right", "top-bottom")},
        "counted": len(counted),
        "shortened": shortened,
        "tokens_plain_median": median(before),
        "tokens_composed_median": median(after or [0]),
        "tokens_max": max(map(count, captions)) + 2,
        "context_length": renderer.tokenizer.context_length,
    }
