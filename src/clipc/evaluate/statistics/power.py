"""The number of seeds that a test needs to detect a difference."""

import math
from bisect import bisect_left
from statistics import NormalDist
from typing import Final

_MANY: Final = 1_000_000


def seeds_needed(sd: float, difference: float, *, power: float = 0.8, level: float = 0.05) -> int:
    """The smallest number of seeds for which a paired two-sided t test detects a difference with a given power.

    The power is exact, by the noncentral t distribution; above a million seeds it is that of a normal one. A standard
    deviation estimated from few seeds is uncertain (from three seeds by a factor of about two either way), and so is
    the result.

    Args:
        sd: The standard deviation of paired differences over seeds, >= 0.
        difference: The true mean difference, of either sign, not 0.
        power: The probability of detecting the difference, in (level, 1).
        level: The level of the test: the probability of a false positive.

    Returns:
        The number of seeds, each for one pair of runs; 2 or more.

    Raises:
        ValueError: An argument is out of its range.
    """
    if not 0 <= sd < math.inf:
        raise ValueError(f"a standard deviation cannot be {sd}.")
    if not 0 < level < power < 1:
        raise ValueError(f"power must lie between the level and 1, not power={power} with level={level}.")
    if difference == 0 or not math.isfinite(difference):
        raise ValueError(f"no number of seeds detects a difference of {difference}.")
    if sd == 0:
        return 2

    def enough(seeds: int) -> bool:
        return _power(abs(difference) / sd * math.sqrt(seeds), seeds, level) >= power

    quantiles = NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(power)
    if (normal := (quantiles * sd / difference) ** 2) > _MANY:
        return math.ceil(normal)
    high = 2
    while not enough(high):
        high *= 2
    # high // 2 seeds are not enough, or are one seed, which allows no test.
    return bisect_left(range(high), True, lo=high // 2 + 1, key=enough)


def _power(shift: float, seeds: int, level: float) -> float:
    """The power of the t test for a noncentrality ``shift``, which is difference / sd * sqrt(seeds)."""
    from scipy.stats import nct, t

    critical = float(t.isf(level / 2, seeds - 1))
    # The lower tail is computed by symmetry, because nct.cdf(-critical, ..., shift) is NaN for some arguments.
    power = float(nct.sf(critical, seeds - 1, shift) + nct.sf(critical, seeds - 1, -shift))
    # Far out it is not a number either; there the normal distribution is as good.
    return NormalDist().cdf(shift - critical) if math.isnan(power) else power
