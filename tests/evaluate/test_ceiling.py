"""The ceiling of recall against every model that cannot order equal captions, and what few captions are."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, permutations, product

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from clipc.evaluate.ceiling import few_captions_facts, recall_ceilings
from clipc.evaluate.retrieval import retrieval
from compose.pairs import catalog_of

from .fake import metrics_of

Ints = npt.NDArray[np.int64]


@st.composite
def tiny_cases(draw: st.DrawFn) -> tuple[Ints, Ints]:
    """The image and the id of up to five captions of up to three images."""
    images = draw(st.integers(1, 3))
    owner = [*range(images), *draw(st.lists(st.integers(0, images - 1), max_size=5 - images))]
    return np.array(owner), np.array(draw(st.lists(st.integers(0, 2), min_size=len(owner), max_size=len(owner))))


def rankings(scores: Sequence[int]) -> Iterator[list[int]]:
    """All orders of candidates with these scores, the ties in every order."""
    for order in permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in pairwise(order)):
            yield list(order)


def expected_hits(scores: Sequence[int], right: npt.NDArray[np.bool_], k: int) -> float:
    """The share of right answers among the queries of ``right`` (queries, candidates), over all orders of ties."""
    return float(np.mean([right[:, order[:k]].any(axis=1).mean() for order in rankings(scores)]))


@given(tiny_cases(), st.integers(1, 3))
@settings(max_examples=40)
def test_no_model_that_gives_equal_captions_one_score_does_better(case: tuple[Ints, Ints], k: int) -> None:
    owner, caption = case
    found = recall_ceilings(owner, caption, (k,))
    images, ids = owner.max() + 1, np.unique(caption, return_inverse=True)[1]
    best = []
    for image in range(images):
        right = (owner == image)[None]
        models = product(range(ids.max() + 1), repeat=ids.max() + 1)  # every weak order of the distinct captions
        best.append(max(expected_hits(np.array(model)[ids].tolist(), right, k) for model in models))
    assert found[f"image_to_text/recall@{k}"] == pytest.approx(np.mean(best))
    hits = 0.0
    for text in range(ids.max() + 1):
        right = owner[ids == text][:, None] == np.arange(images)
        models = product(range(images), repeat=images)
        hits += max(expected_hits(model, right, k) for model in models) * len(right)
    assert found[f"text_to_image/recall@{k}"] == pytest.approx(hits / len(owner))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_a_model_that_knows_all_but_the_order_of_equal_captions_reaches_it(classes: list[int]) -> None:
    """One caption an image, as where captions are class names: images and captions of a class have one feature."""
    features = torch.eye(7)[classes]
    ceilings = recall_ceilings(np.arange(len(classes)), classes)
    metrics = metrics_of(retrieval(features, features, np.arange(len(classes))))
    assert {name: metrics[name] for name in ceilings} == pytest.approx(ceilings)
    sizes = np.bincount(classes)[classes]
    for k in (1, 5, 10):
        for way in ("image_to_text", "text_to_image"):
            assert ceilings[f"{way}/recall@{k}"] == pytest.approx(np.minimum(1, k / sizes).mean())


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 20))
@settings(max_examples=40)
def test_no_features_do_better(seed: int, images: int, distinct: int) -> None:
    rng = np.random.default_rng(seed)
    owner = np.r_[np.arange(images), rng.integers(0, images, 2 * images)]
    caption = rng.integers(0, distinct, len(owner))
    image, text = (normalize(torch.from_numpy(rng.normal(size=(n, 4))).float(), dim=-1) for n in (images, distinct))
    metrics = metrics_of(retrieval(image, text[torch.from_numpy(caption)], owner))
    for name, ceiling in recall_ceilings(owner, caption).items():
        assert metrics[name] <= ceiling + 1e-9


def test_without_equal_captions_there_is_no_ceiling() -> None:
    assert set(recall_ceilings(np.repeat(np.arange(40), 3), np.arange(120)).values()) == {1.0}


def test_few_is_said_of_repeated_captions_and_of_class_names() -> None:
    classes = catalog_of([[f"a photo of a {name}"] for name in ("shirt", "shoe") for _ in range(50)])
    assert few_captions_facts(classes) == {
        "ceiling": pytest.approx((1 + 5 + 10) / 150), "distinct": 2, "captions": 100, "class_names": False,
    }  # fmt: skip
    assert few_captions_facts(catalog_of([1] * 100)) is None
    assert few_captions_facts(catalog_of([[f"{i // 2}"] for i in range(90)])) is None  # (1/2 + 1 + 1) / 3 is 83%
    assert few_captions_facts(catalog_of([[f"{i // 3}"] for i in range(90)])) is not None  # (1/3 + 1 + 1) / 3 is 78%
    names = catalog_of([1] * 9)
    named = few_captions_facts(replace(names, about=replace(names.about, class_captions=True)))
    assert named is not None
    assert (named["ceiling"], named["class_names"]) == (1.0, True)


def test_the_split_that_is_measured_decides() -> None:
    captions = [["same"]] * 50 + [[f"{i}"] for i in range(50)]
    catalog = catalog_of(captions, split=["train"] * 50 + ["test"] * 50)
    assert few_captions_facts(catalog) is None
    assert few_captions_facts(catalog, "train") is not None
