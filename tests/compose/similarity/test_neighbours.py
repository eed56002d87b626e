"""Neighbours: the nearest, in order, fairly shared out, look-alikes left out, made once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.compose.similarity import neighbours as module
from clipc.compose.similarity import search as search_module
from clipc.compose.similarity.caption_vectors import caption_vectors
from clipc.compose.similarity.lookalike import lookalikes
from clipc.compose.similarity.neighbours import nearest, neighbours

Test = Callable[[np.ndarray, np.ndarray], np.ndarray]


def slow(vectors: np.ndarray, k: int, excluded: Test | None) -> np.ndarray:
    """One row after the other, all others sorted."""
    n = len(vectors)
    result = np.full((n, k), -1)
    first = [min(i for i in range(n) if np.array_equal(vectors[i], v)) for v in vectors]
    for row in range(n):
        others = [other for other in range(n) if other != row and vectors[row].any() and vectors[other].any()]
        if excluded is not None:
            others = [o for o in others if not excluded(np.array([row]), np.array([o]))[0]]
        own = first[row]
        others.sort(key=lambda o: (first[o] != own, -(vectors[row] @ vectors[o]), first[o], (o - row) % n))
        result[row, : min(k, len(others))] = others[:k]
    return result


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 40), st.integers(1, 4), st.integers(1, 12), st.integers(0, 10_000), st.floats(0, 1))
def test_nearest_is_what_sorting_all_others_gives(n: int, d: int, k: int, seed: int, share: float) -> None:
    generator = np.random.Generator(np.random.Philox(seed))
    vectors = generator.integers(-2, 3, (n, d)).astype(np.float32)
    forbidden = generator.random((n, n)) < share

    def excluded(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return forbidden[rows, others]

    for test in (None, excluded):
        result = nearest(vectors, k, excluded=test)
        assert result.dtype == np.int32
        assert np.array_equal(result, slow(vectors, k, test))


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.Generator(np.random.Philox(1))
    vectors = generator.integers(-3, 4, (500, 3)).astype(np.float32)

    def excluded(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return (rows + others) % 3 > 0

    whole = nearest(vectors, 7, excluded=excluded)
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 11)
    assert np.array_equal(nearest(vectors, 7, excluded=excluded), whole)


def test_equal_rows_share_their_neighbours_evenly() -> None:
    vectors = np.ones((50, 2), np.float32)
    vectors[40:] = [1, 0]
    result = nearest(vectors, 5)
    assert np.bincount(result[:40].ravel()).tolist() == [5] * 40
    assert (result[40:, :] >= 40).all()


def test_nobody_looks_farther_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEARCH_LIMIT", 20)
    vectors = np.stack([np.cos(np.arange(100) / 100), np.sin(np.arange(100) / 100)], axis=1).astype(np.float32)

    def excluded(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return np.abs(rows - others) < 15

    result = nearest(vectors, 3, excluded=excluded)
    assert result[0].tolist() == [15, 16, 17]
    assert (result[50] == -1).all()


def test_faiss_gives_the_same_kind_of_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    generator = np.random.Generator(np.random.Philox(2))
    vectors = np.repeat(generator.standard_normal((1500, 8), dtype=np.float32), 2, axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def excluded(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return rows // 2 == others // 2

    true = nearest(vectors, 5, excluded=excluded)
    monkeypatch.setattr(search_module, "EXACT_UP_TO", 100)
    result = nearest(vectors, 5, excluded=excluded)
    rows = np.arange(3000)[:, None]
    assert (result >= 0).all()
    assert not (result // 2 == rows // 2).any()
    assert np.mean([len(set(a) & set(b)) / 5 for a, b in zip(result.tolist(), true.tolist(), strict=True)]) >= 0.9


def test_neighbours_are_made_once_for_the_same_vectors(
    tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = tiny_catalog.split("train")
    vectors = caption_vectors(train.column("captions"))
    result = neighbours(train, vectors, 3, tmp_path)
    alike = lookalikes(train)
    assert np.array_equal(result, nearest(vectors, 3, excluded=alike))
    monkeypatch.setattr(module, "nearest", lambda *_, **__: pytest.fail("made again"))
    assert np.array_equal(neighbours(train, vectors, 3, tmp_path), result)
    with pytest.raises(pytest.fail.Exception):
        neighbours(train, vectors, 4, tmp_path)
    with pytest.raises(pytest.fail.Exception):
        neighbours(train, -vectors, 3, tmp_path)


def test_neighbours_in_satellite_captions_show_the_same_scene(shared_data: Path) -> None:
    train = open_catalog(shared_data / "ucm-captions").split("train")
    result = neighbours(train, caption_vectors(train.column("captions")), 5)
    labels = np.asarray(train.column("label"))
    assert (result >= 0).all()
    assert np.mean(labels[result] == labels[:, None]) > 0.9
