"""What of a split is in the training pairs already: captions word for word, and images that are equal or nearly so."""

from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.compose.similarity.lookalike import Lookalikes, lookalikes

_CELLS: Final = 4_000_000
"""The largest number of pairs of images that are compared at once."""


class Leakage(TypedDict):
    """Counts of the measured captions and images, and of those that training shows too.

    Attributes:
        captions: The number of measured captions.
        captions_in_train: How many of these stand in the training captions, word for word.
        images: The number of measured images.
        images_in_train: How many of these are equal or nearly equal to a training image.
        near: Whether nearly equal images could be told; otherwise only equal files are counted, because too many
            different images of the set look alike, or images have no perceptual hashes.
    """

    captions: int
    captions_in_train: int
    images: int
    images_in_train: int
    near: bool


def leakage(catalog: Catalog, split: str = "test") -> Leakage:
    """Counts what of a split is in the training pairs too.

    Captions count where they are equal to the last character; paraphrases do not count. Images count as
    :func:`~clipc.compose.similarity.lookalike.lookalikes` compares them, by their bytes and difference hashes.

    Args:
        catalog: The pairs, with both splits.
        split: The split that is measured.
    """
    splits, counts = catalog.split_names, catalog.caption_counts
    of_captions = np.repeat(splits, counts)
    ids = catalog.caption_ids
    measured = ids[of_captions == split]
    alike = lookalikes(catalog)
    rows, train = np.flatnonzero(splits == split), np.flatnonzero(splits == "train")
    return {
        "captions": len(measured),
        "captions_in_train": int(np.isin(measured, ids[of_captions == "train"]).sum()),
        "images": len(rows),
        "images_in_train": int(_with_lookalike(alike, rows, train).sum()),
        "near": alike.distance >= 0,
    }


def total_leakage(parts: list[Leakage]) -> Leakage:
    """The counts of several measured splits together, such as the folds of a cross-validation; one part at least."""
    return {
        "captions": sum(part["captions"] for part in parts),
        "captions_in_train": sum(part["captions_in_train"] for part in parts),
        "images": sum(part["images"] for part in parts),
        "images_in_train": sum(part["images_in_train"] for part in parts),
        "near": all(part["near"] for part in parts),
    }


def _with_lookalike(
    alike: Lookalikes, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """For each of ``rows``, whether any of ``others`` looks like it; shape (len(rows),)."""
    result = np.zeros(len(rows), np.bool_)
    if len(others) == 0:
        return result
    step = max(1, _CELLS // len(others))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        pairs = alike(np.repeat(block, len(others)), np.tile(others, len(block)))
        result[start : start + step] = pairs.reshape(len(block), len(others)).any(axis=1)
    return result
