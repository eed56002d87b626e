"""Captions that say alike get vectors that point alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.compose.similarity import caption_vectors as module
from clipc.compose.similarity.caption_vectors import caption_vectors, terms

FACTORY = [
    ["歯車の左に深い傷がある。"],
    ["歯車に傷があります"],
    ["ネジの頭が欠けている"],
    ["ネジの欠け"],
    ["Gear with a deep scratch"],
    ["a scratch on the gear"],
]


def nearest_of(vectors: np.ndarray) -> list[int]:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -1)
    return scores.argmax(axis=1).tolist()


def test_words_and_runs_without_spaces_may_stand_side_by_side() -> None:
    assert nearest_of(caption_vectors(FACTORY)) == [1, 0, 3, 2, 5, 4]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("A red  car.", ["a", "red", "a red", "car", "red car"]),
        ("ＣＴ画像", ["ct", "画", "画像", "像"]),
        ("深い傷", ["深", "深い", "深い傷", "い傷", "傷"]),
        ("AB-12の傷", ["ab", "12", "ab 12", "の傷", "傷"]),
        ("の", ["の"]),
        ("ตัวอย่าง", None),
        ("한국어 문장", ["한국", "한국어", "국어", "문장"]),
        ("!?", []),
        ("", []),
    ],
)
def test_terms(text: str, result: list[str] | None) -> None:
    if result is None:
        assert len(list(terms(text))) > 3
    else:
        assert sorted(terms(text)) == sorted(result)


def test_captions_of_a_pair_do_not_run_into_each_other() -> None:
    once = caption_vectors([["a b", "c"], ["b c"], ["b c"], ["a b"], ["c"]])
    assert once[0] @ once[1] < once[1] @ once[2] - 0.1


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.text("ab 傷のカ한.", min_size=0, max_size=12), min_size=1, max_size=3), max_size=12),
    st.integers(1, 8),
)
def test_any_captions_give_unit_or_zero_rows(captions: list[list[str]], dims: int) -> None:
    vectors = caption_vectors(captions, dims)
    assert vectors.dtype == np.float32
    assert len(vectors) == len(captions)
    assert vectors.shape[1] <= dims
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))
    assert np.array_equal(vectors, caption_vectors(captions, dims))
    whole = ["\n".join(texts) for texts in captions]
    for i, a in enumerate(whole):
        for j in range(i):
            if a == whole[j]:
                assert np.array_equal(vectors[i], vectors[j])


def test_two_pairs_are_enough() -> None:
    vectors = caption_vectors([["a red plate"], ["a blue plate"]])
    assert vectors[0] @ vectors[1] > 0.5


def test_pairs_that_share_no_term_have_no_vector() -> None:
    vectors = caption_vectors([["red plate"], ["red cup"], ["zebra"], ["!"]])
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1, 1, 0, 0])


def test_a_sample_stands_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.Generator(np.random.Philox(0))
    topics = np.repeat(np.arange(20), 40)
    texts = [[" ".join(f"t{topic}w{i}" for i in generator.integers(0, 12, 6))] for topic in topics]
    monkeypatch.setattr(module, "_MAX_FIT_ROWS", 400)
    vectors = caption_vectors(texts, 32)
    assert vectors.shape == (800, 32)
    result = np.asarray(nearest_of(vectors))
    assert np.mean(topics[result] == topics) > 0.97
