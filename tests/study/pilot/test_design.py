from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.recipe.data import Data
from clipc.recipe.recipe import Recipe
from clipc.study.pilot.design import COMPOSITION, bind, pilot_study
from clipc.study.pilot.options import PilotOptions

ARMS = ("clip", "self-halves", "wrong-caption", "clip-c", "clip-c-guarded")


@pytest.fixture
def options(tiny_source: Path, tiny_model: str) -> PilotOptions:
    """A pilot from scratch, whose classes are too small for partners of the same class."""
    return PilotOptions(data=Data(source=str(tiny_source)), recipe="nano", overrides=(f"model={tiny_model}",))


def without_labels(catalog: Catalog) -> Catalog:
    return replace(catalog, about=replace(catalog.about, label_columns=()))


def recipes(options: PilotOptions, catalog: Catalog) -> dict[str, Recipe]:
    return dict(bind(pilot_study(options), catalog).recipes)


def test_five_arms_differ_in_what_is_composed_alone(options: PilotOptions, tiny_catalog: Catalog) -> None:
    made = recipes(options, tiny_catalog)
    assert tuple(made) == ARMS
    policy = {name: recipe.policy for name, recipe in made.items()}
    assert [policy[name].rho for name in ARMS] == [0, *4 * [policy["clip-c"].rho]]
    assert (policy["self-halves"].partner, policy["self-halves"].caption) == ("self", "first")
    assert (policy["wrong-caption"].partner, policy["wrong-caption"].caption) == ("random", "wrong")
    assert (policy["clip-c"].partner, policy["clip-c"].caption, policy["clip-c"].group) == ("random", "join", None)
    shared = {"policy": policy["clip"]}
    assert all(recipe.model_copy(update=shared) == made["clip"] for recipe in made.values())


def test_guarded_partners_are_of_one_class_or_near(options: PilotOptions, tiny_catalog: Catalog) -> None:
    by_class = recipes(options, tiny_catalog)["clip-c-guarded"].policy
    assert (by_class.group, by_class.partner) == ("auto", "random")
    near = recipes(options, without_labels(tiny_catalog))["clip-c-guarded"].policy
    assert near.partner == "nearest"
    own = replace(options, overrides=(*options.overrides, "policy.partner=diverse"))
    assert recipes(own, without_labels(tiny_catalog))["clip-c-guarded"].policy.partner == "diverse"


def test_rules_hold_in_the_guarded_arm_alone(options: PilotOptions, tiny_catalog: Catalog) -> None:
    made = recipes(replace(options, overrides=(*options.overrides, "policy.rules=factory")), tiny_catalog)
    assert [name for name, recipe in made.items() if recipe.policy.rules is not None] == ["clip", "clip-c-guarded"]


def test_without_a_recipe_the_suited_one_is_taken(options: PilotOptions, tiny_catalog: Catalog) -> None:
    design = bind(pilot_study(replace(options, recipe=None)), tiny_catalog)
    assert design.study.recipe in ("starter-250", "scratch-250")
    assert design.study.recipe in design.reason
    assert design.baseline.batch_size == 10
    assert not bind(pilot_study(options), tiny_catalog).reason


def test_where_a_recipe_composes_nothing_the_pilot_does(options: PilotOptions, tiny_catalog: Catalog) -> None:
    plain = replace(options, recipe="scratch-1000")
    policy = recipes(plain, tiny_catalog)["clip-c"].policy
    if policy.rho == COMPOSITION["policy.rho"]:
        assert policy.until == COMPOSITION["policy.until"]
    given = recipes(replace(plain, overrides=(*options.overrides, "policy.rho=0.2")), tiny_catalog)
    assert given["clip-c"].policy.rho == 0.2


def test_a_pilot_s_seeds_go_on_after_the_study_s(options: PilotOptions) -> None:
    first = pilot_study(options).seeds
    assert len(first) == 12
    more = pilot_study(replace(options, seeds=15)).seeds
    assert more[:12] == first
    assert more[12:] == (first[-1] + 1, first[-1] + 2, first[-1] + 3)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"seeds": 2}, "at least 3 seeds"),
        ({"overrides": ("policy.rho=0",)}, "nothing to compare"),
        ({"overrides": ("seed=3",)}, "'seed=3' cannot be set for a pilot"),
        ({"overrides": ("batch_sise=3",)}, "did you mean 'batch_size'"),
    ],
)
def test_wrong_options(options: PilotOptions, tiny_catalog: Catalog, changes: dict[str, Any], hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        bind(pilot_study(replace(options, **changes)), tiny_catalog)
