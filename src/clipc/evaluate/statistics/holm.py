"""Correction of p values for multiple tests."""

from collections.abc import Sequence


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p values, which control the family-wise error rate.

    The smallest of m p values is multiplied by m, the next by m - 1, and so on. An adjusted value is at least the one
    before it and at most 1. The tests may depend on each other in any way (Holm 1979).

    Args:
        ps: The p values, each in [0, 1]; None where there is none.

    Returns:
        The adjusted values in the same order. None stays None and does not count in m.
    """
    ascending = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, i) in enumerate(ascending):
        highest = max(highest, min(1.0, (len(ascending) - rank) * p))
        adjusted[i] = highest
    return adjusted
