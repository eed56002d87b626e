"""Which captions are usable, and what the choice between a caption and its swapped one measures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from clipc.evaluate.evaluation import evaluate
from clipc.evaluate.statistics.sampling_error import sampling_error
from clipc.evaluate.swaps import find_swaps, score_swaps, score_without_image

from .fake import ColourModel, colour_catalog

RED_BLUE = "a red gear beside a blue plate"
BLUE_RED = "a blue gear beside a red plate"


def test_usable_captions_with_their_places() -> None:
    swaps = find_swaps([["a gear", RED_BLUE], ["a plate"], [BLUE_RED, "two dogs and three cats", BLUE_RED]])
    assert swaps.owner.tolist() == [0, 2, 2]
    assert swaps.caption.tolist() == [1, 3, 4]
    assert swaps.swapped == [BLUE_RED, RED_BLUE, "three dogs and two cats"]
    assert swaps.context() == {
        "items": 3,
        "images": 2,
        "captions": 3,
        "examples": [list(pair) for pair in zip(swaps.originals, swaps.swapped, strict=True)],
    }


@pytest.mark.parametrize(
    "other",
    ["A blue gear beside a red plate.", "the blue gears near a table", "a red plate", "a gear and some big red plates"],
)
def test_a_swap_that_the_image_may_show_too_is_not_usable(other: str) -> None:
    assert find_swaps([[RED_BLUE, other]]).originals == []


def test_no_captions_at_all() -> None:
    assert find_swaps([]).context() == {"items": 0, "images": 0, "captions": 0, "examples": []}


def test_nearer_caption_wins_and_a_tie_counts_half() -> None:
    swaps = find_swaps([[RED_BLUE], [RED_BLUE], [RED_BLUE]])
    image = normalize(torch.tensor([[1.0, 0.1], [0.1, 1.0], [1.0, 1.0]]), dim=1)
    text, swapped = torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[0.0, 1.0]] * 3)
    assert score_swaps(swaps, image, text, swapped).tolist() == [1, 0, 0.5]


class FirstColourModel(ColourModel):
    """Reads only the colour that comes first, so it knows the order of two."""

    def encode_text(self, texts: list[str]) -> Tensor:
        return super().encode_text([" ".join(text.split()[:2]) for text in texts])


def test_the_words_alone_may_tell() -> None:
    swaps = find_swaps([[RED_BLUE], [BLUE_RED], ["two dogs and three cats"]])
    assert score_without_image(swaps, []).tolist() == [0.5, 0.5, 0.5]
    assert score_without_image(swaps, ["a red gear", "some red gears", "a blue gear"]).tolist() == [1, 0, 0.5]
    assert score_without_image(find_swaps([]), [RED_BLUE]).tolist() == []


def test_the_metric_with_its_items_interval_and_count(tmp_path: Path) -> None:
    catalog = colour_catalog(tmp_path, {"test": 24}, labelled=False)
    names = ["red", "green", "blue", "white"]
    captions = [[f"a {names[i % 4]} gear near a {names[(i + 1) % 4]} plate", f"gear {i}"] for i in range(24)]
    table = catalog.table.set_column(catalog.table.column_names.index("captions"), "captions", [captions])
    with_swaps = type(catalog)(table.cast(catalog.table.schema), catalog.root, "g", catalog.about)

    model = FirstColourModel()
    found = evaluate(model, with_swaps)
    assert found.context["swaps"]["items"] == 24
    assert len([text for text in model.texts if "gear near" in text or text.startswith("a ")]) <= 8
    assert "swaps" not in found.context["not_measured"]
    measured = found.measurements["swaps/top1"]
    assert (measured.chance, measured.n, measured.default_main) == (0.5, 24, False)
    assert found.metrics["swaps/top1"] > 0.7
    low, high = found.context["swaps"]["interval"]
    assert (low, high) == measured.interval
    assert 0.5 < low < found.metrics["swaps/top1"] <= high <= 1
    items = found.items["swaps/top1"]
    assert sampling_error([items], [0 * items], measured.owner).n == 24

    assert "blind" not in found.context["swaps"]
    bag_of_words = evaluate(ConstantModel(), with_swaps)
    assert bag_of_words.metrics["swaps/top1"] == 0.5


class ConstantModel(ColourModel):
    """Reads captions as bags of words."""

    def encode_text(self, texts: list[str]) -> Tensor:
        return normalize(
            torch.tensor(np.array([[1.0, text.count("red"), text.count("a")] for text in texts], np.float32)), dim=1
        )


def test_too_few_are_counted_and_not_measured(tmp_path: Path) -> None:
    found = evaluate(ColourModel(), colour_catalog(tmp_path, {"test": 8}, labelled=False))
    assert "swaps/top1" not in found.metrics
    assert found.context["swaps"]["items"] == 0
    assert "20 are needed" in found.context["not_measured"]["swaps"]


def test_what_words_alone_reach_is_told_from_training_captions_only(tmp_path: Path) -> None:
    catalog = colour_catalog(tmp_path, {"train": 4, "test": 24}, labelled=False)
    captions = [["a red gear", "a green gear"]] * 4 + [[f"a red gear near a green plate, {i}"] for i in range(24)]
    table = catalog.table.set_column(catalog.table.column_names.index("captions"), "captions", [captions])
    found = evaluate(ColourModel(), type(catalog)(table.cast(catalog.table.schema), catalog.root, "g", catalog.about))
    assert found.context["swaps"]["blind"] == 0.5
