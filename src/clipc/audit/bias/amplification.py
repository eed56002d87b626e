"""Directional bias amplification: do composites, or predictions, carry an association further than the pairs do?

Wang and Russakovsky, "Directional bias amplification", ICML 2021 (arXiv 2102.12594).
"""

from dataclasses import dataclass

import numpy as np

from clipc.compose.arrays import Bools, Float64s


@dataclass(frozen=True)
class Amplification:
    """Directional bias amplification, as differences of conditional probabilities; positive values amplify.

    Attributes:
        to_concept: From the group to the concept, A -> T: how much more often a group comes with the concepts that it
            comes with in the pairs.
        to_group: From the concept to the group, T -> A.
    """

    to_concept: float
    to_group: float


def amplification(biased: Bools, after: tuple[Float64s, Float64s], before: tuple[Float64s, Float64s]) -> Amplification:
    """Directional bias amplification of one table over another.

    ``mean over (a, t) of y_at * d_at - (1 - y_at) * d_at``, where ``y_at`` says whether a and t occur together more
    often in the pairs than if they were independent. From group to concept (A -> T), ``d_at`` is the difference of
    P(t | a); from concept to group (T -> A) that of P(a | t). Combinations whose condition never occurs in one of the
    tables do not count.

    Args:
        biased: ``y``, shape (G, K).
        after: P(concept | group) and P(group | concept) of the composites or predictions, NaN where the condition never
            occurs; shape (G, K) each.
        before: The same of the pairs.
    """
    sign = np.where(biased, 1.0, -1.0)
    values: list[float] = []
    for one, other in zip(after, before, strict=True):
        difference = sign * (one - other)
        valid = np.isfinite(difference)
        values.append(float(difference[valid].mean()) if valid.any() else 0.0)
    return Amplification(*values)


def conditionals(joint: Float64s, group_counts: Float64s, concept_counts: Float64s) -> tuple[Float64s, Float64s]:
    """P(concept | group) and P(group | concept) from counts; NaN where the condition never occurs.

    Args:
        joint: The counts of both, shape (G, K).
        group_counts: Shape (G,).
        concept_counts: Shape (K,).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return joint / group_counts[:, None], joint / concept_counts[None]
