"""How many seeds a difference needs in order to be seen."""

import math
from bisect import bisect_left


def seeds_needed(sd: float, difference: float, *, power: float = 0.8, level: float = 0.05) -> int:
    """The fewest seeds with which a paired two-sided t test finds a true difference with a given chance.

    Exact, by the noncentral t distribution. A standard deviation from few seeds is itself uncertain (from three, by a
    factor of about two either way), and so is what follows from it.

    Args:
        sd: The standard deviation of paired differences over seeds, >= 0.
        difference: The true mean difference, of either sign, not 0.
        power: The chance of finding it, in (level, 1).
        level: The test's level: the chance of a false alarm.

    Returns:
        Pairs of runs, 2 or more.

    Raises:
        ValueError: An argument is out of its range.
    """
    if not 0 <= sd < math.inf:
        raise ValueError(f"a standard deviation is no {sd}.")
    if not 0 < level < power < 1:
        raise ValueError(f"power must lie between the level and 1, not power={power} with level={level}.")
    if difference == 0 or not math.isfinite(difference):
        raise ValueError(f"no number of seeds finds a difference of {difference}.")
    if sd == 0:
        return 2

    def enough(seeds: int) -> bool:
        return _power(abs(difference) / sd * math.sqrt(seeds), seeds, level) >= power

    high = 2
    while not enough(high):
        high *= 2
    # Half as many are too few, or 1, with which nothing can be tested.
    return bisect_left(range(high), True, lo=high // 2 + 1, key=enough)


def _power(shift: float, seeds: int, level: float) -> float:
    """The chance that the t test rejects when its statistic is shifted: by difference / sd * sqrt(seeds)."""
    from scipy.stats import nct, t

    critical = float(t.isf(level / 2, seeds - 1))
    # The far side by symmetry: nct.cdf(-critical, ..., shift) is not a number for some arguments.
    return float(nct.sf(critical, seeds - 1, shift) + nct.sf(critical, seeds - 1, -shift))
