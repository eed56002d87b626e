"""Composites for people to review: larger images, with the details that an expert needs to judge them."""

import base64
import io
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipc.catalog.images.decode import DecodeError
from clipc.compose.arrays import Float64s
from clipc.compose.captions.language import without_stop
from clipc.compose.layouts.tiles import turn_boxes
from clipc.compose.rules.schema import Rules
from clipc.prepare.evidence import Entry, applied_rules, partner_reason
from clipc.render.batch import GREY
from clipc.render.cuts import window_boxes
from clipc.render.geometry import Geometry, geometry
from clipc.render.resample import Image8, resample_whole
from clipc.render.texts import texts
from clipc.render.worker import WorkerRenderer

_SOURCE_SIDE: Final = 96
_FADED_OPACITY: Final = 0.3
"""The opacity of the parts of a source image that the composite does not show."""
_SHORTEST_MATCH: Final = 4
"""The fewest characters of a caption that count as a match, unless the whole caption matches."""


def preview(renderer: WorkerRenderer, count: int, *, size: int = 192) -> list[dict[str, Any]]:
    """The first composites of the first epoch.

    Args:
        renderer: The renderer, as in training; only its image size is replaced.
        count: The largest number of composites.
        size: Side of the images in pixels.

    Returns:
        For each composite:

        - ``picture``: the composite as a ``data:`` URI (JPEG).
        - ``left_image``, ``left_key``, ``left_caption``: the first source. The image is a ``data:`` URI too; its longer
          side has 96 pixels, and the parts that the composite does not show are pale.
        - ``right_image``, ``right_key``, ``right_caption``: the second source.
        - ``caption``: the joint caption as the model reads it, after shortening.
        - ``parts``: the pieces of the joint caption, see :func:`split_caption`.
        - ``shortened``: whether the joint caption was cut to fit the context.
        - ``layout``: the name of the composite's :class:`~clipc.compose.layouts.layout.Shape`.
        - ``kept``: the visible share of each whole source image, in [0, 1].
        - ``mirrored``: whether each source is mirrored.
        - ``turns``: the quarter turns of each source, counterclockwise, before it is mirrored.
        - ``why``: see :func:`~clipc.prepare.evidence.partner_reason`.
        - ``hits``: see :func:`~clipc.prepare.evidence.applied_rules`.
        - ``passed``: the number of rules that the composite was checked against.
        - ``unreadable``: whether a source could not be read and is shown grey.
    """
    plan = renderer.plans.rows(0, len(renderer.catalog))
    rows = np.flatnonzero(plan.right >= 0)[:count].tolist()
    large_renderer = replace(renderer, image_size=size)
    return [_sample(large_renderer, row) for row in rows]


def _sample(renderer: WorkerRenderer, row: int) -> dict[str, Any]:
    images = composite_images(renderer, row)
    uris = {name: _uri(getattr(images, name)) for name in ("picture", "left_image", "right_image")}
    return {**uris, **composite_details(renderer, row), "unreadable": images.unreadable}


@dataclass(frozen=True, eq=False)
class CompositeImages:
    """The images of one composite, RGB ``uint8``, shape (height, width, 3).

    Attributes:
        picture: The composite, square.
        left_image: The first source whole, pale where the composite does not show it; grey if it is unreadable.
        right_image: The second source.
        unreadable: Whether a source could not be read and is shown grey.
    """

    picture: Image8
    left_image: Image8
    right_image: Image8
    unreadable: bool


def composite_images(renderer: WorkerRenderer, row: int, source_side: int = _SOURCE_SIDE) -> CompositeImages:
    """The images of the composite in a row of the plans.

    Args:
        renderer: The renderer, with the image size of the composite.
        row: The row, which is a composite.
        source_side: The longer side of the sources in pixels.
    """
    batch, views = renderer.render(row, row + 1), _views(renderer, row)
    plan = renderer.plans.rows(row, row + 1)
    left = _source_image(renderer, int(plan.left[0]), views, 0, source_side)
    right = _source_image(renderer, int(plan.right[0]), views, 1, source_side)
    return CompositeImages(batch.images[0].numpy(), left, right, len(batch.unreadable) > 0)


