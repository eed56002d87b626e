"""What of a split is in the training pairs already: captions word for word, and images that are equal or nearly so."""

from typing import TypedDict

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.compose.similarity.lookalike import lookalikes


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
        "images_in_train": int(alike.any_of(rows, train).sum()),
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
