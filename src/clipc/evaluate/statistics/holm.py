"""Several questions asked at once."""

from collections.abc import Sequence


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p values: the chance of even one false alarm among all stays below the level.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none may be smaller than the one before it, nor
    larger than 1. Nothing is assumed of how the questions hang together (Holm 1979).

    Args:
        ps: The p values, each in [0, 1]; None where there is none.

    Returns:
        The adjusted values in the same order. None stays None and does not count among the m.
    """
    known = sorted((p, at) for at, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, at) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[at] = highest
    return adjusted
