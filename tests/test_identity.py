"""A run's name follows the keys that change its result, and neither today's defaults nor keys that do nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from pydantic import BaseModel, Field, TypeAdapter, create_model

from clipc.compose.policy import Policy
from clipc.identity import NEVER, Neutral, hashing_mark, identity_keys
from clipc.recipe.recipe import Recipe, make_recipe, read_recipe
from clipc.recipe.yaml_table import built_in


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def models_that_count(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for name, field in model.model_fields.items():
        if hashing_mark(model, name) is not NEVER:
            for inner in models_in(field.annotation):
                yield from models_that_count(inner)


def test_every_key_says_how_it_counts() -> None:
    seen: set[str] = set()
    for model in models_that_count(Recipe):
        for name, field in model.model_fields.items():
            hashing = hashing_mark(model, name)
            section = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
            assert hashing is not None or section, f"{model.__name__}.{name}: mark it Neutral(value), ALWAYS or NEVER"
            if isinstance(hashing, Neutral) and hashing.value is not None:
                kind: Any = Annotated[field.annotation, *field.metadata]
                assert TypeAdapter(kind).validate_python(hashing.value) == hashing.value, f"{model.__name__}.{name}"
        seen.add(model.__name__)
    assert {"Recipe", "Policy", "Augmentation", "Tuning", "Rules", "PairRule", "ImageRule", "CaptionRule"} <= seen


@pytest.mark.parametrize("name", built_in("recipe"))
def test_a_new_key_at_its_neutral_value_renames_nothing(name: str) -> None:
    old = read_recipe(name, ["policy.rules=radiology", "policy.until=1"])
    policy = create_model("WithKey", __base__=Policy, until=(Annotated[float, Neutral(1.0)], Field(default=0.8)))
    section = create_model("Section", strength=(Annotated[float, Neutral(0.0)], 0.0))
    more = {"policy": (policy, policy()), "extra": (Annotated[int, Neutral(0)], 5), "section": (section, section())}
    grown = create_model("Grown", __base__=Recipe, **more)  # pyright: ignore

    def grow(until: float, extra: int) -> Recipe:
        fields = old.model_dump()
        return grown.model_validate({**fields, "policy": {**fields["policy"], "until": until}, "extra": extra})

    assert grow(1.0, 0).identity("d") == old.identity("d")
    assert grow(1.0, 0).same_run("d") == old.same_run("d")
    assert len({old.identity("d"), grow(0.8, 0).identity("d"), grow(1.0, 5).identity("d")}) == 3


def test_a_new_default_renames_no_old_run_and_answers_for_no_new_one() -> None:
    old = make_recipe({"samples": 10})
    changed = create_model("Changed", __base__=Recipe, weight_decay=(Annotated[float, Neutral(0.0)], 0.2))
    assert changed.model_validate(old.model_dump()).identity("d") == old.identity("d")
    assert changed(samples=10).identity("d") != old.identity("d")
    assert changed(samples=10).identity("d") == make_recipe({"samples": 10, "weight_decay": 0.2}).identity("d")


def test_names_stay() -> None:
    # Runs and records are found by these names: whoever changes the scheme raises its version. Up to version 0.3 the
    # selection was always "best"; a recipe that leaves it out now has another result, and so another name.
    assert Recipe(samples=10, selection="best").identity("d") == "47e5c11ebd"
    rules = {"pairs": [{"require": "a.view = b.view"}], "captions": [{"joiner": "; "}]}
    policy = {"rho": 0.5, "partner": "nearest", "group": "view", "rules": rules}
    recipe = {
        "model": "nano",
        "selection": "best",
        "epochs": 2.5,
        "seed": 7,
        "tune": {"lora": 4},
        "policy": policy,
        "augmentation": {"flip": 1},
    }
    assert make_recipe(recipe).identity("d") == "39741ac447"


def test_only_what_differs_from_neutral_is_named() -> None:
    assert identity_keys(make_recipe({"samples": 10, "policy": {"rho": 0}}).tune) == {}
    keys = make_recipe({"samples": 10, "tune": {"lora": 2}, "policy": {"rules": {}}}).identity_keys()
    assert keys["tune"] == {"lora": 2}
    assert keys["policy"]["rules"] == {}
    assert not {"epochs", "data", "track", "pretrained"} & keys.keys()


def test_a_table_counts_by_what_it_says(tmp_path: Path) -> None:
    def name(file: str, text: str, key: str = "weights", **more: str) -> str:
        (tmp_path / file).write_text(text, "utf-8")
        return make_recipe({"samples": 1, "policy": {key: str(tmp_path / file), **more}}).identity("data")

    before = name("one.csv", "key,weight\na,1\n")
    assert name("moved.csv", "key,weight\na,1\n") == before
    assert name("one.csv", "key,weight\na,2\n") != before
    boxes = [name(file, "key,box\n", "region", layout="region") for file in ("one.csv", "two.csv")]
    assert boxes[0] == boxes[1]
