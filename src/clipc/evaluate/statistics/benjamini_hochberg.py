"""Control of the false discovery rate."""

from collections.abc import Sequence


def benjamini_hochberg(ps: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's adjusted p values, which control the false discovery rate.

    If all tests with an adjusted value of at most q are called discoveries, at most the share q of them is false on
    average. This holds for independent tests and for those with positive dependence (Benjamini and Hochberg 1995,
    Benjamini and Yekutieli 2001). The i-th smallest of m p values is multiplied by m / i; an adjusted value is at most
    the one after it.

    Args:
        ps: The p values, each in [0, 1]; None where there is none.

    Returns:
        The adjusted values in the same order. None stays None and does not count in m.
    """
    descending = sorted(((p, i) for i, p in enumerate(ps) if p is not None), reverse=True)
    adjusted: list[float | None] = [None] * len(ps)
    lowest = 1.0
    for below, (p, i) in enumerate(descending):
        lowest = min(lowest, p * len(descending) / (len(descending) - below))
        adjusted[i] = lowest
    return adjusted
