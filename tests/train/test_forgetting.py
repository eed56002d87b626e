import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from clipc.catalog import Catalog
from clipc.render.evaluation_view import Resizing
from clipc.train.forgetting import forgetting

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


def test_what_was_forgotten_is_counted(tiny_catalog: Catalog) -> None:
    found = forgetting(ByColour(), ByColour(("red", "green", "blue")), tiny_catalog)
    test = tiny_catalog.split("test").column("label")
    guessed = np.mean([1 if label == "white" else 1 / 3 for label in test])
    assert found["metric"] == "zero_shot/label/top1"
    assert found["split"] == "test"
    assert found["start"] == 1
    assert found["tuned"] == pytest.approx(guessed)
    assert found["lost_points"] == pytest.approx(100 * (1 - guessed))
    assert found["lost_share"] == pytest.approx((1 - guessed) / (1 - 1 / 4))
    assert found["low"] < found["lost_points"] < found["high"]
    assert found["n"] == len(test) == 10
    assert found["templates"]
    json.dumps(found, allow_nan=False)


def test_the_same_model_forgets_nothing(tiny_catalog: Catalog) -> None:
    found = forgetting(ByColour(), ByColour(), tiny_catalog)
    assert (found["lost_points"], found["low"], found["high"], found["lost_share"]) == (0, 0, 0, 0)


def test_what_was_never_known_cannot_be_forgotten(tiny_catalog: Catalog) -> None:
    found = forgetting(ByColour(tuple(COLOURS)), ByColour(), tiny_catalog)
    assert found["start"] == pytest.approx(found["chance"])
    assert found["lost_share"] is None
    assert found["lost_points"] < 0


def test_retrieval_stands_in_without_labels(tiny_catalog: Catalog) -> None:
    plain = replace(tiny_catalog, about=replace(tiny_catalog.about, label_columns=()))
    found = forgetting(ByColour(), ByColour(("red", "green")), plain)
    assert found["metric"] == "retrieval/mean_recall"
    assert found["templates"] is None
    assert found["lost_points"] > 0


def test_a_set_without_a_test_split_is_used_whole(tiny_catalog: Catalog) -> None:
    rows = np.flatnonzero(np.asarray(tiny_catalog.column("split")) != "test")
    found = forgetting(ByColour(), ByColour(("red",)), tiny_catalog.take(rows))
    assert found["split"] == "all"
    assert found["n"] == len(rows) == 50
