"""Amplification, MaxSkew and group gaps on data with known answers, beside slow references and fairlearn."""

import numpy as np
import pytest

from clipc.audit.bias.amplification import amplification
from clipc.audit.bias.association import Observations
from clipc.audit.bias.groups import exclusive_groups, group_gaps
from clipc.audit.bias.max_skew import chance_max_skew, max_skew
from clipc.audit.bias.mentions import Mentions
from clipc.evaluate.measurement import Measurement


def observed(table: list[list[int]], repeat: int = 1) -> Observations:
    """Pairs of two exclusive groups with the given counts of two exclusive concepts, each on an image of its own."""
    cells = [(g, k) for g in range(2) for k in range(2) for _ in range(repeat * table[g][k])]
    groups, concepts = (np.eye(2, dtype=bool)[[cell[i] for cell in cells]] for i in range(2))
    return Observations.of_pairs(groups, concepts, np.arange(len(cells)), len(cells))


BIASED = np.array([[True, False], [False, True]])


def test_amplification_is_the_mean_difference_of_conditional_probabilities() -> None:
    before, after = observed([[30, 70], [10, 90]]), observed([[40, 60], [0, 100]])
    to_concept, to_group = amplification(BIASED, after, before)
    assert to_concept.value == pytest.approx(0.1)  # each P(t | a) moves by 0.1 in its direction
    assert to_group.value == pytest.approx((0.25 + 0.0625 + 0.25 + 0.0625) / 4)
    assert amplification(BIASED, before, after)[0].value == pytest.approx(-0.1)
    same = amplification(BIASED, before, before)
    assert [(one.value, round(one.error, 12)) for one in same] == [(0, 0), (0, 0)]


def test_amplification_over_independence_is_zero_for_independent_halves() -> None:
    to_concept, to_group = amplification(BIASED, observed([[20, 80], [20, 80]]), None)
    assert to_concept.value == pytest.approx(0)
    assert to_group.value == pytest.approx(0)
    assert amplification(BIASED, observed([[40, 60], [0, 100]]), None)[0].value == pytest.approx(0.2)


def test_intervals_of_amplification_cover_what_the_population_has() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        groups = rng.random(300) < 0.5
        concepts = rng.random(300) < np.where(groups, 0.6, 0.3)
        shown = (np.stack([x, ~x], axis=1) for x in (groups, concepts))
        to_concept, _ = amplification(BIASED, Observations.of_pairs(*shown, np.arange(300), 300), None)
        limits = to_concept.as_dict(0.95)
        inside += limits["low"] <= 0.15 <= limits["high"]  # P(t) is 0.45; each P(t | a) is 0.15 from it
    assert inside >= 182


def test_max_skew_is_zero_at_the_shares_and_ln_2_where_a_group_is_doubled() -> None:
    groups = np.array([0, 1] * 10)
    fair = -np.arange(20.0)[None]
    unfair = np.where(groups == 0, 1.0, 0.0)[None]
    assert max_skew(fair, groups, 10).tolist() == [0.0]
    assert max_skew(unfair, groups, 10)[0] == pytest.approx(np.log(2))


def test_max_skew_equals_the_definition() -> None:
    rng = np.random.default_rng(0)
    scores, groups = rng.normal(size=(5, 40)), rng.integers(0, 3, 40)
    for query, value in zip(scores, max_skew(scores, groups, 7), strict=True):
        first = sorted(range(40), key=lambda i: -query[i])[:7]
        ratios = [np.mean(groups[first] == g) / np.mean(groups == g) for g in range(3)]
        assert value == pytest.approx(np.log(max(ratios)))


def test_a_blind_model_is_at_the_chance_level_of_max_skew() -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 2, 300)
    above = 0
    for _ in range(40):
        scores = rng.normal(size=(10, 300)) + rng.normal(size=300)  # queries with similar results
        above += max_skew(scores, groups, 20).mean() > chance_max_skew(scores, groups, 20, draws=60)[1]
    assert above <= 7
    scores = rng.normal(size=(10, 300)) + groups
    assert max_skew(scores, groups, 20).mean() > chance_max_skew(scores, groups, 20)[1]


def test_an_image_counts_for_the_only_group_that_it_shows() -> None:
    shown = Mentions("gender", "words", ("female", "male"), np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=bool))
    assert exclusive_groups(shown).tolist() == [0, 1, -1, -1]


def test_a_planted_gap_has_its_size_and_equals_fairlearns() -> None:
    metrics = pytest.importorskip("fairlearn.metrics")
    rng = np.random.default_rng(2)
    groups = rng.integers(-1, 3, 1200)
    hits = (rng.random(1200) < np.where(groups == 2, 0.4, 0.7)).astype(float)
    owner = np.repeat(np.arange(1200), 2)
    measurements = {
        "a/top1": Measurement("a/top1", hits),
        "b/recall": Measurement("b/recall", np.repeat(hits, 2), owner),
        "rank": Measurement("rank", value=3.0, n=5),
    }
    one, other = group_gaps(measurements, groups, ("x", "y", "z"), 0.05)
    kept = groups >= 0
    frame = metrics.MetricFrame(
        metrics=lambda _, y: float(np.mean(y)), y_true=hits[kept], y_pred=hits[kept], sensitive_features=groups[kept]
    )
    assert one["gap"] == pytest.approx(frame.difference()) == pytest.approx(other["gap"])
    for row, group in zip(one["groups"], range(3), strict=True):
        assert row["value"] == pytest.approx(hits[groups == group].mean())
        assert row["images"] == (groups == group).sum()
    assert [row["found"] for row in one["groups"]][2]
    assert one["groups"][2]["low"] <= -0.3 <= one["groups"][2]["high"]
    # Two captions of one image are no more evidence than one.
    assert other["groups"][2]["low"] == pytest.approx(one["groups"][2]["low"])


def test_without_fairlearn_the_message_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from clipc.errors import UserError

    monkeypatch.setitem(sys.modules, "fairlearn", None)
    monkeypatch.setitem(sys.modules, "fairlearn.metrics", None)
    with pytest.raises(UserError, match=r"pip install '.*\[fairlearn\]'"):
        group_gaps({}, np.zeros(3, dtype=np.int64), ("x",), 0.05)
