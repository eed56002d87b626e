from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.errors import UserError
from clipc.recipe.yaml_table import built_in
from clipc.report.words import words
from clipc.study.arms import Range, flatten
from clipc.study.design import Study, read_study
from clipc.study.recipes import arm_recipe, check_recipes, sizes_of

MINIMAL = """
name: rates
recipe: nano
set: {samples: 100}
arms:
  clip: {policy.rho: 0}
  rate: {policy.rho: {each: [0.1, 0.3]}}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "study.yaml"
    file.write_text(text, "utf-8")
    return file


def test_lists_make_arms(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, MINIMAL))
    assert [arm.name for arm in study.expanded_arms] == ["clip", "rate rho=0.1", "rate rho=0.3"]
    assert [arm.line for arm in study.expanded_arms] == [None, ("rate", "policy.rho"), ("rate", "policy.rho")]
    assert study.baseline_name == "clip"
    recipes = check_recipes(study)
    assert [(arm, recipe.policy.rho) for arm, (recipe,) in recipes.items()] == [
        ("clip", 0),
        ("rate rho=0.1", 0.1),
        ("rate rho=0.3", 0.3),
    ]
    assert {recipe.samples for (recipe,) in recipes.values()} == {100}


def test_several_lists_are_crossed_and_words_change_a_study(tmp_path: Path) -> None:
    changes = ["arms.rate.mask={each: [true, false]}", "seeds=5", "set.policy.joiner='; '"]
    study = read_study(written(tmp_path, MINIMAL), changes)
    assert [arm.name for arm in study.expanded_arms][1:] == [
        f"rate rho={rho}, mask={mask}" for rho in (0.1, 0.3) for mask in (True, False)
    ]
    assert study.seeds == (0, 1, 2, 3, 4)
    assert {recipe.policy.joiner for (recipe,) in check_recipes(study).values()} == {"; "}


def test_what_arms_share_but_seed_and_size(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, MINIMAL))
    arm = study.expanded_arms[1]
    one, other = arm_recipe(study, arm, 3, 50), arm_recipe(study, arm, 4, "all")
    assert (one.seed, other.seed) == (3, 4)
    assert (one.data.pairs, other.data.pairs) == (50, None)
    assert one.model_copy(update={"seed": 4, "data": other.data}) == other


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("baseline=clap", r"unknown arm 'clap'.*did you mean 'clip'\?$"),
        ("controls=[augment]", "unknown arm 'augment'"),
        ("arms.x.policy.rate=0.1", "policy.rate"),
        ("arms.x.policy.rho=2", "less than or equal to 1"),
        ("arms.x.seed=1", "changes seed, which all arms share"),
        ("set.seed=3", "the study rates: set changes seed, which all arms share; set data and seeds at the top"),
        ("arms={1: {}}", "a key under arms must be text, not 1; write it in quotes"),
        ("arms={a: {3: 4}}", "a key under arms must be text, not 3; write it in quotes"),
        ("arms.x.data.source=demo", "changes data.source, which all arms share"),
        ("arms.x.policy.rho={from: 0.7, to: 0.1}", "goes from a number to a larger one"),
        ("arms.x.policy.rho={from: 0.1, to: 0.7}", "say how many settings to try"),
        ("search={trials: 5}", "search needs a range"),
        ("data.pairs=10", "leave data.pairs out"),
        ("sizes=[10, 10]", "given twice"),
        ("seeds=[]", r"seeds cannot be \[\]; write how many"),
        ("seeds=[-1]", "seeds cannot be -1"),
        ("seeds=abc", "seeds cannot be 'abc'"),
        ("sizes=[]", "sizes cannot be .*; write numbers of training pairs or all"),
        ("sizes=[0]", "sizes cannot be 0"),
        ("set=3", "set cannot be 3; write keys of the recipe"),
        ("controls=augmen", r"unknown arm 'augmen'; there are: .*[^.]\.$"),
        ("keep_models=maybe", "write true or false"),
        ("controls=[clip]", "cannot be a control"),
        ("arms.x.policy.rho={each: []}", "the arm 'x' has an empty list"),
        ("arms.x.policy.rho={each: [0.3, 0.3]}", "'x rho=0.3' is defined twice"),
        ("recipes=nano", "unknown key 'recipes'.*did you mean 'recipe'"),
        ("data.sorce=pairs.csv", "unknown key 'data.sorce'.*did you mean 'data.source'"),
        ("data=demo", "data cannot be 'demo'; write keys of a recipe's data, such as data: {source"),
        ("data.lang=fr", r"unknown value of data.lang 'fr'; there are: en, ja"),
        ("shots=[0]", "shots cannot be 0; write numbers of examples a class"),
        ("set.batch_size={each: [4, 8]}", r"set.batch_size: lists \(each\) make arms, so they belong to an arm"),
        ("name=../x", "name cannot be '../x'; write a short name"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path: Path, change: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_recipes(read_study(written(tmp_path, MINIMAL), [change]))


def test_arms_of_a_list_stay_a_line_when_their_ranges_are_settings_by_arm(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "name": "x",
        "set": {"samples": 10, "learning_rate": {"from": 0.001, "to": 0.01}},
        "arms": {"clip": {"policy.rho": 0}, "rate": {"policy.rho": {"each": [0.1, 0.3]}, "what": "Some."}},
        "search": {"trials": 2},
    }
    study = Study.model_validate(fields)
    settled = study.with_settings(
        {arm.name: {"learning_rate": 0.002 + at} for at, arm in enumerate(study.expanded_arms)}
    )
    assert not settled.has_ranges
    assert settled.set == {"samples": 10}
    assert [replace(arm, changes={}) for arm in settled.expanded_arms] == [
        replace(a, changes={}) for a in study.expanded_arms
    ]
    assert settled.expanded_arms[2].changes == {"policy.rho": 0.3, "learning_rate": 2.002}
    assert settled.expanded_arms[2].line == ("rate", "policy.rho")
    assert study.has_ranges


def test_one_value_may_stand_without_a_list(tmp_path: Path) -> None:
    found = read_study(written(tmp_path, MINIMAL), ["sizes=all", "shots=5", "arms.b.policy.rho=0.1", "controls=b"])
    assert (found.sizes, found.shots, found.controls) == (("all",), (5,), ("b",))
    with pytest.raises(UserError, match=r"the study .*: name is missing; write a short name"):
        read_study(written(tmp_path, "arms: {a: {}}"))


def test_studies_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no study file .*none\.yaml"):
        read_study(tmp_path / "none.yaml")
    with pytest.raises(UserError, match=r"unknown study 'rate'.*did you mean 'rates'"):
        read_study("rate")


@pytest.mark.parametrize("name", built_in("study"))
def test_studies_that_ship_are_right(name: str) -> None:
    study = read_study(name)
    assert study.name == name
    recipes = [first for first, *_ in check_recipes(study).values()]
    assert len({recipe.identity("") for recipe in recipes}) >= len(recipes) - 2  # one arm may also stand in a list
    described = {key.removeprefix("arm_what.") for key in words("en").table if key.startswith("arm_what.")}
    assert all(arm.what or arm.line or arm.name in described or "=" in arm.name for arm in study.expanded_arms)


def test_sizes_ascend_and_all_is_the_largest() -> None:
    study = Study(name="x", arms={"clip": {}}, sizes=("all", 500, 250, 1000))
    assert sizes_of(study, 1680) == [250, 500, 1000, "all"]
    assert sizes_of(study, 1000) == [250, 500, "all"]
    with pytest.raises(UserError, match=r"1,000 training pairs; there are 999"):
        sizes_of(study, 999)


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(), max_size=4))
def test_dotted_and_nested_keys_are_the_same(values: dict[str, int]) -> None:
    nested = {"policy": {"deep": values}, "mask": True}
    assert flatten(nested) == {**{f"policy.deep.{k}": v for k, v in values.items()}, "mask": True}
    assert flatten(flatten(nested)) == flatten(nested)


def test_ranges() -> None:
    found = flatten({"a": {"from": 1, "to": 8}, "b": {"from": 0.1, "to": 1, "log": True}, "c": {"one_of": ["x", "y"]}})
    assert found == {"a": Range(1, 8), "b": Range(0.1, 1, log=True), "c": Range(one_of=("x", "y"))}
    assert [found[k].is_integer for k in "abc"] == [True, False, False]
    assert Range(4.0, 8.0).is_integer
    assert not Range(4, 8.5).is_integer


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("arms.x.policy.rho={from: 0.5, to: 1.5}", "arm 'x': nano: policy.rho: .*less than or equal to 1.*1.5"),
        ("arms.x.policy.rho={from: -0.5, to: 0.5}", "policy.rho: .*greater than or equal to 0.*-0.5"),
        ("arms.x.batch_size={from: 4, to: 8.5}", "batch_size: .*8.5"),
        ("arms.x.precision={one_of: [fp32, fp16]}", "arm 'x': nano: unknown value of precision 'fp16'"),
        ("set.precision={one_of: [fp32, fp16]}", "arm 'clip': nano: unknown value of precision 'fp16'"),
    ],
)
def test_both_ends_and_all_choices_of_a_range_are_right(tmp_path: Path, change: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_recipes(read_study(written(tmp_path, MINIMAL), ["search={trials: 2}", change]))


def test_an_arm_has_a_recipe_for_each_end_and_choice(tmp_path: Path) -> None:
    changes = ["search={trials: 2}", "arms.x={policy.rho: {from: 0.1, to: 0.7}, batch_size: {one_of: [4, 8, 16]}}"]
    found = check_recipes(read_study(written(tmp_path, MINIMAL), changes))["x"]
    assert [(recipe.policy.rho, recipe.batch_size) for recipe in found] == [(0.1, 4), (0.7, 4), (0.1, 8), (0.1, 16)]
