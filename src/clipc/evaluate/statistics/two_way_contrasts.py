"""Two-way intervals of many weighted sums of the same means, such as the points of a learning curve."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.evaluate.statistics.clusters import bootstrap_deviations, cluster_sums, effective_count

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TwoWayContrasts:
    """The means of K points over the same seeds and items, and the covariances that the two-way bootstrap gives them.

    The interval of a weighted sum of the means follows from three quadratic forms, so thousands of sums cost one
    bootstrap. For the weights +1 and -1 it is that of :func:`~clipc.evaluate.statistics.two_way.two_way`.

    Attributes:
        by_seed: The mean over items of each point for each seed, (K, seeds).
        cluster_covariance: The covariance of the means if only clusters of items are drawn, (K, K); None where the
            values are no means of items.
        joint_covariance: Its part that is the noise of single items under single seeds, (K, K); None likewise.
        effective_clusters: The effective number of clusters; infinity without items.
        clusters: The number of clusters; 0 without items.
    """

    by_seed: Floats
    cluster_covariance: Floats | None
    joint_covariance: Floats | None
    effective_clusters: float
    clusters: int

    @classmethod
    def from_items(
        cls, values: npt.ArrayLike, clusters: npt.ArrayLike | None = None, *, draws: int = 2000, seed: int = 0
    ) -> "TwoWayContrasts":
        """The covariances of points whose metric is a mean of items.

        Args:
            values: The values of the items, (K, seeds, items), for the same seeds and items in the same order.
            clusters: The cluster of each item, such as its image, (items,); by default each item is its own cluster.
            draws: The number of bootstrap samples of the clusters.
            seed: The seed of the bootstrap.

        Raises:
            ValueError: The shape is another one, or a value is not finite.
        """
        x = np.asarray(values, dtype=np.float64)
        if x.ndim != 3 or x.size == 0 or not np.isfinite(x).all():
            raise ValueError(f"finite values of points, seeds and items are needed, not an array of {x.shape}.")
        points, seeds, items = x.shape
        sums, sizes = cluster_sums(x.reshape(points * seeds, items), clusters)
        if len(sizes) < 2:
            unknown = np.full((points, points), math.inf)
            return cls(x.mean(axis=2), unknown, unknown, 1.0, len(sizes))
        deviations = bootstrap_deviations(sums, sizes, draws, seed).reshape(-1, points, seeds)
        centred = deviations - deviations.mean(axis=2, keepdims=True)
        within = np.einsum("dis,djs->ij", centred, centred) / (len(deviations) * max(1, seeds - 1))
        cluster = np.atleast_2d(np.cov(deviations.mean(axis=2).T))
        return cls(x.mean(axis=2), cluster, within / seeds, effective_count(sizes), len(sizes))

    @classmethod
    def from_values(cls, values: npt.ArrayLike) -> "TwoWayContrasts":
        """The covariances over seeds alone, for a metric that is no mean of items.

        Args:
            values: The value of each point for each seed, (K, seeds).

        Raises:
            ValueError: The shape is another one, or a value is not finite.
        """
        x = np.asarray(values, dtype=np.float64)
        if x.ndim != 2 or x.size == 0 or not np.isfinite(x).all():
            raise ValueError(f"finite values of points and seeds are needed, not an array of {x.shape}.")
        return cls(x, None, None, math.inf, 0)

    @property
    def means(self) -> Floats:
        """The mean of each point over seeds and items, (K,)."""
        return self.by_seed.mean(axis=1)

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return self.by_seed.shape[1]

    def intervals(self, weights: npt.ArrayLike, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
        """The weighted sums of the means with their intervals, as in :func:`~clipc.evaluate.statistics.two_way`.

        Args:
            weights: One row of K weights for each sum, (M, K).
            level: The confidence level.

        Returns:
            The sums, the lower and the upper ends, (M,) each; the ends are infinite for one seed or one cluster.
        """
        w = np.atleast_2d(np.asarray(weights, dtype=np.float64))
        sums = w @ self.means
        endless = np.full(len(w), math.inf)
        if self.seeds == 1 or self.clusters == 1:
            return sums, -endless, endless
        seed_variance = (w @ self.by_seed).var(axis=1, ddof=1) / self.seeds
        seed_margin = _margins(seed_variance, np.full(len(w), self.seeds - 1.0), level)
        if self.cluster_covariance is None or self.joint_covariance is None:
            return sums, sums - seed_margin, sums + seed_margin
        cluster_variance = _forms(w, self.cluster_covariance)
        joint_variance = _forms(w, self.joint_covariance)
        larger = np.maximum(seed_variance, cluster_variance)
        variance = np.maximum(seed_variance + cluster_variance - joint_variance, larger)
        freedom_of_clusters = self.effective_clusters - 1
        parts = seed_variance**2 / (self.seeds - 1) + cluster_variance**2 / freedom_of_clusters
        freedom = np.divide(variance**2, parts, out=np.full(len(w), 1.0), where=parts > 0)
        margin = np.maximum(_margins(variance, freedom, level), seed_margin)
        margin = np.maximum(margin, _margins(cluster_variance, np.full(len(w), freedom_of_clusters), level))
        # Differences that cancel out over seeds and over items leave the joint variance alone.
        alone = _margins(joint_variance, np.full(len(w), self.seeds - 1.0), level)
        margin = np.where(variance > 0, margin, alone)
        return sums, sums - margin, sums + margin

    def noise(self, weights: npt.ArrayLike) -> tuple[float, float]:
        """The noise of one weighted sum: over seeds, and that of the test set, which more seeds do not reduce.

        Args:
            weights: K weights.

        Returns:
            The standard deviation over seeds, and the standard error that the test set alone gives; the second is 0
            without items.
        """
        w = np.atleast_2d(np.asarray(weights, dtype=np.float64))
        sd = float((w @ self.by_seed).std(axis=1, ddof=1)[0]) if self.seeds > 1 else math.inf
        if self.cluster_covariance is None or self.joint_covariance is None:
            return sd, 0.0
        of_items = float((_forms(w, self.cluster_covariance) - _forms(w, self.joint_covariance))[0])
        return sd, math.sqrt(max(0.0, of_items))


def _forms(weights: Floats, covariance: Floats) -> Floats:
    """The variance of each weighted sum, (M,); rounding never makes one negative."""
    return np.maximum(np.einsum("mi,ij,mj->m", weights, covariance, weights), 0.0)


def _margins(variances: Floats, freedom: Floats, level: float) -> Floats:
    """Half the widths of Student's t intervals."""
    from scipy.stats import t

    quantiles: Any = t.ppf((1 + level) / 2, freedom)
    return np.where(variances > 0, np.asarray(quantiles) * np.sqrt(variances), 0.0)
