"""Association of groups with concepts: smoothed pointwise mutual information, its interval and its test.

The observations are pairs, or composites of two pairs. Observations that share an image depend on each other, so
variances are cluster-robust. For composites they are dyadic: every two composites with an image in common may depend on
each other (Aronow, Samii and Assenova, "Cluster-robust variance estimation for dyadic data", Political Analysis 23,
2015). This is the variance that a bootstrap of images estimates, except that a bootstrap of composites by the product
of two images' frequencies overstates it up to threefold where partners are independent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from clipc.compose.arrays import Bools, Float64s, Int64s

ALPHA: Final = 0.5
"""The pseudo-count of the smoothed PMI."""

MIN_COUNT: Final = 5
"""Combinations with a smaller expected count are flagged as few, and groups or concepts on fewer images are not tested.
Dependent observations count as fewer: the expected count is divided by the design effect."""


_NEARLY_DISTINCT: Final = 1.05
"""Observations of single images count as independent if there are at most this many for each image."""


@dataclass(frozen=True, eq=False)
class Observations:
    """Observations of groups and concepts.

    Attributes:
        groups: Whether each observation shows each group, ``float64``, shape (m, G).
        concepts: Whether each observation shows each concept, ``float64``, shape (m, K).
        image: The number of the image on which each observation depends, ``int64``, shape (m,).
        other: The number of a second image on which it depends, ``int64``, shape (m,); None if there is none.
        images: The number of images; image numbers are smaller.
    """

    groups: Float64s
    concepts: Float64s
    image: Int64s
    other: Int64s | None
    images: int

    def __len__(self) -> int:
        return len(self.groups)

    @classmethod
    def of_pairs(cls, groups: Bools, concepts: Bools, image: Int64s, images: int) -> "Observations":
        """Observations of single pairs: what each pair says of itself."""
        return cls(groups.astype(np.float64), concepts.astype(np.float64), image, None, images)

    @classmethod
    def across(
        cls, groups: tuple[Bools, Bools], concepts: tuple[Bools, Bools], image: tuple[Int64s, Int64s], images: int
    ) -> "Observations":
        """Observations of composites: the groups of either half with the concepts of the other half.

        Args:
            groups: The groups of the first and of the second pairs, shape (composites, G) each.
            concepts: Their concepts, shape (composites, K) each.
            image: Their images, shape (composites,) each.
            images: The number of images.
        """
        return cls(
            np.concatenate(groups).astype(np.float64),
            np.concatenate(concepts[::-1]).astype(np.float64),
            np.concatenate(image),
            np.concatenate(image[::-1]),
            images,
        )


@dataclass(frozen=True, eq=False)
class Association:
    """The association of each group with each concept; arrays have the shape (G, K) unless stated.

    Attributes:
        total: The number of observations.
        group_counts: The observations of each group, shape (G,).
        concept_counts: The observations of each concept, shape (K,).
        observed: The observations of both.
        expected: The number expected under independence: ``group_counts * concept_counts / total``.
        pmi: The smoothed pointwise mutual information in bits, ``log2((observed + 1/2) / (expected + 1/2))`` (Norén,
            Hopstadius and Bate, "Shrinkage observed-to-expected ratios", Statistical Methods in Medical Research 22,
            2013): 0 under independence, 1 where both occur together twice as often, drawn to 0 for small counts.
        error: The standard error of ``pmi``.
        p: The two-sided p value of the test of independence; NaN where the counts are too small for it.
        few: Whether the counts are so small that the interval is rough.
        absent: Whether the group or the concept is on so few images, or both together are expected so rarely in all
            observations, that nothing can be said at all.
    """

    total: int
    group_counts: Float64s
    concept_counts: Float64s
    observed: Float64s
    expected: Float64s
    pmi: Float64s
    error: Float64s
    p: Float64s
    few: Bools
    absent: Bools

    def interval(self, level: float = 0.95) -> tuple[Float64s, Float64s]:
        """The ends of the intervals of ``pmi``."""
        return self.pmi - half_width(self.error, level), self.pmi + half_width(self.error, level)


def half_width(error: Float64s, level: float) -> Float64s:
    """Half the width of a normal interval with a standard error."""
    from scipy.stats import norm

    return float(norm.ppf((1 + level) / 2)) * error


def associate(observations: Observations) -> Association:
    """The association of all groups with all concepts.

    The test compares ``observed - expected`` with its standard error: the larger of the cluster-robust one and of the
    one of independent observations times the table's design effect, since the robust one is too small where counts are
    small. Small counts of independent observations are tested exactly (hypergeometric distribution, mid-p); others are
    not tested.
    """
    from scipy.stats import norm

    o = observations
    total = len(o)
    group_counts, concept_counts, observed = o.groups.sum(0), o.concepts.sum(0), o.groups.T @ o.concepts
    expected = np.outer(group_counts, concept_counts) / max(1, total)
    variances = [np.zeros_like(expected), np.zeros_like(expected)]
    for g, sums in _image_sums(o):
        for variance, values in zip(variances, sums, strict=True):
            variance[g] += (values**2).sum(axis=0)
    for g, sums in _dyad_sums(o):
        for variance, values in zip(variances, sums, strict=True):
            variance[g] -= (values**2).sum(axis=0)
    share, other = group_counts[:, None] / max(1, total), concept_counts[None] / max(1, total)
    independent = expected * (1 - share) * (1 - other)
    # How many dependent observations are worth one independent one, over the whole table.
    design = max(1.0, float(variances[0].sum() / max(independent.sum(), 1e-12)))
    floor = design * independent
    spread = np.sqrt(np.maximum(variances[0], floor))
    larger = np.maximum(observed, expected) + ALPHA
    error = np.sqrt(np.maximum(variances[1], floor / (larger * (expected + ALPHA)))) / np.log(2)
    images = np.minimum(_images_with(o, o.groups)[:, None], _images_with(o, o.concepts, second=True)[None])
    absent = (expected < MIN_COUNT) | (images < MIN_COUNT)
    few = absent | (expected * independent < MIN_COUNT * spread**2)
    z = np.divide(observed - expected, spread, out=np.zeros_like(spread), where=spread > 0)
    tails: Any = norm.sf(np.abs(z))
    p = np.where(few, np.nan, 2 * tails)
    if o.other is None and total <= _NEARLY_DISTINCT * len(np.unique(o.image)):
        absent = images < MIN_COUNT
        exact = few & ~absent
        p[exact] = _exact_p(total, group_counts, concept_counts, observed)[exact]
    pmi = np.log2((observed + ALPHA) / (expected + ALPHA))
    return Association(total, group_counts, concept_counts, observed, expected, pmi, error, p, few, absent)


def _exact_p(total: int, group_counts: Float64s, concept_counts: Float64s, observed: Float64s) -> Float64s:
    """Twice the smaller tail of the hypergeometric distribution, half of the observed value's probability included."""
    from scipy.stats import hypergeom

    table: Any = hypergeom(total, group_counts[:, None], concept_counts[None])
    half = 0.5 * table.pmf(observed)
    return np.minimum(1.0, 2 * np.minimum(table.cdf(observed) - half, table.sf(observed) + half))


