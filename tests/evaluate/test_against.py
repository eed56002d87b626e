"""What a model gained or lost against another on the same data."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from clipc.catalog.catalog import Catalog
from clipc.evaluate.against import differences, template_names
from clipc.evaluate.evaluation import Evaluation, evaluate
from clipc.render.evaluation_view import Resizing

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200), "white": (240, 240, 240)}


class ByColour:
    """Knows the colours of pictures and words; of the colours that it forgot it says that they are all alike."""

    image_size = 16
    resizing = Resizing()

    def __init__(self, forgot: tuple[str, ...] = ()) -> None:
        self.forgot = forgot

    def _place(self, name: str) -> int:
        return len(COLOURS) if name in self.forgot else list(COLOURS).index(name)

    def encode_image(self, images: Tensor) -> Tensor:
        means = images.float().mean(dim=(1, 2))
        centres = torch.tensor(list(COLOURS.values()), dtype=torch.float32)
        nearest = torch.cdist(means, centres).argmin(dim=1)
        places = [self._place(list(COLOURS)[i]) for i in nearest.tolist()]
        return torch.eye(len(COLOURS) + 1)[places]

    def encode_text(self, texts: list[str]) -> Tensor:
        rows = torch.zeros(len(texts), len(COLOURS) + 1)
        for row, text in zip(rows, texts, strict=True):
            for name in COLOURS:
                if name in text:
                    row[self._place(name)] = 1
        return normalize(rows + 1e-3, dim=1)


def both(forgot: tuple[str, ...], catalog: Catalog) -> tuple[Evaluation, Evaluation]:
    start = evaluate(ByColour(), catalog, probe=False)
    return evaluate(ByColour(forgot), catalog, probe=False, templates=template_names(start)), start


def test_what_was_forgotten_is_counted(tiny_catalog: Catalog) -> None:
    tuned, start = both(("red", "green", "blue"), tiny_catalog)
    test = tiny_catalog.split("test").column("label")
    guessed = np.mean([1 if label == "white" else 1 / 3 for label in test])
    found = differences(tuned, start)
    lost = found["zero_shot/label/top1"]
    assert lost["mean"] == pytest.approx(guessed - 1)
    assert lost["low"] < lost["mean"] < lost["high"]  # type: ignore[operator]
    assert lost["n"] == len(test) == 10
    assert found.keys() == start.metrics.keys()
    json.dumps(found, allow_nan=False)


def test_the_same_model_forgets_nothing(tiny_catalog: Catalog) -> None:
    for name, change in differences(*both((), tiny_catalog)).items():
        bare = name.endswith("median_rank")  # no mean of items
        assert change == {"mean": 0, "low": None if bare else 0, "high": None if bare else 0, "n": None if bare else 10}


def test_both_models_read_the_prompts_that_suit_the_start(tiny_catalog: Catalog) -> None:
    tuned, start = both(("red", "green"), tiny_catalog)
    assert template_names(tuned) == template_names(start)
    other = evaluate(ByColour(), tiny_catalog, probe=False, templates={"label": "factory"})
    assert template_names(other) == {"label": "factory"}


def test_without_labels_retrieval_is_compared(tiny_catalog: Catalog) -> None:
    plain = replace(tiny_catalog, about=replace(tiny_catalog.about, label_columns=()))
    found = differences(*both(("red", "green"), plain))
    assert not any(name.startswith("zero_shot") for name in found)
    assert found["retrieval/mean_recall"]["mean"] < 0  # type: ignore[operator]
