"""Temperature, thresholds and alarms hold what they promise."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.evaluate.choices import share
from clipc.inference.calibration import (
    Calibration,
    calibrate_abstention,
    calibrate_alarm,
    choose_threshold,
    confidence,
    fit_scale,
    margins,
)


def drawn(n: int, seed: int, classes: int = 3, scale: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and labels of a classifier that is calibrated at an inverse temperature."""
    rng = np.random.Generator(np.random.Philox(seed))
    cosines = 0.15 * rng.standard_normal((n, classes))
    chances = np.exp(scale * cosines)
    chances /= chances.sum(axis=1, keepdims=True)
    return cosines, (rng.random((n, 1)) > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)


def test_the_scale_of_a_calibrated_classifier_is_recovered() -> None:
    assert fit_scale(*drawn(4000, 0)) == pytest.approx(20.0, rel=0.1)
    assert fit_scale(*drawn(4000, 1, scale=5.0)) == pytest.approx(5.0, rel=0.15)


def test_a_few_right_images_do_not_make_it_certain_of_everything() -> None:
    assert fit_scale([[0.9, 0.1]] * 30, [0] * 30) <= 1000


def test_confidence_is_a_softmax() -> None:
    choice, probability = confidence([[0.0, np.log(3.0)], [0.0, 0.0]], 1.0)
    assert choice.tolist() == [1, 0]
    assert probability == pytest.approx([0.75, 0.5])


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.4, 0.5, 0.9]), st.booleans()), min_size=1, max_size=40))
def test_the_threshold_is_the_lowest_that_is_enough(rows: list[tuple[float, bool]]) -> None:
    p, hits = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    threshold = choose_threshold(p, hits, 0.8)
    enough = [value for value in {0.0, *p.tolist()} if hits[p >= value].mean() >= 0.8]
    if not enough:
        assert threshold == 2.0
    elif 0.0 in enough:
        assert threshold == 0.0
    else:
        assert threshold == min(enough)


def test_stated_accuracy_holds_on_new_images() -> None:
    covered, reached = 0, []
    for seed in range(40):
        cosines, labels = drawn(300, 100 + seed)
        stated = calibrate_abstention(cosines, labels, 0.8)
        scale = fit_scale(cosines, labels)
        fresh, right = drawn(4000, 900 + seed)
        choice, probability = confidence(fresh, scale)
        answered = probability >= stated.threshold
        truth = float((choice == right)[answered].mean())
        assert stated.accuracy is not None
        covered += stated.accuracy.low <= truth <= stated.accuracy.high
        reached.append(truth)
    assert covered >= 34  # 95% intervals; 36 of 40 with a chance of one in a thousand fewer than 34
    assert np.mean(reached) == pytest.approx(0.8, abs=0.02)


def test_nothing_is_answered_where_no_threshold_is_enough() -> None:
    rng = np.random.Generator(np.random.Philox(3))
    cosines = rng.standard_normal((60, 3))
    stated = calibrate_abstention(cosines, (cosines.argmax(axis=1) + 1) % 3, 0.9)
    assert stated.threshold == 2.0
    assert stated.accuracy is None
    assert stated.answered.mean == 0


def test_the_share_of_false_alarms_is_as_stated() -> None:
    shares, inside = [], 0
    for seed in range(60):
        cosines, labels = drawn(400, 2000 + seed)
        alarm = calibrate_alarm(cosines, labels, 1, "b", 0.05)
        fresh, right = drawn(4000, 5000 + seed)
        raised = margins(fresh, 1) > alarm.threshold
        shares.append(raised[right != 1].mean())
        inside += alarm.false_alarms.low <= shares[-1] <= alarm.false_alarms.high
        assert alarm.reached
        assert alarm.recall is not None
        assert alarm.recall.low <= raised[right == 1].mean() + 0.08
    assert np.mean(shares) <= 0.05 + 0.004
    assert inside >= 51


def test_too_few_images_cannot_promise_few_false_alarms() -> None:
    cosines, labels = drawn(60, 7)
    alarm = calibrate_alarm(cosines, labels, 1, "b", 0.01)
    assert not alarm.reached
    assert alarm.false_alarms.mean > 0.01
    assert (margins(cosines, 1)[labels != 1] > alarm.threshold).sum() == 0


def test_a_class_without_images_has_no_recall() -> None:
    cosines, labels = drawn(200, 8)
    assert calibrate_alarm(cosines, np.where(labels == 1, 0, labels), 1, "b", 0.05).recall is None


def test_it_is_ready_for_json() -> None:
    cosines, labels = drawn(200, 9)
    whole = Calibration(
        200,
        "here",
        share(labels == 0),
        ({"name": "a", "n": 1, "recall": None},),
        calibrate_abstention(cosines, labels, 0.8),
        (calibrate_alarm(cosines, labels, 1, "b", 0.05),),
    )
    text = json.dumps(whole.as_json(), allow_nan=False)
    assert json.loads(text)["abstention"]["accuracy"]["n"] > 0
