"""The guide to training names every key of a recipe, with its default and its choices, and no key that is none."""

import re
from collections.abc import Iterator
from importlib import resources
from io import StringIO
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from clipc.recipe.recipe import Recipe
from clipc.recipe.yaml_table import built_in

GUIDE = (Path(__file__).resolve().parents[1] / "docs" / "training.md").read_text("utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| (.+) \|$", re.MULTILINE)
TABLES = GUIDE.split("<!-- keys -->")[1].split("<!-- end of keys -->")[0]
ROWS = ROW.findall(TABLES)
DOCUMENTED = {key: (default, meaning) for key, default, meaning in ROWS}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each key that may be written, its type and its default as YAML has it."""
    defaults = model.model_construct().model_dump(mode="json")
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, inner, defaults[name]


def choices(annotation: Any) -> Iterator[str]:
    """The words among which a key chooses."""
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    elif get_origin(annotation) in (Union, UnionType, tuple):
        for inner in get_args(annotation):
            yield from choices(inner)


RECIPE = list(keys(Recipe))


def test_every_key_has_one_row_and_every_row_a_key() -> None:
    assert sorted(key for key, _, _ in ROWS) == sorted(key for key, _, _ in RECIPE)


def test_rows_are_all_read() -> None:
    assert len(ROWS) == sum(line.startswith("| `") for line in TABLES.splitlines())


@pytest.mark.parametrize(("key", "annotation", "default"), RECIPE, ids=[key for key, _, _ in RECIPE])
def test_default_and_choices_are_told(key: str, annotation: Any, default: Any) -> None:
    told, meaning = DOCUMENTED[key]
    value = YAML(typ="safe", pure=True).load(StringIO(told))
    numbers = isinstance(default, list) and all(isinstance(entry, float) for entry in default)
    assert value == (pytest.approx(default, rel=1e-4) if numbers and default else default)
    for word in choices(annotation):
        assert f"`{word}`" in meaning or word in told, f"{key}: {word} is not explained"


def test_recipes_that_ship_are_listed() -> None:
    table = GUIDE.split("| recipe | model | for |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == set(built_in("recipe"))


def test_models_that_ship_are_listed() -> None:
    files = (resources.files("clipc.models") / "configs").iterdir()
    for name in (file.name.removesuffix(".json") for file in files if file.name.endswith(".json")):
        assert f"`{name}`" in DOCUMENTED["model"][1]
