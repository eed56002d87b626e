"""Linear probes on made-up clusters."""

import time

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from clipc.evaluate.classes import Labelled
from clipc.evaluate.probe import DEFAULT_C, STRENGTHS, probe


def clusters(n: int, *, classes: int = 4, dim: int = 12, spread: float = 1.0, seed: int = 0) -> Labelled:
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    return Labelled((centres[labels] + spread * rng.normal(size=(n, dim))).astype(np.float32), labels)


def test_all_labels_agree_with_plain_fits_from_scratch() -> None:
    train, val, test = (clusters(n, spread=1.5, seed=seed) for n, seed in ((200, 0), (100, 1), (300, 2)))
    found = probe(train, val, test, shots=())
    scaler = StandardScaler().fit(train.features)

    def fitted(c: float) -> LogisticRegression:
        return LogisticRegression(C=c, max_iter=5000, tol=1e-6).fit(scaler.transform(train.features), train.labels)

    scores = {c: fitted(c).score(scaler.transform(val.features), val.labels) for c in STRENGTHS}
    chosen = max(STRENGTHS, key=lambda c: scores[c])
    assert found.strengths["all"] == [chosen]
    expected = fitted(chosen).score(scaler.transform(test.features), test.labels)
    assert found.hits["all"].mean() == pytest.approx(expected, abs=0.0067)
    assert found.notes == ()


def test_more_shots_help_and_equal_seeds_agree() -> None:
    train, val, test = (clusters(n, seed=seed) for n, seed in ((400, 0), (100, 1), (300, 2)))
    first, again, other = (
        {name: hits.mean() for name, hits in probe(train, val, test, draws=2, seed=seed).hits.items()}
        for seed in (0, 0, 1)
    )
    assert first == again != other
    assert list(first) == ["all", *(f"{k}-shot" for k in (1, 2, 4, 8, 16))]
    assert 0.25 < first["1-shot"] < first["4-shot"] < first["16-shot"] <= first["all"] + 0.03


def test_short_classes_are_told_and_impossible_shots_left_out() -> None:
    full = clusters(400)
    keep = np.concatenate([np.flatnonzero(full.labels == c)[: (3, 9, 9, 9)[c]] for c in range(4)])
    found = probe(Labelled(full.features[keep], full.labels[keep]), clusters(50, seed=1), clusters(50, seed=2))
    assert set(found.hits) == {"all", "1-shot", "2-shot", "4-shot", "8-shot"}
    assert "4-shot: 1 of 4 classes have fewer than 4 training images" in found.notes
    assert "16-shot: left out, no class has 16 training images" in found.notes


def test_draws_hold_k_a_class_and_nest(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[npt.NDArray[np.float32]] = []
    fit = LogisticRegression.fit
    train = clusters(200)

    def spy(self: LogisticRegression, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> LogisticRegression:
        seen.append(y)
        return fit(self, x, y)

    monkeypatch.setattr(LogisticRegression, "fit", spy)
    probe(train, None, train, shots=(1, 2), draws=3)
    assert [sorted(y.tolist()) for y in seen[1:4]] == [[0, 1, 2, 3]] * 3
    assert [sorted(y.tolist()) for y in seen[4:]] == [[0, 0, 1, 1, 2, 2, 3, 3]] * 3


def test_without_validation_c_is_not_chosen_and_that_is_told() -> None:
    found = probe(clusters(80), None, clusters(40, seed=2), shots=(1,), draws=2)
    assert found.strengths == {"all": [DEFAULT_C], "1-shot": [DEFAULT_C] * 2}
    assert "no labelled validation images" in found.notes[0]


def test_a_class_that_training_lacks_counts_as_wrong() -> None:
    train, test = clusters(200, classes=5), clusters(200, classes=5, spread=0.1, seed=1)
    known = train.labels < 4
    found = probe(Labelled(train.features[known], train.labels[known]), None, test, shots=())
    assert found.hits["all"][test.labels == 4].sum() == 0
    assert found.hits["all"][test.labels < 4].mean() > 0.9


def test_one_class_is_refused() -> None:
    one = Labelled(np.ones((3, 2), dtype=np.float32), np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="two classes"):
        probe(one, None, one)


def test_no_warning_reaches_the_user(recwarn: pytest.WarningsRecorder) -> None:
    probe(clusters(60), clusters(20, seed=1), clusters(20, seed=2), shots=(1,))
    assert not recwarn.list


def test_a_common_size_is_fast() -> None:
    parts = [clusters(n, classes=31, dim=512, spread=4, seed=s) for n, s in ((2000, 0), (300, 1), (300, 2))]
    began = time.process_time()
    probe(*parts, shots=(16,), draws=1)
    assert time.process_time() - began < 20
