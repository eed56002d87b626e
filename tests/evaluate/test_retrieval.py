"""Retrieval against one slow query at a time, and what must not change it."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from clipc.errors import UserError
from clipc.evaluate.retrieval import RECALL_KS, retrieval

from .fake import metrics_of

Case = tuple[Tensor, Tensor, npt.NDArray[np.int64], npt.NDArray[np.int64]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Features with many or few ties, captions shared or not."""
    images = draw(st.integers(1, 9))
    owner = np.array([*range(images), *draw(st.lists(st.integers(0, images - 1), max_size=20))])
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dim, coarse = draw(st.integers(2, 6)), draw(st.booleans())

    def features(n: int) -> Tensor:
        values = rng.integers(-1, 2, (n, dim)) + 2.0 * np.eye(dim)[0] if coarse else rng.normal(size=(n, dim))
        return normalize(torch.from_numpy(values).float(), dim=-1)

    caption_ids = rng.integers(0, draw(st.integers(1, 2 * len(owner))), len(owner))
    return features(images), features(int(caption_ids.max()) + 1)[torch.from_numpy(caption_ids)], owner, caption_ids


def slow_recall(scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], k: int, orders: int) -> float:
    """Sorts each query's candidates in many random orders of the tied, one query at a time."""
    rng = np.random.default_rng(0)
    hits = 0.0
    for row, good in zip(scores, right, strict=True):
        for _ in range(orders):
            shuffled = rng.permutation(len(row))
            first = shuffled[np.argsort(-np.round(row[shuffled], 5), kind="stable")][:k]
            hits += float(good[first].any()) / orders
    return hits / len(scores)


