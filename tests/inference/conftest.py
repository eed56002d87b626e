"""A tiny model that has learnt the colours of the tiny set, and its index."""

from pathlib import Path

import pytest

from clipc.catalog.catalog import Catalog
from clipc.inference.image_index import ImageIndex
from clipc.inference.used_model import UsedModel
from clipc.recipe.recipe import read_recipe
from clipc.train.train import train


@pytest.fixture(scope="session")
def tiny_run(tiny_source: Path, tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on the tiny set."""
    changes = (f"model={tiny_model}", f"data.source={tiny_source}", "samples=1600", "batch_size=20")
    recipe = read_recipe("nano", (*changes, "validations=1", "precision=fp32", "policy.rho=0", "warmup=0.1"))
    return train(recipe, tmp_path_factory.mktemp("used") / "run").folder


@pytest.fixture(scope="session")
def used(tiny_run: Path) -> UsedModel:
    """The model of :func:`tiny_run`."""
    return UsedModel.open(str(tiny_run))


@pytest.fixture(scope="session")
def index(used: UsedModel, tiny_catalog: Catalog) -> ImageIndex:
    """The index of the tiny set."""
    return ImageIndex.of(used, tiny_catalog)
