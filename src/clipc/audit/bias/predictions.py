"""Bias amplification of what a model predicts: does it carry the associations of its training pairs further?

Wang and Russakovsky, "Directional bias amplification", ICML 2021 (arXiv 2102.12594).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.audit.bias.amplification import amplification
from clipc.audit.bias.association import Observations
from clipc.compose.arrays import Bools, Int64s

MIN_IMAGES: Final = 20
"""Fewer images give no table."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of images.

    Attributes:
        concepts: Which concepts it predicts, ``bool``, shape (images, K).
        groups: Which groups it predicts, ``bool``, shape (images, G); None where it cannot be asked, as of a column.
    """

    concepts: Bools
    groups: Bools | None


def highest(scores: npt.NDArray[np.floating], counts: Int64s) -> Bools:
    """For each image the texts with the highest scores, as many as the image truly has.

    So predictions are as many as facts, whatever the scale of the scores; with one it is the best text.

    Args:
        scores: The score of each text for each image, shape (texts, images); of equal ones the first counts.
        counts: The number of texts that are true of each image, shape (images,).

    Returns:
        Shape (images, texts).
    """
    ranks = np.argsort(np.argsort(-scores.T, axis=1, kind="stable"), axis=1, kind="stable")
    return ranks < counts[:, None]


def prediction_amplification(
    biased: Bools, groups: Bools, concepts: Bools, image: Int64s, models: dict[str, Predictions], level: float
) -> dict[str, Any] | None:
    """Directional bias amplification of models, ready for JSON.

    From group to concept it compares ``P(predicted concept | group)`` with ``P(concept | group)``, from concept to
    group ``P(predicted group | concept)`` with ``P(group | concept)``, in the direction of the training pairs'
    associations. Intervals are over images.

    Args:
        biased: Which groups and concepts go together in the training pairs more often than by chance, shape (G, K).
        groups: The groups of the images, of which each has one, shape (images, G).
        concepts: Their concepts, at least one each, shape (images, K).
        image: The number of each image; equal ones depend on each other, shape (images,).
        models: The predictions by model: ``model``, and ``against`` where two are compared.
        level: The level of the intervals.

    Returns:
        ``images``; ``models``: for each ``to_concept`` and ``to_group`` (``value``, ``low``, ``high``; None where there
        are no predictions of groups); and ``difference``, the same for ``model`` minus ``against``, on the same images,
        or None. None for fewer than :data:`MIN_IMAGES` images, or fewer than two groups or concepts among them.
    """
    if len(groups) < MIN_IMAGES or groups.any(axis=0).sum() < 2 or concepts.any(axis=0).sum() < 2:
        return None
    number = int(image.max(initial=-1)) + 1

    def observations(of_groups: Bools, of_concepts: Bools) -> Observations:
        return Observations.of_pairs(of_groups, of_concepts, image, number)

    def compare(one: Predictions, other: Predictions) -> dict[str, Any]:
        after, before = (observations(groups, each.concepts) for each in (one, other))
        to_group = None
        if one.groups is not None and other.groups is not None:
            predicted = (observations(each, concepts) for each in (one.groups, other.groups))
            to_group = amplification(biased, *predicted)[1].as_dict(level)
        return {"to_concept": amplification(biased, after, before)[0].as_dict(level), "to_group": to_group}

    truth = Predictions(concepts, groups)
    difference = compare(models["model"], models["against"]) if "against" in models else None
    shown = {name: compare(one, truth) for name, one in models.items()}
    return {"images": len(groups), "models": shown, "difference": difference}
