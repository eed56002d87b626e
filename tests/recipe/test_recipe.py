from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.errors import UserError
from clipc.recipe.recipe import Recipe, make_recipe, read_recipe, write_recipe
from clipc.recipe.yaml_table import built_in


@pytest.mark.parametrize("name", built_in("recipe"))
def test_shipped_recipes_are_valid(name: str) -> None:
    assert read_recipe(name).batch_size >= 2


def test_overrides_reach_nested_keys() -> None:
    recipe = read_recipe("small", ["policy.rho=0.15", "data.source=pairs.csv", "epochs=3", "betas=[0.9, 0.95]"])
    assert recipe.policy.rho == 0.15
    assert recipe.data.source == "pairs.csv"
    assert (recipe.epochs, recipe.samples) == (3, None)
    assert recipe.betas == (0.9, 0.95)


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("learning_rat=1", "did you mean 'learning_rate'"),
        ("policy.rh=0.2", "did you mean 'policy.rho'"),
        ("policy.layout=centre-halfs", "did you mean 'centre-halves'"),
        ("policy.rho=2", "policy.rho: .* not 2"),
        ("batch_size=many", "batch_size: .* not 'many'"),
        ("rho", "write key=value"),
        ("seed.x=1", "has no keys below it"),
        ("policy=[1", "is not valid YAML"),
        ("samples=null", "give either samples or epochs"),
    ],
)
def test_a_wrong_override_is_one_clear_sentence(override: str, hint: str, tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("samples: 100\nseed: 1\n")
    with pytest.raises(UserError, match=hint) as caught:
        read_recipe(file, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("a.yaml", None, "there is no recipe file"),
        ("smal", None, "did you mean 'small'"),
        ("b.yaml", "- 1\n", "not a table"),
        ("c.yaml", "a: [", "is not valid YAML"),
        ("d.yaml", "samples: 1\nfoo: !!python/object:os.system {}\n", "is not valid YAML"),
    ],
)
def test_a_wrong_file_is_one_clear_sentence(name: str, text: str | None, hint: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
        name = str(tmp_path / name)
    with pytest.raises(UserError, match=hint):
        read_recipe(name)


@given(st.floats(0, 1), st.integers(0, 10**6), st.sampled_from(["fp32", "bf16", "auto"]))
def test_writing_and_reading_is_the_same_recipe(
    tmp_path_factory: pytest.TempPathFactory, rho: float, seed: int, precision: str
) -> None:
    recipe = make_recipe({"samples": 5, "seed": seed, "precision": precision, "policy": {"rho": rho}})
    file = tmp_path_factory.mktemp("recipe") / "r.yaml"
    write_recipe(recipe, file)
    assert read_recipe(file) == recipe


def test_identity_leaves_out_what_cannot_change_the_result() -> None:
    base = Recipe(samples=10)
    assert base.identity("d") == base.model_copy(update={"num_workers": 4, "checkpoint_seconds": 1.0}).identity("d")
    assert base.identity("d") != base.identity("e")
    assert base.identity("d") != base.model_copy(update={"seed": 1}).identity("d")


@pytest.mark.parametrize(("samples", "epochs", "steps"), [(100, None, 4), (1, None, 1), (None, 1, 2), (None, 0.1, 1)])
def test_the_last_step_is_a_whole_batch(samples: int | None, epochs: float | None, steps: int) -> None:
    assert Recipe(samples=samples, epochs=epochs, batch_size=32).steps(40) == steps


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("policy.partner=nearst", "unknown partner 'nearst'; did you mean 'nearest'"),
        ("policy.axis=diagonal", "there are: left-right, random, top-bottom"),
        ("policy.region=box", "set layout to region"),
    ],
)
def test_near_misses_of_fixed_values(word: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        read_recipe("nano", [word])


def test_an_axis_may_be_named_by_its_cut() -> None:
    assert read_recipe("nano", ["policy.axis=horizontal"]).policy.axis == "top-bottom"


def test_reasons_and_examples_of_rules_are_no_part_of_a_runs_name() -> None:
    rule = {"require": "a.view = b.view"}
    names = {
        make_recipe({"samples": 1, "policy": {"rules": rules}}).identity("x")
        for rules in (
            {"pairs": [rule]},
            {"name": "mine", "pairs": [{**rule, "why": "views differ"}]},
            {"pairs": [rule], "examples": [{"a": "1", "b": "2", "allowed": True}]},
        )
    }
    assert len(names) == 1
    assert make_recipe({"samples": 1, "policy": {"rules": {}}}).identity("x") not in names


def test_rules_survive_in_the_resolved_recipe(tmp_path: Path) -> None:
    recipe = read_recipe("nano", ["policy.rules=radiology"])
    write_recipe(recipe, tmp_path / "recipe.yaml")
    assert read_recipe(tmp_path / "recipe.yaml") == recipe
    assert recipe.policy.rules is not None


@pytest.mark.parametrize(
    "override",
    [
        "betas=[2, 3]",
        "betas=[0.9, -1]",
        "epochs=.inf",
        "seed=18446744073709551616",
        "augmentation.crop_scale=[1.0, 0.5]",
        "augmentation.crop_scale=[0, 1]",
        "augmentation.crop_scale=[0.5, 2]",
        "augmentation.crop_scale=[.nan, 1]",
        "augmentation.crop_ratio=[2, 1]",
        "augmentation.strong_scale=[-1, 1]",
    ],
)
def test_numbers_that_nothing_can_be_done_with_are_refused(override: str) -> None:
    with pytest.raises(UserError, match=override.partition("=")[0]):
        read_recipe("nano", [override])


def test_a_file_that_is_no_text_is_one_clear_sentence(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes("# 設定\nmodel: nano\nsamples: 1\n".encode("cp932"))
    with pytest.raises(UserError, match=r"r\.yaml cannot be read .*UTF-8"):
        read_recipe(file)
    with pytest.raises(UserError, match="unknown recipe"):
        read_recipe("a" * 5000)


def test_what_a_runs_recipe_says_is_null_can_be_given(tmp_path: Path) -> None:
    write_recipe(read_recipe("nano"), tmp_path / "recipe.yaml")
    again = read_recipe(tmp_path / "recipe.yaml", ["policy.rules=radiology"])
    assert again.policy.rules is not None


def test_a_key_of_older_recipes_is_ignored_with_a_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fields = {**read_recipe("nano").model_dump(mode="json"), "forgetting": None}
    assert make_recipe(fields) == read_recipe("nano")
    assert not caplog.messages
    assert read_recipe("nano", ["forgetting.source=pairs.csv"]) == read_recipe("nano")
    assert "--against START" in caplog.text


@pytest.mark.parametrize(("key", "neutral", "other"), [("added", False, True), ("halves", 0.0, 0.5)])
def test_a_key_that_is_gone_is_read_where_it_did_nothing(key: str, neutral: Any, other: Any) -> None:
    fields = read_recipe("nano").model_dump(mode="json")
    fields["policy"][key] = neutral
    assert make_recipe(fields) == read_recipe("nano")
    fields["policy"][key] = other
    with pytest.raises(UserError, match=f"policy: the key {key} is gone, .*; leave it out\\.$"):
        make_recipe(fields)


def test_a_model_of_ones_own_is_named_by_what_it_says(tmp_path: Path) -> None:
    def name(file: str, text: str) -> str:
        (tmp_path / file).write_text(text, "utf-8")
        return make_recipe({"model": str(tmp_path / file), "samples": 1}).identity("data")

    towers = '"vision_cfg": {}, "text_cfg": {}}'
    before = name("one.json", '{"embed_dim": 16, ' + towers)
    assert name("moved.json", '{"embed_dim": 16, ' + towers) == before
    assert name("one.json", '{"embed_dim": 32, ' + towers) != before


def test_old_names_of_keys_are_read_with_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "clipc")
    recipe = make_recipe({"samples": 10, "mask": False, "chunks": 2, "batches": "distinct"})
    assert (recipe.mask_false_negatives, recipe.grad_cache_chunks, recipe.batch_sampling) == (False, 2, "distinct")
    assert "the key mask is now called mask_false_negatives" in caplog.text
    with pytest.raises(UserError, match="mask is the old name of mask_false_negatives; leave mask out"):
        make_recipe({"samples": 10, "mask": False, "mask_false_negatives": True})
