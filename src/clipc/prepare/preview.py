"""Composites as people look at them: larger pictures, with what an expert needs to judge them."""

import base64
import io
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipc.catalog.decode import DecodeError
from clipc.compose.captions.language import without_stop
from clipc.prepare.evidence import Entry, hits, why
from clipc.render.batch import GREY
from clipc.render.cuts import Boxes, window_boxes
from clipc.render.geometry import Geometry, geometry
from clipc.render.resample import Image8, resample_whole
from clipc.render.texts import texts
from clipc.render.worker import WorkerRenderer

_SOURCE_SIDE: Final = 96
_CUT_AWAY: Final = 0.3
"""How strongly what is cut away of a source can still be seen."""
_LEAST: Final = 4


@dataclass(frozen=True)
class Sample:
    """One composite, ready for a page.

    Attributes:
        picture: The picture as a ``data:`` URI (JPEG).
        left_image: The first source, its longer side 96 pixels; what is cut away is pale.
        right_image: The second source.
        left_key: Key of the pair shown first.
        right_key: Key of the pair shown second.
        left_caption: The first pair's caption.
        right_caption: The second pair's caption.
        caption: The joint caption as the model reads it, after shortening.
        parts: The same in pieces with ``text`` and ``of``: ``first`` or ``second`` for what comes from that pair's
            caption, empty for what joins them.
        shortened: Whether the joint caption had to be cut to fit the context.
        layout: The name of its :class:`~clipc.compose.layouts.layout.Shape`.
        kept: The share of each whole source picture that can be seen, in [0, 1].
        mirrored: Whether each source is shown mirrored.
        why: Why this partner, see :func:`~clipc.prepare.evidence.why`.
        hits: The rules that shaped this composite, see :func:`~clipc.prepare.evidence.hits`.
        passed: How many rules it was checked against.
        unreadable: Whether a source could not be read and is shown grey.
    """

    picture: str
    left_image: str
    right_image: str
    left_key: str
    right_key: str
    left_caption: str
    right_caption: str
    caption: str
    parts: tuple[dict[str, str], ...]
    shortened: bool
    layout: str
    kept: tuple[float, float]
    mirrored: tuple[bool, bool]
    why: dict[str, Any]
    hits: tuple[dict[str, str], ...]
    passed: int
    unreadable: bool


def preview(renderer: WorkerRenderer, count: int, *, size: int = 192) -> list[dict[str, Any]]:
    """The first composites of the first epoch, as dictionaries with the fields of :class:`Sample`.

    Args:
        renderer: As in training; only its image size is replaced.
        count: How many composites at the most.
        size: Side of the pictures in pixels.
    """
    plan = renderer.plans.rows(0, len(renderer.catalog))
    rows = np.flatnonzero(plan.right >= 0)[:count].tolist()
    larger = replace(renderer, image_size=size)
    return [asdict(_sample(larger, row)) for row in rows]


def _sample(renderer: WorkerRenderer, row: int) -> Sample:
    catalog, plan = renderer.catalog, renderer.plans.rows(row, row + 1)
    batch = renderer.render(row, row + 1)
    shown = geometry(renderer.plans, plan, row, renderer.augmentation)
    read = texts(renderer.plans, plan, renderer.tokenizer)
    caption = read.captions[0]
    first = Entry(int(plan.left[0]), int(plan.left_caption[0]))
    second = Entry(int(plan.right[0]), int(plan.right_caption[0]))
    spoken = Entry(*(int(column[0]) for column in plan.words))
    said = [catalog.caption(entry.row, entry.choice) for entry in (first, spoken)]
    compiled_rules = renderer.plans.inputs.compiled_rules
    swapped = bool(plan.swapped[0]) and renderer.plans.policy.caption in ("both-orders", "one")
    mirrored = shown.mirrored[0] & read.may_mirror[0]
    kept = seen(shown, catalog.sizes[[[first.row, second.row]]])[0]
    left, right = (_source(renderer, entry.row, shown, side) for side, entry in enumerate((first, second)))
    return Sample(
        picture=_uri(batch.images[0].numpy()),
        left_image=left,
        right_image=right,
        left_key=catalog.keys[first.row],
        right_key=catalog.keys[second.row],
        left_caption=said[0],
        right_caption=said[1],
        caption=caption,
        parts=tuple(parted(caption, said[0], said[1], swapped)),
        shortened=batch.shortened > 0,
        layout=plan.shapes[plan.layout[0]].name,
        kept=(float(kept[0]), float(kept[1])),
        mirrored=(bool(mirrored[0]), bool(mirrored[1])),
        why=why(renderer.plans, first, second),
        hits=tuple(hits(renderer.plans, first, second, int(plan.wording[0]))),
        passed=0 if compiled_rules is None else len(compiled_rules.constraints) + len(compiled_rules.exclusions),
        unreadable=len(batch.unreadable) > 0,
    )


