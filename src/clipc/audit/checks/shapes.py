"""Checks of the images' sizes: what a square crop cuts off, and images smaller than the model's."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import Finding, Severity, row_examples

_CUT: Final = 0.3
_MUCH_CUT: Final = 0.5
_SOME: Final = 0.1
_TINY: Final = 16


def shapes(data: DoctorData) -> Iterator[Finding]:
    """What the sizes alone say.

    - ``cut-images``: the evaluation's centre crop cuts off three tenths of the image or more, in at least one image in
      ten; of an image of width w and height h it keeps min(w, h) / max(w, h).
    - ``small-images``: the shorter side has fewer pixels than the model's images, in at least one image in ten.
    - ``tiny-images``: a side has fewer than sixteen pixels, as in spacers and icons.
    """
    sizes = data.catalog.sizes.astype(np.float64)
    n = len(sizes)
    short, long = sizes.min(axis=1), sizes.max(axis=1)
    cut = 1 - short / long
    much = cut >= _CUT
    if much.sum() >= _SOME * n:
        severity: Severity = "warning" if (cut >= _MUCH_CUT).sum() >= _SOME * n else "note"
        order = np.argsort(-cut, kind="stable")
        texts = [_size(data, row) for row in order[:20].tolist()]
        values = {"median": round(float(np.median(cut)), 3), "worst": round(float(cut.max()), 3)}
        yield Finding("cut-images", severity, int(much.sum()), n, values, row_examples(order, texts))
    tiny = np.flatnonzero(short < _TINY)
    if len(tiny):
        severity = "warning" if len(tiny) >= 0.01 * n else "note"
        yield Finding(
            "tiny-images", severity, len(tiny), n, {}, row_examples(tiny, [_size(data, r) for r in tiny[:20]])
        )
    small = np.flatnonzero((short < data.image_size) & (short >= _TINY))
    if len(small) >= _SOME * n:
        order = small[np.argsort(short[small], kind="stable")]
        values = {"size": data.image_size, "median": int(np.median(short[small]))}
        texts = [_size(data, row) for row in order[:20].tolist()]
        yield Finding("small-images", "note", len(small), n, values, row_examples(order, texts))


def _size(data: DoctorData, row: int) -> str:
    return " x ".join(map(str, data.catalog.sizes[int(row)].tolist()))
