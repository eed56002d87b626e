"""Checks of pixels: sets that are dark or light as a whole, blank images, and detail that the model cannot see."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from clipc.audit.detail import FEW_PIXELS, Detail
from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import MAX_EXAMPLES, Finding, Severity, row_examples
from clipc.catalog.images.decode import DecodeError, read_samples
from clipc.catalog.images.samples import show
from clipc.compose.arrays import Int64s
from clipc.compose.layouts.boxes import read_boxes
from clipc.errors import UserError
from clipc.render.parallel_map import parallel_map

_MOST: Final = 2000
_MOST_PIXELS: Final = 2e9
_DARK, _LIGHT = 64, 191
_BLACK, _WHITE = 32, 223
_FLAT: Final = 8
_MIN_SET: Final = 5
_MANY_LOST: Final = 0.1
_STRONG_SCALE: Final = 2.0
_SHARE_SMALL: Final = 0.2
_BOX_NAMES: Final = ("region", "box", "bbox", "boxes", "bounding_box", "defect_box", "領域", "範囲")


class Tones(NamedTuple):
    """The tones of one image: the type of its samples, and the 0.1th and 99.9th percentile of its pixels, 0 to 255."""

    kind: str
    low: int
    high: int


def tones(data: DoctorData) -> Iterator[Finding]:
    """The brightness of the images.

    - ``dark-set`` and ``light-set``: even the brightest (darkest) image of a type of samples reaches only 63 of 255
      (only 192): 12-bit values in 16-bit files, or inverted ones. Up to 2,000 images are looked at.
    - ``blank-images``: all pixels of an image are nearly equal, in a set that is neither dark nor light as a whole.
    """
    if not data.pixels:
        return
    rows = _rows_to_examine(data)
    measured = dict(zip(rows, parallel_map(lambda row: _tones(data, row), rows), strict=True))
    data.progress("measuring brightness", len(rows), len(rows))
    by_kind: defaultdict[str, dict[int, Tones]] = defaultdict(dict)
    for row, each in measured.items():
        if each is not None:
            by_kind[each.kind][row] = each
    total = sum(map(len, by_kind.values()))
    blank: list[int] = []
    for kind, images in sorted(by_kind.items()):
        brightest, darkest = max(t.high for t in images.values()), min(t.low for t in images.values())
        members = sorted(images)
        if len(images) >= _MIN_SET and brightest < _DARK:
            severity: Severity = "stop" if brightest < _BLACK and 2 * len(images) >= total else "warning"
            values: dict[str, Any] = {"kind": kind, "reached": brightest}
            yield Finding("dark-set", severity, len(images), total, values, row_examples(members))
        elif len(images) >= _MIN_SET and darkest > _LIGHT:
            severity = "stop" if darkest > _WHITE and 2 * len(images) >= total else "warning"
            values = {"kind": kind, "reached": darkest}
            yield Finding("light-set", severity, len(images), total, values, row_examples(members))
        else:
            blank += [row for row in members if images[row].high - images[row].low < _FLAT]
    if blank:
        severity = "warning" if len(blank) >= 0.01 * total else "note"
        yield Finding("blank-images", severity, len(blank), total, {}, row_examples(sorted(blank)))


def _rows_to_examine(data: DoctorData) -> list[int]:
    """Evenly spaced rows, and those too flat for a difference hash; fewer of large images."""
    n = len(data.catalog)
    area = float(np.prod(data.catalog.sizes.astype(np.float64), axis=1).mean())
    most = int(max(50, min(_MOST, _MOST_PIXELS / max(1.0, area))))
    rows = set(np.linspace(0, n - 1, min(n, most)).astype(np.int64).tolist())
    if "dhash" in data.catalog.table.column_names:
        valid: Any = data.catalog.table["dhash"].is_valid().to_numpy()
        flat = np.flatnonzero(~valid)
        if len(flat) < n:  # otherwise no image was decoded
            rows |= set(flat[:most].tolist())
    return sorted(rows)


def _tones(data: DoctorData, row: int) -> Tones | None:
    intensity = data.catalog.about.intensity
    try:
        samples = read_samples(data.catalog.encoded(row), (64, 64), deep=bool(intensity))
        pixels = show(samples, intensity)
    except (OSError, DecodeError):
        return None
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / 65536) ** 0.5))
    counts = np.bincount(pixels[::step, ::step].ravel(), minlength=256).cumsum()
    low, high = (int(np.searchsorted(counts, share * counts[-1])) for share in (0.001, 0.999))
    return Tones(samples.values.dtype.name, low, high)


def small_regions(data: DoctorData) -> Iterator[Finding]:
    """Regions that are too small for the model (``small-regions``).

    Their side, the geometric mean of width and height, has less than :data:`~clipc.audit.detail.FEW_PIXELS` pixels
    after the evaluation's resizing. The column is that of the recipe's ``policy.region``, or one with a usual name.
    """
    catalog = data.catalog
    names = {data.recipe.policy.region, *_BOX_NAMES}
    column = next((name for name in catalog.table.column_names if name in names or name.lower() in _BOX_NAMES), None)
    if column is None:
        return
    try:
        boxes = read_boxes(catalog.column(column), catalog.sizes, column=column, keys=catalog.keys)
    except UserError:
        return  # Some other table's boxes: rules and recipes refuse them where they are used.
    sides = catalog.sizes.astype(np.float64)
    pixels = (boxes[:, 2:] - boxes[:, :2]) * sides * data.image_size / sides.min(axis=1, keepdims=True)
    extent = np.sqrt(pixels.prod(axis=1))
    has = np.flatnonzero(np.isfinite(extent))
    small = has[extent[has] < FEW_PIXELS]
    if not len(small):
        return
    order = small[np.argsort(extent[small], kind="stable")]
    severity: Severity = "warning" if len(small) >= _SHARE_SMALL * len(has) else "note"
    values = {"column": column, **_remedy(float(np.median(extent[small])), data.image_size)}
    texts = [f"{extent[row]:.1f} px" for row in order[:MAX_EXAMPLES]]
    yield Finding("small-regions", severity, len(small), len(has), values, row_examples(order, texts))


def small_structures(data: DoctorData) -> Iterator[Finding]:
    """Detail that the model's resolution removes, measured on a sample (:mod:`clipc.audit.detail`).

    - ``small-structures``: an image in five has an isolated structure of fewer than four of the model's pixels, and
      images are reduced to half their side or less.
    - ``lost-detail``: the median image loses a tenth of its variance, or more.
    """
    details = data.details
    if not details:
        return
    scale = float(np.median([each.scale for each in details.values()]))
    if scale < _STRONG_SCALE:
        return
    small = {row: d.structure for row, d in details.items() if d.structure is not None and d.structure < FEW_PIXELS}
    if len(small) >= _SHARE_SMALL * len(details):
        order: Int64s = np.asarray(sorted(small, key=lambda row: small[row]), dtype=np.int64)
        values = {"scale": round(scale, 1), **_remedy(float(np.median([*small.values()])), data.image_size)}
        texts = [f"{small[row]:.1f} px" for row in order[:MAX_EXAMPLES].tolist()]
        yield Finding("small-structures", "warning", len(small), len(details), values, row_examples(order, texts))
    losing = {row: each.loss for row, each in details.items() if each.loss >= _MANY_LOST}
    if 2 * len(losing) >= len(details):
        order = np.asarray(sorted(losing, key=lambda row: -losing[row]), dtype=np.int64)
        values = {"scale": round(scale, 1), "median": round(_median_lost(details), 3), "size": data.image_size}
        texts = [f"{losing[row]:.0%}" for row in order[:MAX_EXAMPLES].tolist()]
        yield Finding("lost-detail", "note", len(losing), len(details), values, row_examples(order, texts))


def _median_lost(details: dict[int, Detail]) -> float:
    return float(np.median([each.loss for each in details.values()]))


def _remedy(extent: float, size: int) -> dict[str, Any]:
    """The resolution at which a structure of ``extent`` pixels has twice :data:`FEW_PIXELS`, and tiles instead."""
    needed = size * 2 * FEW_PIXELS / max(extent, 0.1)
    return {
        "extent": round(extent, 1),
        "few": int(FEW_PIXELS),
        "size": size,
        "needed": int(-(-needed // 32) * 32),
        "tiles": int(-(-needed // size)),
    }