def composite_details(renderer: WorkerRenderer, row: int) -> dict[str, Any]:
    """What :func:`preview` says of the composite in a row of the plans, without images: no pixel is read."""
    catalog, plans = renderer.catalog, renderer.plans
    plan = plans.rows(row, row + 1)
    batch_texts = texts(plans, plan, renderer.tokenizer)
    views = _views(renderer, row)
    caption = batch_texts.captions[0]
    first = Entry(int(plan.left[0]), int(plan.left_caption[0]))
    second = Entry(int(plan.right[0]), int(plan.right_caption[0]))
    # In the wrong-caption control the second caption belongs to a third pair.
    captions = [catalog.caption(*first), catalog.caption(*(int(column[0]) for column in plan.second_caption))]
    swapped = bool(plan.swapped[0]) and plans.policy.caption in ("both-orders", "one")
    mirrored = views.mirrored[0] & batch_texts.may_mirror[0]
    return {
        "left_key": catalog.keys[first.row],
        "right_key": catalog.keys[second.row],
        "left_caption": captions[0],
        "right_caption": captions[1],
        "caption": caption,
        "parts": tuple(split_caption(caption, captions[0], captions[1], swapped)),
        "shortened": batch_texts.shortened > 0,
        "layout": plan.shapes[plan.layout[0]].name,
        "kept": tuple(visible_share(views, catalog.sizes[[[first.row, second.row]]])[0].tolist()),
        "mirrored": tuple(mirrored.tolist()),
        "turns": tuple(views.turns[0].tolist()),
        "why": partner_reason(plans, first, second),
        "hits": tuple(applied_rules(plans, first, second, int(plan.wording[0]))),
        "passed": _refusing(plans.policy.rules),
    }


def _refusing(rules: Rules | None) -> int:
    """How many of the expert's rules can refuse a composite: all but those on how it is made."""
    if rules is None:
        return 0
    return len(rules.pairs) + len(rules.never) + sum(rule.forbid is not None for rule in rules.captions)


def _views(renderer: WorkerRenderer, row: int) -> Geometry:
    plans, plan = renderer.plans, renderer.plans.rows(row, row + 1)
    may_turn = texts(plans, plan, renderer.tokenizer).may_turn
    return geometry(plans, plan, row, renderer.augmentation, may_turn)


def _source_image(renderer: WorkerRenderer, row: int, views: Geometry, side: int, longest: int) -> Image8:
    """A source's thumbnail, pale where the composite does not show it; grey if it is unreadable."""
    try:
        pixels = renderer.catalog.image(row)
    except (OSError, DecodeError):
        return np.full((longest, longest, 3), GREY, dtype=np.uint8)
    box, hidden = np.zeros(4), np.zeros(4)
    place, window = views.tiles.place[0], views.tiles.window[0, side]
    if (place[side, 2:] > place[side, :2]).all():
        whole = renderer.catalog.sizes[row]  # of which a very large image is decoded at a part
        box = window_boxes(views.views[0, side], window, whole) * np.tile(np.array(pixels.shape[1::-1]) / whole, 2)
    if side == 0 and views.tiles.opacity[0, 1] == 1:
        # The part of the first window that the second image covers; empty where they are side by side.
        corner, extent = np.tile(place[0, :2], 2), np.tile(place[0, 2:] - place[0, :2], 2)
        covered = np.clip((place[1] - corner) / extent, 0, 1)
        if views.mirrored[0, side]:
            covered[[0, 2]] = 1 - covered[[2, 0]]
        covered = turn_boxes(covered[None], -views.turns[:, side])[0]
        hidden = np.tile(box[:2], 2) + covered * np.tile(box[2:] - box[:2], 2)
    return faded_thumbnail(pixels, box, longest, hidden)


