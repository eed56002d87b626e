"""The difference of two shares of hits on the same items."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.interval import Interval


class PairedHits(NamedTuple):
    """The difference of two models' hits on the same items.

    Attributes:
        difference: The share of hits of the one minus that of the other, with its interval.
        gained: The number of items that only the one hits.
        lost: The number of items that only the other hits.
        p: The two-sided p value of McNemar's exact test, in (0, 1].
    """

    difference: Interval
    gained: int
    lost: int
    p: float


def paired_hits(treated: npt.ArrayLike, control: npt.ArrayLike, level: float = 0.95) -> PairedHits:
    """Compares two models' hits on the same independent items.

    The interval is Agresti and Min's (Statistics in Medicine 24, 2005): Wald's for pairs, after half an item is added
    to each of the four combinations of hits and misses. Unlike a bootstrap's it has a positive width even if all items
    that differ point the same way, and covers about what it says from ten items on. The p value is that of McNemar's
    exact test, a sign test of the items that differ.

    Args:
        treated: The hits of the one model, 0 or 1, shape (n,), n >= 1.
        control: The hits of the other, for the same items in the same order.
        level: The confidence level.

    Raises:
        ValueError: There is no item, shapes differ, or a value is neither 0 nor 1.
    """
    from scipy.stats import binomtest, norm

    a, b = np.asarray(treated, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or not len(a) or not np.isin([*a, *b], (0, 1)).all():
        raise ValueError(f"hits are zeros and ones for the same items: {a.shape} and {b.shape}.")
    n, gained, lost = len(a), int((a > b).sum()), int((b > a).sum())
    mean, m = (gained - lost) / n, n + 2
    up, down = (gained + 0.5) / m, (lost + 0.5) / m
    margin = float(norm.ppf((1 + level) / 2)) * math.sqrt((up + down - (up - down) ** 2) / m)
    low, high = max(-1.0, up - down - margin), min(1.0, up - down + margin)
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return PairedHits(Interval(mean, min(low, mean), max(high, mean), n, level), gained, lost, p)
