"""A wrong start is told before the data are read."""

import pytest

from clipc.errors import UserError
from clipc.prepare.check_start import check_start
from clipc.recipe.recipe import make_recipe


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"model": "nanoo"}, "unknown model 'nanoo'; did you mean 'nano'"),
        ({"model": "ViT-B-32", "pretrained": "weights.pt"}, "there is no weights file weights.pt"),
        (
            {"policy": {"partner": "nearest", "embedding": "runs/no"}},
            "policy.embedding: there is no model folder",
        ),
    ],
)
def test_a_wrong_start_is_told(fields: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_start(make_recipe({"samples": 100, **fields}))


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "nano"},
        {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"},  # would have to be fetched, and is not
        {"model": "hf-hub:org/name"},
        {"policy": {"partner": "nearest", "embedding": "column:vectors"}},
    ],
)
def test_what_may_be_right_passes(fields: dict[str, object]) -> None:
    check_start(make_recipe({"samples": 100, **fields}))