def change(after: Observations, before: Observations) -> tuple[Float64s, Float64s]:
    """The change of the smoothed PMI between two sets of observations of the same images, and its standard error.

    Args:
        after: Observations, such as composites.
        before: Others with the same groups, concepts and numbers of images, such as the pairs.

    Returns:
        Two arrays of shape (G, K), in bits.
    """
    one, other = associate(after), associate(before)
    variance = np.zeros_like(one.pmi)
    for (g, (_, sums)), (_, (_, less)) in zip(_image_sums(after), _image_sums(before), strict=True):
        variance[g] += ((sums - less) ** 2).sum(axis=0)
    for observations in (after, before):
        for g, (_, sums) in _dyad_sums(observations):
            variance[g] -= (sums**2).sum(axis=0)
    return one.pmi - other.pmi, np.sqrt(np.maximum(variance, 0)) / np.log(2)


def _images_with(o: Observations, present: Float64s, second: bool = False) -> Float64s:
    """The number of images that show each group (or concept)."""
    image = o.other if second and o.other is not None else o.image
    return np.asarray([len(np.unique(image[column > 0])) for column in present.T], dtype=np.float64)


def _image_sums(o: Observations) -> Iterator[tuple[int, tuple[Float64s, Float64s]]]:
    """The sums of influences over the observations of each image, group by group; see :func:`_influence_sums`."""
    observation = np.arange(len(o))
    if o.other is None:
        return _influence_sums(o, o.image, observation, o.images)
    both = o.other != o.image
    clusters = np.concatenate([o.image, o.other[both]])
    return _influence_sums(o, clusters, np.concatenate([observation, observation[both]]), o.images)


def _dyad_sums(o: Observations) -> Iterator[tuple[int, tuple[Float64s, Float64s]]]:
    """The sums over the observations of each two images, which :func:`_image_sums` counts twice."""
    if o.other is None:
        return iter(())
    both = np.flatnonzero(o.other != o.image)
    low, high = np.minimum(o.image, o.other)[both], np.maximum(o.image, o.other)[both]
    _, dyad = np.unique(low * o.images + high, return_inverse=True)
    return _influence_sums(o, dyad, both, int(dyad.max(initial=-1)) + 1)


def _influence_sums(
    o: Observations, clusters: Int64s, members: Int64s, count: int
) -> Iterator[tuple[int, tuple[Float64s, Float64s]]]:
    """For each group the sums of influences over the members of each cluster.

    Args:
        o: The observations.
        clusters: The cluster of each member, shape (members,).
        members: The observation of each member, shape (members,).
        count: The number of clusters.

    Yields:
        The group, and the sums for ``observed - expected`` and for the natural logarithm of the smoothed ratio, shape
        (clusters, K) each.
    """
    from scipy.sparse import csr_array

    total = max(1, len(o))
    matrix: Any = csr_array((np.ones(len(members)), (clusters, members)), shape=(count, len(o)))
    sizes, group_sums, concept_sums = matrix @ np.ones(len(o)), matrix @ o.groups, matrix @ o.concepts
    group_share, concept_share = o.groups.mean(axis=0), o.concepts.mean(axis=0)
    for g in range(o.groups.shape[1]):
        column = o.groups[:, g]
        observed = column @ o.concepts
        expected = total * group_share[g] * concept_share
        joint = matrix @ (column[:, None] * o.concepts)
        # The influence of an observation on `expected`, and on `observed - expected`.
        product = group_share[g] * concept_share
        base = group_share[g] * concept_sums + group_sums[:, g, None] * concept_share - sizes[:, None] * product
        difference = joint - base - sizes[:, None] * (observed - expected) / total
        offset = observed / (observed + ALPHA) - expected / (expected + ALPHA)
        logarithm = joint / (observed + ALPHA) - base / (expected + ALPHA) - sizes[:, None] * offset / total
        yield g, (difference, logarithm)
