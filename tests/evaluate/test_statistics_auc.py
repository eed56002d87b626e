"""The area under the curve is scikit-learn's, its variance DeLong's, and its interval covers what it should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from clipc.evaluate.statistics.auc import auc

few = st.lists(st.integers(-3, 3), min_size=1, max_size=20)


@given(few, few)
def test_the_area_is_that_of_scikit_learn(positive: list[int], negative: list[int]) -> None:
    expected = roc_auc_score([1] * len(positive) + [0] * len(negative), positive + negative)
    found = auc(positive, negative)
    assert found.mean == pytest.approx(expected)
    assert 0 <= found.low <= found.mean <= found.high <= 1


def test_the_variance_is_that_of_delong_and_of_single_clusters() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(1, 1, 30).round(1), rng.normal(0, 1, 40).round(1)
    kernel = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    variance = kernel.mean(1).var(ddof=1) / len(x) + kernel.mean(0).var(ddof=1) / len(y)
    assert auc(x, y).error == pytest.approx(np.sqrt(variance))
    clusters = np.arange(30), np.arange(30, 70)
    assert auc(x, y, clusters).error == pytest.approx(np.sqrt(variance))


def test_a_perfect_separation_is_not_certain() -> None:
    found = auc([2.0] * 10, [1.0] * 10)
    assert (found.mean, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 10))
    assert auc([1.0], [0.0]).ends == (0.0, 1.0)


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_the_interval_covers_the_area_for_items_in_clusters(shift: float) -> None:
    rng = np.random.default_rng(1)
    covered, naive, repeats, n = 0, 0, 400, 50
    truth = norm.cdf(shift / np.sqrt(2))
    for _ in range(repeats):
        shared = rng.normal(0, np.sqrt(0.5), n)
        x = shift + shared + rng.normal(0, np.sqrt(0.5), n)
        # Two negatives of each cluster, which share its level, so that they are no independent items.
        y = (shared[:, None] + rng.normal(0, np.sqrt(0.5), (n, 2))).reshape(-1)
        ids = np.arange(n), np.repeat(np.arange(n), 2)
        low, high = auc(x, y, ids).ends
        covered += low <= truth <= high
        low, high = auc(x, y).ends
        naive += low <= truth <= high
    assert 0.92 <= covered / repeats <= 0.985
    assert naive > covered


def test_items_must_be_there_and_finite() -> None:
    for positive, negative in (([], [1.0]), ([1.0], []), ([np.nan], [1.0])):
        with pytest.raises(ValueError, match="finite scores"):
            auc(positive, negative)
    with pytest.raises(ValueError, match="clusters are given"):
        auc([1.0], [0.0], ([0], [0, 1]))