def faded_thumbnail(pixels: Image8, box: Float64s, side: int, hidden: Float64s | None = None) -> Image8:
    """A thumbnail of an image, pale outside a box and where another image covers it.

    Args:
        pixels: RGB ``uint8``, shape (height, width, 3).
        box: x0, y0, x1, y1 in pixels of the image.
        side: The longer side of the result in pixels.
        hidden: The covered part of the box, in the same form.
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    thumbnail = resample_whole(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
    faded = np.rint(255 - _FADED_OPACITY * (255 - thumbnail.astype(np.float32))).astype(np.uint8)
    result = faded.copy()
    for layer, area in ((thumbnail, box), (faded, hidden)):
        if area is not None:
            x0, y0, x1, y1 = np.rint(area * scale).astype(int).tolist()
            result[y0:y1, x0:x1] = layer[y0:y1, x0:x1]
    return result


def _uri(pixels: Image8) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def visible_share(views: Geometry, sizes: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """The share of each whole source image that a composite shows, after its crop and layout.

    Args:
        views: The geometry of n rows.
        sizes: Width and height of the sources, shape (n, 2, 2).

    Returns:
        Shape (n, 2), in [0, 1]; parts that are half transparent, or covered by the second source, count in proportion
        to their visibility.
    """
    corner, extent = views.views[..., :2], views.views[..., 2:] - views.views[..., :2]
    window = views.tiles.window
    low = np.clip(corner + window[..., :2] * extent, 0, sizes)
    high = np.clip(corner + window[..., 2:] * extent, 0, sizes)
    window_area = np.prod(np.maximum(window[..., 2:] - window[..., :2], 0), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        visible = np.where(window_area > 0, views.tiles.visible() / np.minimum(window_area, 1), 0)
    return np.prod((high - low) / sizes, axis=-1) * visible


def split_caption(text: str, first: str, second: str, swapped: bool = False) -> list[dict[str, str]]:
    """Splits a joint caption into pieces, which joined give the caption again.

    Each piece has its ``text`` and the caption that it comes from (``of``): ``first``, ``second`` or an empty text. The
    longest prefix of each caption is searched, because shortening cuts captions at their end. If both captions begin
    alike, the first one is assumed to stand in front, or with ``swapped`` the second one.

    >>> [piece["of"] for piece in split_caption("a dog and a cat", "a dog.", "a cat")]
    ['first', '', 'second']
    """
    captions = {"first": first, "second": second}
    front, other = ("second", "first") if swapped else ("first", "second")
    # The caption in front has lost its full stop, and must not match the other one's.
    start, stop = _find_prefix(text, without_stop(captions[front]))
    caption = captions[other]
    before, after = _find_prefix(text[:start], caption), _find_prefix(text[stop:], caption)
    other_before = before[1] - before[0] >= after[1] - after[0]
    spans = [(start, stop, front), (*before, other) if other_before else (stop + after[0], stop + after[1], other)]
    pieces: list[dict[str, str]] = []
    position = 0
    for begin, end, name in sorted(span for span in spans if span[0] < span[1]):
        pieces += [{"of": "", "text": text[position:begin]}, {"of": name, "text": text[begin:end]}]
        position = end
    return [piece for piece in [*pieces, {"of": "", "text": text[position:]}] if piece["text"]]


def _find_prefix(text: str, caption: str) -> tuple[int, int]:
    """The span in the text of the longest prefix of a caption; empty if only a very short prefix occurs."""
    best = (0, 0)
    for form in (caption.strip(), without_stop(caption), " ".join(caption.split())):
        length = bisect_left(range(1, len(form) + 1), True, key=lambda stop: form[:stop] not in text)
        if length > best[1] - best[0] and (length >= _SHORTEST_MATCH or length == len(form)):
            prefix = form[:length].rstrip()
            start = text.index(prefix)
            best = (start, start + len(prefix))
    return best
