"""How often chance alone would give differences over seeds as large as these."""

import math

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.interval import finite, without_spread

FEWEST = 8
"""Seeds from which signs are flipped: the smallest p is 2 / 2**n, 0.0625 with five seeds and 0.008 with eight."""
_EXACT = 20
_SAMPLED = 200_000


def t_p(differences: npt.ArrayLike) -> float | None:
    """The two-sided p value of Student's paired t test: that the mean difference is zero.

    It is below 0.05 exactly where the 95% interval of :func:`~clipc.evaluate.statistics.t_interval` leaves zero out.

    Args:
        differences: One a seed, (n,).

    Returns:
        In [0, 1]; None for one seed, or where all differences are equal: they are too coarse to show their spread.

    Raises:
        ValueError: There is no difference, or one is not finite.
    """
    from scipy.stats import t

    x = finite(differences)
    if len(x) == 1 or without_spread(x):
        return None
    statistic = float(x.mean()) / (float(x.std(ddof=1)) / math.sqrt(len(x)))
    return 2 * float(t.sf(abs(statistic), len(x) - 1))


def sign_flip_p(differences: npt.ArrayLike) -> float | None:
    """The two-sided p value of the sign-flip (permutation) test: that differences are symmetric around zero.

    Were the arms alike, each difference would be as likely with the other sign: p is the share of all 2**n choices of
    signs whose sum is at least as far from zero. Up to 20 seeds all choices are tried; above, 200,000 of them are drawn
    (always the same ones), and the observed one is counted among them so that p is never 0.

    Args:
        differences: One a seed, (n,).

    Returns:
        In (0, 1]; None below 8 seeds, where no outcome could be convincing.

    Raises:
        ValueError: There is no difference, or one is not finite.
    """
    x = finite(differences)
    if len(x) < FEWEST:
        return None
    # Sums that are equal on paper must count as equal, in whatever order they were added.
    observed = abs(float(x.sum())) - 1e-9 * float(np.abs(x).sum())
    if len(x) > _EXACT:
        rng = np.random.Generator(np.random.Philox(0))
        signs = 2.0 * rng.integers(2, size=(_SAMPLED, len(x)), dtype=np.int8) - 1
        return (1 + int((np.abs(signs @ x) >= observed).sum())) / (1 + _SAMPLED)
    sums = x[:1]  # The other sign of the first mirrors everything, and tells nothing new of two sides.
    for value in x[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return float((np.abs(sums) >= observed).mean())
