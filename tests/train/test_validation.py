"""Validation finds the same whether its pictures are kept or decoded anew."""

from pathlib import Path

import pytest
import torch

from clipc.catalog.catalog import Catalog
from clipc.models.model import ClipModel
from clipc.recipe.recipe import make_recipe
from clipc.render.evaluation_view import Resizing
from clipc.train import validation as module
from clipc.train.train import train
from clipc.train.validation import Validation, validate


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the pictures that were decoded so far."""
    keys: list[str] = []
    image = Catalog.image

    def told(catalog: Catalog, row: int, at_least: tuple[int, int] | None = None) -> object:
        keys.append(catalog.keys[row])
        return image(catalog, row, at_least)

    monkeypatch.setattr(Catalog, "image", told)
    return keys


@pytest.mark.parametrize(("free", "times"), [(1 << 34, 1), (1000, 3), (None, 3)])
def test_pictures_are_kept_where_there_is_room(
    free: int | None,
    times: int,
    tiny_model: str,
    tiny_catalog: Catalog,
    decoded: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda _: free)
    pairs = tiny_catalog.split("val")
    models = [ClipModel.create(tiny_model, seed=seed) for seed in (1, 2, 1)]
    validation = Validation(pairs)
    found = [validate(model, validation, torch.float32) for model in models]
    assert sorted(decoded) == sorted(pairs.keys * times)
    assert found == [validate(model, Validation(pairs), torch.float32) for model in models]


def test_kept_pictures_are_not_taken_for_another_view(tiny_catalog: Catalog) -> None:
    validation = Validation(tiny_catalog.split("val"))
    small = list(validation.views(8, Resizing()))
    assert [view.shape for view in validation.views(12, Resizing())] == [(12, 12, 3)] * len(small)
    assert all((a == b).all() for a, b in zip(small, validation.views(8, Resizing()), strict=True))
    padded = list(validation.views(8, Resizing("longest", fill_color=255)))
    assert [view.shape for view in padded] == [(8, 8, 3)] * len(small)


def test_pictures_that_were_not_all_taken_are_not_kept(tiny_catalog: Catalog, decoded: list[str]) -> None:
    validation = Validation(tiny_catalog.split("val"))
    next(iter(validation.views(8, Resizing())))
    before = len(decoded)
    assert len(list(validation.views(8, Resizing()))) == len(validation.catalog)
    assert len(decoded) - before == len(validation.catalog)


def test_a_run_decodes_its_validation_pictures_once(
    tiny_model: str, tiny_source: Path, tiny_catalog: Catalog, tmp_path: Path, decoded: list[str]
) -> None:
    ClipModel.create(tiny_model).save(tmp_path / "start")
    recipe = make_recipe(
        {
            "data": {"source": str(tiny_source)},
            "model": str(tmp_path / "start"),
            "batch_size": 8,
            "samples": 32,
            "threads": 1,
            "validations": 3,
            "wise_ft": True,
        }
    )
    train(recipe, tmp_path / "run", catalog=tiny_catalog)
    keys = tiny_catalog.split("val").keys
    assert sorted(key for key in decoded if key in set(keys)) == sorted(keys)
