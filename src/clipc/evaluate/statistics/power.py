"""How many seeds a difference needs in order to be seen, and which difference so many seeds can show."""

import math


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
    _check(sd, power, level)
    if difference == 0 or not math.isfinite(difference):
        raise ValueError(f"no number of seeds finds a difference of {difference}.")
    if sd == 0:
        return 2

    def enough(seeds: int) -> bool:
        return _power(abs(difference) / sd * math.sqrt(seeds), seeds, level) >= power

    high = 2
    while not enough(high):
        high *= 2
    low = high // 2  # Too few, or 1, with which nothing can be tested.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def detectable(sd: float, seeds: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """The smallest true difference that a paired two-sided t test finds with a given chance.

    Args:
        sd: The standard deviation of paired differences over seeds, >= 0.
        seeds: Pairs of runs, >= 1.
        power: The chance of finding it, in (level, 1).
        level: The test's level: the chance of a false alarm.

    Returns:
        The difference, in the unit of ``sd``; infinity with one seed.

    Raises:
        ValueError: An argument is out of its range.
    """
    _check(sd, power, level)
    if seeds < 1:
        raise ValueError(f"there are no {seeds} seeds.")
    if seeds == 1:
        return math.inf

    low, high = 0.0, 1.0
    while _power(high, seeds, level) < power:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if _power(middle, seeds, level) >= power else (middle, high)
    return high * sd / math.sqrt(seeds)


def _power(shift: float, seeds: int, level: float) -> float:
    """The chance that the t test rejects when its statistic is shifted: by difference / sd * sqrt(seeds)."""
    from scipy.stats import nct, t

    critical = float(t.isf(level / 2, seeds - 1))
    # The far side by symmetry: nct.cdf(-critical, ..., shift) is not a number for some arguments.
    return float(nct.sf(critical, seeds - 1, shift) + nct.sf(critical, seeds - 1, -shift))


def _check(sd: float, power: float, level: float) -> None:
    if not 0 <= sd < math.inf:
        raise ValueError(f"a standard deviation is no {sd}.")
    if not 0 < level < power < 1:
        raise ValueError(f"power must lie between the level and 1, not power={power} with level={level}.")
