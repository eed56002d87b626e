"""MaxSkew@k: how far the first k results of a search leave the groups' shares among all images.

Geyik, Ambler and Kenthapadi, "Fairness-aware ranking in search and recommendation systems", KDD 2019.
"""

import numpy as np
import numpy.typing as npt

from clipc.compose.arrays import Float64s, Int64s


def max_skew(scores: npt.NDArray[np.floating], groups: Int64s, k: int) -> Float64s:
    """MaxSkew@k of each query: the largest of the groups' ``ln(share among the first k / share among all)``.

    0 is the least possible value, reached where all groups have their share; ln 2 (0.69) says that one group is twice
    as frequent among the first k.

    Args:
        scores: The score of each image for each query, shape (queries, images); of equal scores the first image counts.
        groups: The group of each image, from 0, ``int64``, shape (images,).
        k: The number of first results, from 1 to the number of images.

    Returns:
        ``float64``, shape (queries,).
    """
    return _skew_of(np.argsort(-scores, axis=1, kind="stable")[:, :k], groups)


def chance_max_skew(
    scores: npt.NDArray[np.floating], groups: Int64s, k: int, draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """The mean MaxSkew@k over queries for a model that is blind to the groups: its expectation and 95th percentile.

    MaxSkew is a maximum, so it is positive even then. The groups are permuted among the images, so that queries with
    similar results stay similar.

    Args:
        scores: As for :func:`max_skew`.
        groups: As for :func:`max_skew`.
        k: The number of first results.
        draws: The number of permutations.
        seed: The seed of the permutations.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    means = [float(_skew_of(first, rng.permutation(groups)).mean()) for _ in range(draws)]
    return float(np.mean(means)), float(np.quantile(means, 0.95))


def _skew_of(first: npt.NDArray[np.intp], groups: Int64s) -> Float64s:
    overall = np.bincount(groups) / len(groups)
    present = np.flatnonzero(overall)
    shares = np.stack([(groups[first] == group).mean(axis=1) for group in present], axis=1)
    with np.errstate(divide="ignore"):
        return np.log(shares / overall[present]).max(axis=1)
