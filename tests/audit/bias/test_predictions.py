"""Amplification of models' predictions: known answers, and the paper's definition computed slowly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.audit.bias.mentions import Mentions, query_words
from clipc.audit.bias.predictions import MIN_IMAGES, Predictions, highest, prediction_amplification
from clipc.compose.arrays import Bools

BIASED = np.array([[True, False], [False, True]])


def one_hot(numbers: np.ndarray, count: int = 2) -> Bools:
    return np.eye(count, dtype=bool)[numbers]


def slow(biased: Bools, condition: Bools, truth: Bools, predicted: Bools) -> float:
    """The mean over all combinations of the signed difference of conditional probabilities; the first is given."""
    values: list[float] = []
    for a in range(condition.shape[1]):
        given_a = condition[:, a]
        if given_a.any():
            for t in range(truth.shape[1]):
                delta = predicted[given_a, t].mean() - truth[given_a, t].mean()
                values.append(delta if biased[a, t] else -delta)
    return float(np.mean(values))


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 5))
def test_values_equal_the_papers_definition(seed: int, groups: int, concepts: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    shown, predicted_groups = (one_hot(rng.integers(0, groups, n), groups) for _ in range(2))
    truth = rng.random((n, concepts)) < 0.4
    truth[np.arange(n), rng.integers(0, concepts, n)] = True
    predicted = highest(rng.normal(size=(concepts, n)), truth.sum(axis=1))
    biased = rng.random((groups, concepts)) < 0.5
    models = {"model": Predictions(predicted, predicted_groups)}
    table = prediction_amplification(biased, shown, truth, np.arange(n), models, 0.95)
    if table is None:
        assert shown.any(axis=0).sum() < 2 or truth.any(axis=0).sum() < 2
        return
    found = table["models"]["model"]
    assert found["to_concept"]["value"] == pytest.approx(slow(biased, shown, truth, predicted))
    # Concepts that no image shows condition nothing.
    assert found["to_group"]["value"] == pytest.approx(slow(biased.T, truth, shown, predicted_groups))
    assert table["difference"] is None


def test_a_model_that_answers_by_the_group_amplifies_and_a_perfect_one_does_not() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 4000)
    concept = np.where(rng.random(4000) < 0.7, group, 1 - group)
    groups, concepts = one_hot(group), one_hot(concept)
    stereotype = Predictions(groups, concepts)  # the concept is that of the group, and the group that of the concept
    perfect = Predictions(concepts, groups)
    models = {"model": stereotype, "against": perfect}
    table = prediction_amplification(BIASED, groups, concepts, np.arange(4000), models, 0.95)
    assert table is not None
    for way in ("to_concept", "to_group"):
        found = table["models"]["model"][way]
        assert found["value"] == pytest.approx(0.3, abs=0.02)  # P(t | a) rises from 0.7 to 1
        assert found["low"] <= 0.3 <= found["high"]
        assert table["models"]["against"][way] == {"value": 0, "low": 0, "high": 0}
        assert table["difference"][way] == found


def test_intervals_cover_what_the_population_has() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        group = rng.integers(0, 2, 300)
        concept = np.where(rng.random(300) < 0.6, group, 1 - group)
        predicted = np.where(rng.random(300) < 0.25, group, concept)  # a quarter of the answers follow the group
        models = {"model": Predictions(one_hot(predicted), None)}
        table = prediction_amplification(BIASED, one_hot(group), one_hot(concept), np.arange(300), models, 0.95)
        assert table is not None
        found = table["models"]["model"]
        inside += found["to_concept"]["low"] <= 0.25 * 0.4 <= found["to_concept"]["high"]
        assert found["to_group"] is None
    assert inside >= 182


def test_as_many_answers_as_facts_and_the_best_ones() -> None:
    scores = np.array([[0.1, 0.9], [0.5, 0.9], [0.3, 0.1]])
    assert highest(scores, np.array([2, 1])).tolist() == [[False, True, True], [True, False, False]]


def test_too_few_images_give_no_table() -> None:
    groups = one_hot(np.arange(MIN_IMAGES - 1) % 2)
    models = {"model": Predictions(groups, None)}
    assert prediction_amplification(BIASED, groups, groups, np.arange(len(groups)), models, 0.95) is None


def test_groups_are_asked_for_in_the_language() -> None:
    shown = Mentions("gender", "words", ("female", "own"), np.zeros((1, 2), dtype=bool))
    lists = {"gender": {"female": ("woman", "女性"), "own": ("an_own",)}}
    assert query_words(shown, lists, "en") == ["woman", "an own"]
    assert query_words(shown, lists, "ja") == ["女性", "own"]
    column = Mentions("gender", "column", ("A_1",), np.zeros((1, 1), dtype=bool))
    assert query_words(column, lists, "en") == ["A 1"]