def _source(renderer: WorkerRenderer, row: int, shown: Geometry, side: int) -> str:
    """A source's small picture, pale where nothing of it is shown; grey if it cannot be read."""
    try:
        pixels = renderer.catalog.image(row)
    except (OSError, DecodeError):
        return _uri(np.full((_SOURCE_SIDE, _SOURCE_SIDE, 3), GREY, dtype=np.uint8))
    box, hidden = np.zeros(4), np.zeros(4)
    place, window = shown.tiles.place[0], shown.tiles.window[0, side]
    if (place[side, 2:] > place[side, :2]).all():
        box = window_boxes(shown.views[0, side], window, np.array(pixels.shape[1::-1]))
    if side == 0 and shown.tiles.opacity[0, 1] == 1:
        # The part of the first window that the second image is laid over, none where they stand side by side.
        corner, extent = np.tile(place[0, :2], 2), np.tile(place[0, 2:] - place[0, :2], 2)
        covered = np.clip((place[1] - corner) / extent, 0, 1)
        hidden = np.tile(box[:2], 2) + covered * np.tile(box[2:] - box[:2], 2)
        if shown.mirrored[0, side]:
            hidden[[0, 2]] = box[0] + box[2] - hidden[[2, 0]]
    return _uri(pale(pixels, box, _SOURCE_SIDE, hidden))


def pale(pixels: Image8, box: Boxes, side: int, hidden: Boxes | None = None) -> Image8:
    """A picture made small, and pale outside a box and where something is laid over it.

    Args:
        pixels: RGB ``uint8``, shape (height, width, 3).
        box: x0, y0, x1, y1 in its pixels.
        side: The longer side of the result in pixels.
        hidden: The part of the box that is covered, in the same way.
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = resample_whole(pixels, size)
    x0, y0, x1, y1 = np.rint(box * scale).astype(int).tolist()
    cut_away = np.rint(255 - _CUT_AWAY * (255 - small.astype(np.float32))).astype(np.uint8)
    found = cut_away.copy()
    found[y0:y1, x0:x1] = small[y0:y1, x0:x1]
    if hidden is not None:
        x0, y0, x1, y1 = np.rint(hidden * scale).astype(int).tolist()
        found[y0:y1, x0:x1] = cut_away[y0:y1, x0:x1]
    return found


def _uri(pixels: Image8) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def seen(shown: Geometry, sizes: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """The share of each whole source picture that a composite shows: what neither crop nor layout cuts away.

    Args:
        shown: The geometry of n rows.
        sizes: Width and height of the sources, shape (n, 2, 2).

    Returns:
        Shape (n, 2), in [0, 1]; what is half transparent, or hidden under the second source, counts by how much of
        it is seen.
    """
    corner, extent = shown.views[..., :2], shown.views[..., 2:] - shown.views[..., :2]
    window = shown.tiles.window
    low = np.clip(corner + window[..., :2] * extent, 0, sizes)
    high = np.clip(corner + window[..., 2:] * extent, 0, sizes)
    of_view = np.prod(np.maximum(window[..., 2:] - window[..., :2], 0), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        visible = np.where(of_view > 0, shown.tiles.kept() / np.minimum(of_view, 1), 0)
    return np.prod((high - low) / sizes, axis=-1) * visible


def parted(text: str, first: str, second: str, swapped: bool = False) -> list[dict[str, str]]:
    """A joint caption in pieces: which come from the first caption, which from the second, which from neither.

    The longest beginnings of both captions are looked for, since shortening cuts at the end; of captions that begin
    alike, the first is taken to come first, or with ``swapped`` the second. Joining the pieces' ``text`` gives the
    text.

    >>> [piece["of"] for piece in parted("a dog and a cat", "a dog.", "a cat")]
    ['first', '', 'second']
    """
    captions = {"first": first, "second": second}
    leader, other = ("second", "first") if swapped else ("first", "second")
    # Without its full stop, which it has lost in front, and the other caption may have.
    start, stop = _place(text, without_stop(captions[leader]))
    caption = captions[other]
    before, after = _place(text[:start], caption), _place(text[stop:], caption)
    in_front = before[1] - before[0] >= after[1] - after[0]
    spans = [(start, stop, leader), (*before, other) if in_front else (stop + after[0], stop + after[1], other)]
    pieces: list[dict[str, str]] = []
    at = 0
    for begin, end, name in sorted(span for span in spans if span[0] < span[1]):
        pieces += [{"of": "", "text": text[at:begin]}, {"of": name, "text": text[begin:end]}]
        at = end
    return [piece for piece in [*pieces, {"of": "", "text": text[at:]}] if piece["text"]]


def _place(text: str, caption: str) -> tuple[int, int]:
    """Where the longest beginning of a caption stands in a text; an empty place if hardly any does."""
    best = (0, 0)
    for form in (caption.strip(), without_stop(caption), " ".join(caption.split())):
        low, high = 0, len(form)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if form[:middle] in text else (low, middle - 1)
        if low > best[1] - best[0] and (low >= _LEAST or low == len(form)):
            found = form[:low].rstrip()
            start = text.index(found)
            best = (start, start + len(found))
    return best
