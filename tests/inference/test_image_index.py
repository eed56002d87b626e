"""Embeddings are computed once for each image, and searched exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.evaluate.embed import embed_images
from clipc.inference import image_index
from clipc.inference.image_index import ImageIndex
from clipc.inference.used_model import UsedModel


def test_embeddings_are_those_of_the_model(index: ImageIndex, used: UsedModel, tiny_catalog: Catalog) -> None:
    expected = embed_images(used.clip, tiny_catalog).numpy()
    assert np.allclose(index.features(), expected, atol=1e-6)
    assert np.allclose(index.features(np.array([7, 3])), expected[[7, 3]], atol=1e-6)


def test_only_new_images_are_encoded(
    used: UsedModel, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []

    def count(model: object, catalog: Catalog, **more: object) -> object:
        encoded.append(len(catalog))
        return embed_images(model, catalog, **more)  # pyright: ignore

    monkeypatch.setattr(image_index, "embed_images", count)
    some = ImageIndex.of(used, tiny_catalog.take(np.arange(40)), cache=tmp_path)
    distinct = len(np.unique(some.places))
    assert sum(encoded) == distinct
    whole = ImageIndex.of(used, tiny_catalog, cache=tmp_path)
    assert sum(encoded) == len(np.unique(whole.places))
    again = ImageIndex.of(used, tiny_catalog.take(np.arange(59, -1, -1)), cache=tmp_path)
    assert sum(encoded) == len(np.unique(whole.places))
    assert np.allclose(again.features(), whole.features()[::-1])
    ImageIndex.of(replace(used, fingerprint="another"), tiny_catalog, cache=tmp_path)
    assert sum(encoded) == 2 * len(np.unique(whole.places))


@given(st.integers(0, 2**16), st.integers(1, 12), st.booleans())
def test_the_search_is_exact(seed: int, count: int, others: bool) -> None:
    rng = np.random.Generator(np.random.Philox(seed))
    values = np.round(rng.standard_normal((50, 4)), 1).astype(np.float32)
    places = rng.permutation(50)[:30] if others else np.arange(30)
    places[5] = places[2]  # two pairs show one image
    index = ImageIndex(None, None, values, places.astype(np.int64))  # pyright: ignore
    among = rng.random(30) < 0.7 if seed % 2 else None
    queries = rng.standard_normal((2, 4)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_index, "_SCORES_AT_ONCE", 7)
        answers = index.nearest(queries, count, among)
    for query, answer in zip(queries, answers, strict=True):
        allowed = [row for row in range(30) if (among is None or among[row])]
        first = [row for row in allowed if places[row] not in places[[r for r in allowed if r < row]]]
        scores = values[places[first]] @ query
        order = np.lexsort((first, -scores))[:count]
        assert np.allclose(answer.scores, scores[order], atol=1e-5)
        assert len({*answer.rows.tolist()}) == len(answer.rows) == min(count, len(first))
        assert {*answer.rows.tolist()} <= {*first}


def test_nothing_among_nothing(index: ImageIndex) -> None:
    query = index.features(np.array([0]))
    assert len(index.nearest(query, 5, np.zeros(len(index), bool))[0].rows) == 0