def slow_ranks(scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    positions: list[float] = []
    for row, good in zip(scores, right, strict=True):
        best = row[good].max()
        tied = abs(row - best) < 1e-6
        positions.append(1 + (row > best + 1e-6).sum() + (tied & ~good).sum() / ((tied & good).sum() + 1))
    return np.array(positions)


@given(cases(), st.booleans(), st.integers(1, 40))
@settings(deadline=None)
def test_ranks_agree_with_one_query_at_a_time(case: Case, shared: bool, chunk: int) -> None:
    image, text, owner, caption_ids = case
    right = np.arange(len(image))[:, None] == owner
    if shared:
        right = np.stack([np.isin(caption_ids, caption_ids[owner == i]) for i in range(len(image))])
    scores = image.double().numpy() @ text.double().numpy().T
    found = retrieval(image, text, owner, equal=caption_ids if shared else None, chunk=chunk)
    np.testing.assert_allclose(found.image_to_text.position, slow_ranks(scores, right), atol=1e-6)
    np.testing.assert_allclose(found.text_to_image.position, slow_ranks(scores.T, right.T), atol=1e-6)


def test_figures_agree_with_sorting_where_nothing_is_tied() -> None:
    rng = torch.Generator().manual_seed(3)
    owner = np.sort(np.r_[np.arange(60), np.random.default_rng(0).integers(0, 60, 200)])
    image = normalize(torch.randn(60, 16, generator=rng), dim=-1)
    text = normalize(torch.randn(260, 16, generator=rng) + 1.5 * image[torch.from_numpy(owner)], dim=-1)
    metrics = metrics_of(retrieval(image, text, owner))
    scores, right = image.double().numpy() @ text.double().numpy().T, np.arange(60)[:, None] == owner
    for k in RECALL_KS:
        expected_text = slow_recall(scores, right, k, 1)
        expected_image = slow_recall(scores.T, right.T, k, 1)
        assert metrics[f"image_to_text/recall@{k}"] == pytest.approx(expected_text, abs=1e-6)
        assert metrics[f"text_to_image/recall@{k}"] == pytest.approx(expected_image, abs=1e-6)
    assert metrics["image_to_text/median_rank"] == np.median(slow_ranks(scores, right))
    assert metrics["mean_recall"] == pytest.approx(np.mean([v for n, v in metrics.items() if "@" in n]), abs=1e-12)


def test_tied_figures_are_what_random_orders_give_on_average() -> None:
    rng = np.random.default_rng(1)
    owner = np.repeat(np.arange(12), 3)
    image = normalize(torch.from_numpy(rng.integers(0, 2, (12, 4)) + 0.01).float(), dim=-1)
    text = normalize(torch.from_numpy(rng.integers(0, 2, (36, 4)) + 0.01).float(), dim=-1)
    metrics = metrics_of(retrieval(image, text, owner))
    scores, right = image.double().numpy() @ text.double().numpy().T, np.arange(12)[:, None] == owner
    assert metrics["image_to_text/recall@5"] == pytest.approx(slow_recall(scores, right, 5, 1500), abs=0.015)
    assert metrics["text_to_image/recall@5"] == pytest.approx(slow_recall(scores.T, right.T, 5, 1500), abs=0.015)


@given(cases(), st.integers(1, 7), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_neither_chunks_nor_order_change_the_figures(case: Case, chunk: int, seed: int) -> None:
    image, text, owner, caption_ids = case
    rng = np.random.default_rng(seed)
    images, texts = rng.permutation(len(image)), rng.permutation(len(text))
    expected = metrics_of(retrieval(image, text, owner, equal=caption_ids))
    shuffled = retrieval(
        image[torch.from_numpy(images)],
        text[torch.from_numpy(texts)],
        np.argsort(images)[owner[texts]],
        equal=caption_ids[texts],
        chunk=chunk,
    )
    assert metrics_of(shuffled) == pytest.approx(expected, abs=1e-9)


@given(cases())
@settings(max_examples=30, deadline=None)
def test_each_mean_is_the_mean_of_its_items(case: Case) -> None:
    image, text, owner, _ = case
    found = retrieval(image, text, owner)
    items = found.items()
    metrics = metrics_of(found)
    assert {f"{way}/median_rank" for way in ("image_to_text", "text_to_image")} == metrics.keys() - items.keys()
    for name, values in items.items():
        assert values.mean() == pytest.approx(metrics[name], abs=1e-9)
        assert len(values) == (len(owner) if name.startswith("text_to_image") else len(image))


def test_a_model_that_says_nothing_is_at_chance() -> None:
    owner = np.repeat(np.arange(40), 5)
    same = torch.zeros(200, 8)
    same[:, 0] = 1
    found = retrieval(same[:40], same, owner)
    metrics = metrics_of(found)
    assert {name: metrics[name] for name in found.chance} == pytest.approx(found.chance)
    assert found.chance["text_to_image/recall@10"] == pytest.approx(0.25)
    assert metrics["text_to_image/median_rank"] == pytest.approx(20.5)


def test_chance_is_what_random_features_reach() -> None:
    rng = torch.Generator().manual_seed(0)
    owner = np.sort(np.r_[np.arange(50), np.random.default_rng(0).integers(0, 50, 150)])
    runs = [
        retrieval(*(normalize(torch.randn(n, 64, generator=rng), dim=-1) for n in (50, 200)), owner) for _ in range(60)
    ]
    for name, level in runs[0].chance.items():
        assert np.mean([metrics_of(run)[name] for run in runs]) == pytest.approx(level, abs=0.012)


def test_a_caption_shared_by_images_is_right_for_each() -> None:
    image = torch.eye(3)
    text = torch.eye(3)[[0, 0, 2]]  # Images 0 and 1 have the same caption, which lies at image 0.
    alone = metrics_of(retrieval(image, text, [0, 1, 2]))
    shared = metrics_of(retrieval(image, text, [0, 1, 2], equal=[7, 7, 9]))
    assert alone["text_to_image/recall@1"] == pytest.approx(2 / 3)
    assert shared["text_to_image/recall@1"] == pytest.approx(1)
    assert shared["mean_recall"] > alone["mean_recall"]


def test_equal_captions_are_tied_whatever_the_shape_of_the_product() -> None:
    rng = torch.Generator().manual_seed(0)
    image = normalize(torch.randn(37, 512, generator=rng), dim=-1)
    text = normalize(torch.randn(1, 512, generator=rng), dim=-1).expand(37, -1)
    for chunk in (1, 5, 37):
        assert (retrieval(image, text, np.arange(37), chunk=chunk).image_to_text.position == 19).all()


def test_broken_features_and_wrong_shapes_are_refused() -> None:
    good, owner = torch.eye(3), np.arange(3)
    bad = good.clone()
    bad[1, 1] = torch.nan
    with pytest.raises(UserError, match="NaN"):
        retrieval(bad, good, owner)
    with pytest.raises(ValueError, match="normalised"):
        retrieval(good, 2 * good, owner)
    with pytest.raises(ValueError, match="each image a caption"):
        retrieval(good, good, [0, 0, 1])
    with pytest.raises(ValueError, match="do not fit"):
        retrieval(good, good, [0, 1])


def test_the_precision_that_training_set_is_put_back() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        retrieval(torch.eye(2), torch.eye(2), [0, 1])
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
