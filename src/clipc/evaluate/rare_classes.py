"""Recall of rare classes at a fixed rate of false alarms."""

from typing import Final

import numpy as np
import numpy.typing as npt

FALSE_ALARMS: Final = 0.05
"""The share of the images of other classes that may raise a false alarm."""

Floats = npt.NDArray[np.float64]


def rare_classes(labels: npt.ArrayLike, unbalanced: float) -> list[int]:
    """The classes with images, but with fewer than the largest class has divided by ``unbalanced``.

    Args:
        labels: The class of each image, (N,) integers from 0.
        unbalanced: How many times as many images the largest class has.
    """
    counts = np.bincount(np.asarray(labels, dtype=np.int64))
    return [int(c) for c in np.flatnonzero((counts > 0) & (counts * unbalanced < counts.max()))]


def rare_class_hits(
    scores: npt.ArrayLike, labels: npt.ArrayLike, rare: list[int], false_alarms: float = FALSE_ALARMS
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Which images of rare classes are found where few other images raise a false alarm for their class.

    For each rare class an image's margin is its score for the class minus its best score for any other class. An image
    of the class is found if its margin is above that of all but the share ``false_alarms`` of the other classes' images
    (rounded down; an equal margin is not found). Each class has a threshold of its own, as an inspector would set it.

    Args:
        scores: The score of each image for each class, (N, C), C >= 2.
        labels: The class of each image, (N,).
        rare: The rare classes.
        false_alarms: The allowed share of false alarms, in [0, 1).

    Returns:
        The hits (0 or 1) of the images of rare classes, by class and then in order, (n,), and the class of each, (n,).
    """
    x, classes = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    hits: list[Floats] = []
    owners: list[npt.NDArray[np.int64]] = []
    for rare_class in rare:
        others = np.delete(x, rare_class, axis=1).max(axis=1)
        margins = x[:, rare_class] - others
        negatives = np.sort(margins[classes != rare_class])[::-1]
        allowed = int(false_alarms * len(negatives))
        threshold = negatives[allowed] if allowed < len(negatives) else -np.inf
        positives = margins[classes == rare_class]
        hits.append((positives > threshold).astype(np.float64))
        owners.append(np.full(len(positives), rare_class))
    if not hits:
        return np.empty(0), np.empty(0, dtype=np.int64)
    return np.concatenate(hits), np.concatenate(owners)
