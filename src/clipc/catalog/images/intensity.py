"""The brightness of a set of images as a whole: doubted where it is dark, scaled as one where the user asks for it."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.catalog.images.samples import Intensity, Samples

SAMPLE = 500
"""The number of images by which a set's brightness is judged."""

_DARK = 64
_BRIGHTEST = "even the brightest of"
_VALUES = 4096
_LOW, _HIGH = 0.1, 99.9


def sample_of(count: int) -> npt.NDArray[np.int64]:
    """The numbers of the images by which a set of so many is judged: at most :data:`SAMPLE`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))


def brightness(samples: Samples, pixels: npt.NDArray[np.uint8]) -> tuple[str, int]:
    """The type of an image's samples, and the 99.9th percentile of its pixels, 0 to 255."""
    counts = np.bincount(_thinned(pixels).ravel(), minlength=256).cumsum()  # of bytes, faster than np.percentile
    return samples.values.dtype.name, int(np.searchsorted(counts, _HIGH / 100 * counts[-1]))


def dark_warnings(measured: Iterable[tuple[str, int]]) -> list[str]:
    """A warning for each type of samples of which even the brightest image is dark.

    Args:
        measured: What :func:`brightness` gives for the images of a sample.
    """
    by_kind: defaultdict[str, list[int]] = defaultdict(list)
    for kind, bright in measured:
        by_kind[kind].append(bright)
    return [
        f"{_BRIGHTEST} {len(found):,} images of type {kind} reaches only {max(found)} of 255: their values "
        "may use fewer bits than they are stored in (12 of 16); look at some, or scale the set by --intensity auto"
        for kind, found in by_kind.items()
        if max(found) < _DARK
    ]


def is_dark_warning(sentence: str) -> bool:
    """Whether a warning is one of :func:`dark_warnings`."""
    return sentence.startswith(_BRIGHTEST)


def usable_values(image: Samples) -> tuple[str, npt.NDArray[np.float64]]:
    """The type of an image's samples, and some thousands of its values, without those that stand for no data."""
    values = _thinned(image.values)
    usable = np.isfinite(values) if image.missing is None else ~_thinned(image.missing)
    return image.values.dtype.name, values[usable].astype(np.float64)


def measure_intensity(images: Iterable[tuple[str, npt.NDArray[np.float64]]]) -> dict[str, list[float]]:
    """The range of values, for each type of samples, that shows a set of images from black to white.

    White is the 99.9th percentile of the values of all images together, black is 0, or for signed and floating-point
    values the 0.1th percentile: so the differences in brightness between the images remain.

    Args:
        images: What :func:`usable_values` gives for the images of a sample.

    Returns:
        For each type the values shown as black and as white.
    """
    by_kind: defaultdict[str, list[npt.NDArray[np.float64]]] = defaultdict(list)
    for kind, values in images:
        by_kind[kind].append(values)
    ranges: dict[str, list[float]] = {}
    for kind, parts in sorted(by_kind.items()):
        values = np.concatenate(parts)
        if values.size:
            low, high = (float(n) for n in np.percentile(values, (_LOW, _HIGH)))
            low = 0.0 if kind.startswith("uint") else low
            ranges[kind] = [low, high if high > low else low + 1.0]
    return ranges


def intensity_note(intensity: Intensity) -> str:
    """How a set is scaled, for the catalog's notes."""
    ranges = "; ".join(f"{kind} {low:,.6g} to {high:,.6g}" for kind, (low, high) in intensity.items())
    return f"intensity: shown from black to white are the values {ranges}"


def _thinned(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A few thousand values, evenly spread over the image."""
    step = max(1, int(np.sqrt(values.shape[0] * values.shape[1] / _VALUES)))
    return values[::step, ::step]
