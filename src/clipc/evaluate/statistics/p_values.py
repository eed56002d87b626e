"""P values of paired differences over seeds: Student's t test and the sign-flip test."""

import math

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.interval import check_finite, without_spread

MIN_SEEDS = 8
"""The fewest seeds for the sign-flip test. Its smallest p value is 2 / 2**n: 0.0625 for 5 seeds, 0.008 for 8."""
_MAX_EXACT_SEEDS = 20
_SAMPLES = 200_000


def t_p(differences: npt.ArrayLike) -> float | None:
    """The two-sided p value of Student's paired t test of a zero mean difference.

    It is below 0.05 exactly if the 95% interval of :func:`~clipc.evaluate.statistics.t_interval` excludes zero.

    Args:
        differences: One difference per seed, (n,).

    Returns:
        The p value, in [0, 1]. None for one seed, or if all differences are equal, too coarse to show a spread.

    Raises:
        ValueError: There is no difference, or one is not finite.
    """
    from scipy.stats import t

    x = check_finite(differences)
    if len(x) == 1 or without_spread(x):
        return None
    statistic = float(x.mean()) / (float(x.std(ddof=1)) / math.sqrt(len(x)))
    return 2 * float(t.sf(abs(statistic), len(x) - 1))


def sign_flip_p(differences: npt.ArrayLike) -> float | None:
    """The two-sided p value of the sign-flip (permutation) test of differences symmetric around zero.

    If the arms did not differ, each difference would be as likely with the other sign. So p is the share of the 2**n
    choices of signs for which the sum is at least as far from zero. Up to 20 seeds all choices are tried. For more
    seeds 200,000 fixed random choices are tried; the observed one is added, so that p is never 0.

    Args:
        differences: One difference per seed, (n,).

    Returns:
        The p value, in (0, 1]; None below 8 seeds, for which no p value can be small.

    Raises:
        ValueError: There is no difference, or one is not finite.
    """
    x = check_finite(differences)
    if len(x) < MIN_SEEDS:
        return None
    # The tolerance makes sums equal that differ only by the rounding of additions in another order.
    observed = abs(float(x.sum())) - 1e-9 * float(np.abs(x).sum())
    if len(x) > _MAX_EXACT_SEEDS:
        rng = np.random.Generator(np.random.Philox(0))
        signs = 2.0 * rng.integers(2, size=(_SAMPLES, len(x)), dtype=np.int8) - 1
        return (1 + int((np.abs(signs @ x) >= observed).sum())) / (1 + _SAMPLES)
    sums = x[:1]  # The other sign of the first difference would only mirror all sums.
    for value in x[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return float((np.abs(sums) >= observed).mean())
