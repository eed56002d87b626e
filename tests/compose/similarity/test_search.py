"""The exact search is exact, FAISS comes near it, and each is taken where it should be."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.compose.similarity import search as module
from clipc.compose.similarity.search import approximate, exact, search_among
from clipc.errors import UserError


def clustered(n: int, d: int = 32) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(3))
    centres = generator.standard_normal((n // 20, d), dtype=np.float32)
    points = centres[generator.integers(0, len(centres), n)] + 0.5 * generator.standard_normal((n, d), dtype=np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 70), st.integers(0, 1000))
def test_exact_is_a_stable_sort_in_any_pieces(m: int, queries: int, count: int, seed: int) -> None:
    generator = np.random.Generator(np.random.Philox(seed))
    base = generator.integers(-2, 3, (m, 3)).astype(np.float32)
    asked = generator.integers(-2, 3, (queries, 3)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_VECTORS_AT_ONCE", 7)
        patch.setattr(module, "_QUERIES_AT_ONCE", 4)
        result = exact(base, asked, min(count, 7))
    expected = np.argsort(-(asked @ base.T), axis=1, kind="stable")[:, : min(count, 7)]
    assert np.array_equal(result, expected)
    assert np.array_equal(exact(base, asked, count), np.argsort(-(asked @ base.T), axis=1, kind="stable")[:, :count])


def test_faiss_finds_nine_in_ten() -> None:
    pytest.importorskip("faiss")
    base = clustered(6000)
    asked = base[::20]
    result, true = approximate(base)(asked, 10), exact(base, asked, 10)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(result.tolist(), true.tolist(), strict=True)]) >= 0.9
    assert np.array_equal(result, approximate(base)(asked, 10))


def test_many_vectors_go_to_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    base = clustered(400)
    monkeypatch.setattr(module, "EXACT_UP_TO", 399)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"more than 399 vectors need FAISS: .*pip install '.*\[faiss\]'"):
        search_among(base)
    monkeypatch.setattr(module, "EXACT_UP_TO", 400)
    assert search_among(base)(base[:3], 1)[:, 0].tolist() == [0, 1, 2]
