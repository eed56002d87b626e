"""Recall of rare classes at a fixed rate of false alarms: against scikit-learn's ROC curve, and at its edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from clipc.evaluate.rare_classes import rare_class_hits, rare_classes


def test_rare_classes_have_less_than_half_of_the_largest() -> None:
    assert rare_classes([0] * 10 + [1] * 5 + [2] * 4 + [4], 2) == [2, 4]
    assert rare_classes([0, 0, 1, 1], 2) == []


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.05, 0.2]))
def test_it_is_the_recall_of_the_roc_curve(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [60, 30, 8])
    scores = rng.normal(size=(98, 3)) + 1.5 * np.eye(3)[labels]
    hits, owners = rare_class_hits(scores, labels, [2], rate)
    margin = scores[:, 2] - scores[:, :2].max(axis=1)
    false_alarms, recall, _ = roc_curve(labels == 2, margin, drop_intermediate=False)
    assert hits.mean() == pytest.approx(recall[false_alarms <= rate].max())
    assert set(owners) == {2}


def test_no_better_than_chance_finds_the_share_of_false_alarms() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [4000, 1000])
    hits, _ = rare_class_hits(rng.normal(size=(5000, 2)), labels, [1], 0.05)
    assert hits.mean() == pytest.approx(0.05, abs=0.02)


def test_equal_scores_find_nothing_and_no_rare_class_gives_nothing() -> None:
    labels = np.repeat([0, 1], [50, 5])
    assert rare_class_hits(np.zeros((55, 2)), labels, [1])[0].sum() == 0
    assert len(rare_class_hits(np.zeros((55, 2)), labels, [])[0]) == 0
