"""Directional bias amplification: do composites carry an association further than the pairs do?

Wang and Russakovsky, "Directional bias amplification", ICML 2021 (arXiv 2102.12594).
"""

from dataclasses import dataclass

import numpy as np

from clipc.audit.bias.association import Observations, half_width
from clipc.compose.arrays import Bools, Float64s


@dataclass(frozen=True)
class Amplification:
    """Directional bias amplification in one direction, as a mean difference of conditional probabilities.

    Attributes:
        value: Positive where the associations of the pairs are amplified, in [-1, 1].
        error: Its standard error over images, cluster-robust as for associations.
    """

    value: float
    error: float

    def as_dict(self, level: float) -> dict[str, float]:
        """The ``value`` and the ends of its interval (``low``, ``high``)."""
        margin = float(half_width(np.asarray(self.error), level))
        return {"value": self.value, "low": self.value - margin, "high": self.value + margin}


def amplification(
    biased: Bools, after: Observations, before: Observations | None
) -> tuple[Amplification, Amplification]:
    """Directional bias amplification from groups to concepts (A -> T) and from concepts to groups (T -> A).

    ``mean over (a, t) of y_at * d_at - (1 - y_at) * d_at``, where ``y_at`` says whether a and t occur together more
    often in the pairs than if they were independent. From group to concept ``d_at`` is the difference of P(t | a)
    between two tables; from concept to group that of P(a | t). Combinations whose condition never occurs in one of the
    tables do not count.

    Args:
        biased: ``y``, shape (G, K); it is taken as given.
        after: The observations whose associations may be amplified.
        before: The observations that they are compared with, such as the pairs, of the same images; None for
            independence with the shares of ``after``.
    """
    return _direction(biased, after, before), _direction(biased.T, _turned(after), before and _turned(before))


def _turned(o: Observations) -> Observations:
    """The observations with groups and concepts exchanged."""
    return Observations(o.concepts, o.groups, o.image, o.other, o.images)


def _direction(biased: Bools, after: Observations, before: Observations | None) -> Amplification:
    """The amplification from groups to concepts."""
    tables = (after,) if before is None else (after, before)
    valid = np.logical_and.reduce([o.groups.any(axis=0) for o in tables])
    if not valid.any():
        return Amplification(0.0, 0.0)
    weights = np.where(valid[:, None], np.where(biased, 1.0, -1.0), 0.0) / (valid.sum() * biased.shape[1])
    value, influence = _conditional(after, weights)
    if before is None:
        share = after.concepts.mean(axis=0)
        influence = influence - (after.concepts - share) @ weights.sum(axis=0) / len(after)
        image_sums = _image_sums(after, influence)
        value -= float(weights.sum(axis=0) @ share)
    else:
        base, base_influence = _conditional(before, weights)
        image_sums = _image_sums(after, influence) - _image_sums(before, base_influence)
        value -= base
    variance = float((image_sums**2).sum() - _dyad_squares(after, influence))
    return Amplification(value, max(0.0, variance) ** 0.5)


def _conditional(o: Observations, weights: Float64s) -> tuple[float, Float64s]:
    """The weighted sum of P(concept | group), and the influence of each observation on it."""
    counts = np.maximum(o.groups.sum(axis=0), 1.0)
    sums = (weights * (o.groups.T @ o.concepts)).sum(axis=1) / counts
    influence = ((o.concepts @ weights.T - sums) * o.groups / counts).sum(axis=1)
    return float(sums.sum()), influence


def _image_sums(o: Observations, influence: Float64s) -> Float64s:
    sums = np.bincount(o.image, influence, o.images).astype(np.float64)
    if o.other is not None:
        both = o.other != o.image
        sums += np.bincount(o.other[both], influence[both], o.images)
    return sums


def _dyad_squares(o: Observations, influence: Float64s) -> float:
    """What the squares of the images' sums count twice: the squares of the sums over every two images."""
    if o.other is None:
        return 0.0
    both = o.other != o.image
    low, high = np.minimum(o.image, o.other)[both], np.maximum(o.image, o.other)[both]
    _, dyad = np.unique(low * o.images + high, return_inverse=True)
    return float((np.bincount(dyad, influence[both]) ** 2).sum())
