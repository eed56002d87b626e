"""Zero-shot classification against one image at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from clipc.errors import UserError
from clipc.evaluate.prompts import TEMPLATE_SETS, built_in_templates
from clipc.evaluate.zeroshot import choose_templates, classifier, zero_shot

from .fake import metrics_of


def unit(n: int, dim: int, seed: int) -> Tensor:
    return normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)), dim=-1)


def hashed(texts: list[str]) -> Tensor:
    """A text's own random direction."""
    return torch.cat([unit(1, 16, sum(text.encode()) * 31 + len(text)) for text in texts])


@given(st.integers(1, 40), st.integers(2, 9), st.integers(0, 1000), st.integers(1, 50))
@settings(deadline=None)
def test_figures_agree_with_one_image_at_a_time(n: int, classes: int, seed: int, chunk: int) -> None:
    image, weights = unit(n, 8, seed), unit(classes, 8, seed + 1)
    labels = np.random.default_rng(seed).integers(0, classes, n)
    metrics = metrics_of(zero_shot(image, weights, labels, chunk=chunk))
    order = [np.argsort(-(weights.double().numpy() @ x.double().numpy())) for x in image]
    top1 = np.array([label == o[0] for label, o in zip(labels, order, strict=True)])
    assert metrics["top1"] == pytest.approx(top1.mean(), abs=1e-6)
    assert metrics["mean_per_class"] == pytest.approx(
        np.mean([top1[labels == c].mean() for c in np.unique(labels)]), abs=1e-6
    )
    if classes > 5:
        top5 = np.mean([label in o[:5] for label, o in zip(labels, order, strict=True)])
        assert metrics["top5"] == pytest.approx(top5, abs=1e-6)
    else:
        assert "top5" not in metrics


def test_weights_are_the_normalised_mean_of_normalised_prompts() -> None:
    names, templates = ["oak", "bolt", "nut"], ["a photo of a {}.", "the {}"]
    expected = [
        normalize((hashed([f"a photo of {a}."]) + hashed([f"the {n}"])) / 2, dim=-1)
        for n, a in (("oak", "an oak"), ("bolt", "a bolt"), ("nut", "a nut"))
    ]
    np.testing.assert_allclose(classifier(hashed, names, templates), torch.cat(expected), atol=1e-6)


def test_classes_with_the_same_name_share_the_hit() -> None:
    weights = classifier(hashed, ["gear", "gear", "pulley"], ["a {}"])
    found = zero_shot(weights[[0, 1, 2]], weights, [0, 1, 2])
    assert metrics_of(found)["top1"] == pytest.approx(2 / 3)
    assert {one.name: one.chance for one in found.measurements("x")} == {"x/top1": 1 / 3, "x/mean_per_class": 1 / 3}


@pytest.mark.parametrize(("counts", "name"), [((4, 2), "top1"), ((5, 2), "mean_per_class"), ((3, 3), "top1")])
def test_the_labels_alone_decide_which_accuracy_is_a_main_metric(counts: tuple[int, int], name: str) -> None:
    """The third class has no image and does not count."""
    labels = np.repeat([0, 1], counts)
    for order in (labels, 1 - labels):  # all right, and all wrong
        found = zero_shot(torch.eye(3)[order], torch.eye(3), labels)
        assert [one.name for one in found.measurements("x", default_main=True) if one.default_main] == [f"x/{name}"]
        assert not any(one.default_main for one in found.measurements("x"))
        by_class = next(one for one in found.measurements("x") if one.name == "x/mean_per_class")
        assert by_class.values is not None
        assert by_class.values.mean() == pytest.approx(by_class.value)


def test_nan_and_wrong_labels_are_refused() -> None:
    with pytest.raises(UserError, match="NaN"):
        zero_shot(torch.full((2, 3), torch.nan), torch.eye(3), [0, 1])
    with pytest.raises(ValueError, match="labels"):
        zero_shot(torch.eye(3), torch.eye(3), [0, 1, 3])


@pytest.mark.parametrize("best", TEMPLATE_SETS)
def test_the_set_that_does_best_on_validation_is_chosen(best: str) -> None:
    names = ["gear", "bolt", "oak"]
    image = classifier(hashed, names, built_in_templates(best, "ja"))
    # With features made from one set's prompts that set is right everywhere; others may tie only later in the order.
    wrong = {
        name: zero_shot(image, classifier(hashed, names, built_in_templates(name, "ja")), [0, 1, 2])
        for name in TEMPLATE_SETS
    }
    first = max(TEMPLATE_SETS, key=lambda name: metrics_of(wrong[name])["top1"])
    assert metrics_of(wrong[best])["top1"] == 1
    assert choose_templates(hashed, image, [0, 1, 2], names, "ja") == first


def test_of_equal_sets_the_general_one_is_taken() -> None:
    def deaf(texts: list[str]) -> Tensor:
        return torch.eye(4)[[0] * len(texts)]

    assert choose_templates(deaf, torch.eye(4), [0, 1, 0, 1], ["x", "y"]) == "general"
