import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.audit.doctor_data import DistinctCaptions
from clipc.audit.false_negatives import false_negative_rate

Captions = list[list[int]]
PAIRS = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=3), min_size=2, max_size=8)


def table(pairs: Captions) -> DistinctCaptions:
    flat = [caption for captions in pairs for caption in captions]
    owners = np.repeat(np.arange(len(pairs)), [len(captions) for captions in pairs])
    texts = sorted(set(flat))
    return DistinctCaptions([str(t) for t in texts], np.searchsorted(texts, flat).astype(np.int64), owners)


def slow(pairs: Captions) -> float:
    n = len(pairs)
    chances = [
        sum(a == b for a in pairs[i] for b in pairs[j]) / (len(pairs[i]) * len(pairs[j]))
        for i in range(n)
        for j in range(n)
        if i != j
    ]
    return sum(chances) / len(chances)


@given(PAIRS)
def test_the_rate_is_the_mean_over_all_pairs_of_pairs(pairs: Captions) -> None:
    everyone = np.ones(len(pairs), dtype=np.bool_)
    assert false_negative_rate(table(pairs), everyone) == pytest.approx(slow(pairs), abs=1e-12)


def test_the_expected_number_in_a_batch_is_what_batches_hold() -> None:
    generator = np.random.Generator(np.random.Philox(1))
    pairs = [generator.integers(0, 30, size=generator.integers(1, 4)).tolist() for _ in range(200)]
    rate, batch = false_negative_rate(table(pairs), np.ones(200, dtype=np.bool_)), 32
    counts = []
    for _ in range(3000):
        drawn = [generator.choice(pairs[i]) for i in generator.choice(200, batch, replace=False)]
        equal = np.equal.outer(drawn, drawn)
        counts.append(equal.sum() - batch)
    assert np.mean(counts) == pytest.approx(batch * (batch - 1) * rate, rel=0.03)


def test_only_the_pairs_of_the_batch_count() -> None:
    captions = table([[1], [1], [2]])
    assert false_negative_rate(captions, np.array([True, True, True])) == pytest.approx(1 / 3)
    assert false_negative_rate(captions, np.array([True, False, True])) == 0
    assert false_negative_rate(captions, np.array([True, False, False])) == 0
