import numpy as np
import pytest

from clipc.evaluate.statistics.item_variance import item_variance


def test_what_items_bring_is_told_apart_from_what_seeds_average_out() -> None:
    rng = np.random.default_rng(0)
    seeds, items, found = 3, 200, []
    for trial in range(60):
        of_items = rng.normal(0, 0.3, items)
        both = rng.normal(0, 1.0, (seeds, items)) + of_items + rng.normal(0, 0.1, (seeds, 1))
        found.append(item_variance(both, np.zeros((seeds, items)), draws=400, seed=trial))
    # The noise of single items, eleven times as large, would make it 0.42 / 200.
    assert np.mean(found) == pytest.approx(0.09 / items, rel=0.35)


def test_items_of_a_cluster_stand_together() -> None:
    rng = np.random.default_rng(1)
    of_clusters = np.repeat(rng.normal(0, 1, 100), 5)
    values = np.stack([of_clusters, of_clusters])
    assert item_variance(values, np.zeros_like(values), np.repeat(np.arange(100), 5)) == pytest.approx(0.01, rel=0.4)


def test_what_has_no_items_variance() -> None:
    with pytest.raises(ValueError, match="two or more"):
        item_variance([[0.0, 1.0]], [[0.0, 1.0]])
    with pytest.raises(ValueError, match="one cluster"):
        item_variance(np.ones((2, 3)), np.zeros((2, 3)), [0, 0, 0])
