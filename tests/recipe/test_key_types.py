"""A value is read as the type of its key, on the command line and in files."""

from pathlib import Path

import pytest

from clipc.errors import UserError
from clipc.recipe.recipe import Recipe, read_recipe, write_recipe
from clipc.study.arms import Range
from clipc.study.design import read_study
from clipc.study.recipes import arm_recipe

NAMES = [
    *("2024-11-01", "001", "set #1", "[2024] set", "{a}", "1e5", "12:30", "0x1F", "1_000", "123", "true", "yes", "off"),
    *(
        "~data",
        "~",
        "name: x",
        "- a",
        "*a",
        "&a",
        "!a",
        "@a",
        "%a",
        "> a",
        "| a",
        "a\tb",
        " a ",
        "",
        "'",
        "it's",
        "\\d",
    ),
    *("部品 #1", "a, b", '"a" and "b"', "'a': 'b'", "2024-13-45", ".inf"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["data.source", "data.group_column", "data.encoding", "policy.template"])
def test_text_is_taken_as_it_is_written(name: str, key: str) -> None:
    recipe = read_recipe("nano", [f"{key}={name}"])
    section, _, field = key.partition(".")
    assert getattr(getattr(recipe, section), field) == name


@pytest.mark.parametrize("name", NAMES)
def test_text_is_the_same_through_a_file(name: str, tmp_path: Path) -> None:
    recipe = read_recipe("nano", [f"data.source={name}", f"data.caption_columns={name}", f"model={name}"])
    write_recipe(recipe, tmp_path / "recipe.yaml")
    assert read_recipe(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize(("text", "value"), [("' and '", " and "), ('" "', " "), ("''", ""), ("'it''s'", "it's")])
def test_quotes_hold_text(text: str, value: str) -> None:
    assert read_recipe("nano", [f"policy.joiner={text}"]).policy.joiner == value


@pytest.mark.parametrize("word", ["null", "none", "None", "NULL"])
@pytest.mark.parametrize("key", ["pretrained", "image_size", "vocabulary", "policy.group", "policy.rules", "threads"])
def test_none_and_null_are_no_value(word: str, key: str, tmp_path: Path) -> None:
    section, _, field = key.rpartition(".")
    recipe = read_recipe("nano", [f"{key}={word}"])
    assert getattr(recipe.policy if section else recipe, field) is None
    (tmp_path / "r.yaml").write_text(f"samples: 5\n{f'policy: {{{field}: {word}}}' if section else f'{key}: {word}'}\n")
    recipe = read_recipe(tmp_path / "r.yaml")
    assert getattr(recipe.policy if section else recipe, field) is None


def test_a_quoted_none_is_a_name() -> None:
    assert read_recipe("nano", ["policy.group='none'"]).policy.group == "none"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[a, 2024-11-01, 001]", ("a", "2024-11-01", "001")),
        ("a {part} with {defect|no defect} #1", ("a {part} with {defect|no defect} #1",)),
        ("[2024] set", ("[2024] set",)),
        ("[]", ()),
        ("'#1'", ("#1",)),
        ("{a}", ("{a}",)),
    ],
)
def test_a_list_of_texts_may_be_one_text(text: str, value: tuple[str, ...]) -> None:
    assert read_recipe("nano", [f"data.caption_templates={text}"]).data.caption_templates == value


def test_numbers_and_choices_are_yaml() -> None:
    words = ["samples=1e5", "learning_rate=1e-4", "seed=007", "wise_ft=yes", "compile=off", "mask_false_negatives=no"]
    recipe = read_recipe("nano", [*words, "tune.image=2", "tune.text=locked", "betas=[0.9, 0.95]", "track=[]"])
    assert (recipe.samples, recipe.learning_rate, recipe.seed) == (100_000, 1e-4, 7)
    assert (recipe.wise_ft, recipe.compile, recipe.mask_false_negatives) == (True, False, False)
    assert (recipe.tune.image, recipe.tune.text, recipe.betas, recipe.track) == (2, "locked", (0.9, 0.95), ())


def test_values_of_files_are_read_as_their_keys_types(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "samples: 1e3\nmodel: 123\npolicy: {group: 2024-11-01}\n"
        "data:\n  source: 2024-11-01\n  key_column: 001\n  caption_columns: 2024\n  label_columns: [1, true, ~x]\n"
    )
    recipe = read_recipe(tmp_path / "r.yaml")
    assert (recipe.samples, recipe.model, recipe.policy.group) == (1000, "123", "2024-11-01")
    assert (recipe.data.source, recipe.data.key_column) == ("2024-11-01", "001")
    assert (recipe.data.caption_columns, recipe.data.label_columns) == (("2024",), ("1", "true", "~x"))


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("samples=2024-11-01", "samples: .* not 2024-11-01"),
        ("samples=2024-13-45", "the value of samples is not valid YAML"),
        ("loss=true", "unknown value of loss 'true'"),
        ("track=tensorbord", "did you mean 'tensorboard'"),
        ("modle=[2024] set", "did you mean 'model'"),
        ("data.source={a: b}", None),
        ("policy.rules=[2024] rules.yaml", r"there is no rules file \[2024\] rules.yaml"),
        ("policy.rules=set #1.yaml", "there is no rules file set #1.yaml"),
    ],
)
def test_values_of_another_type_are_one_sentence(override: str, hint: str | None) -> None:
    if hint is None:
        assert read_recipe("nano", [override]).data.source == "{a: b}"
        return
    with pytest.raises(UserError, match=hint) as caught:
        read_recipe("nano", [override])
    assert "\n" not in str(caught.value)
    assert "datetime" not in str(caught.value)


def test_rules_are_a_name_or_rules() -> None:
    rules = read_recipe("nano", ["policy.rules={name: 2024-11-01, pairs: [{require: a.x = b.x}]}"]).policy.rules
    assert rules is not None
    assert rules.name == "2024-11-01"
    assert read_recipe("nano", ['policy.rules="radiology"']) == read_recipe("nano", ["policy.rules=radiology"])


STUDY = """
name: 2024
data: {source: 2024-11-01}
recipe: nano
seeds: 1
set: {samples: 64, model: 007}
controls: 0.5
arms:
  a: {}
  b: {policy: {group: 001}, "policy.embedding": 1e5}
  "0.5": {policy.template: 1}
"""


def test_a_study_s_values_are_read_as_their_keys_types(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    study = read_study(tmp_path / "s.yaml", ["arms.a.policy.group=002", "note=a: b", "set.pretrained=3 #1"])
    assert (study.name, study.data.source, study.note, study.controls) == ("2024", "2024-11-01", "a: b", ("0.5",))
    first, second, _ = (arm_recipe(study, arm, 0, "all") for arm in study.expanded_arms)
    assert (first.model, first.policy.group, first.pretrained) == ("007", "002", "3 #1")
    assert (second.policy.group, second.policy.embedding) == ("001", "1e5")


def test_keys_of_a_study_that_are_text_may_have_choices(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    changes = ["search={trials: 2}", "set.model={one_of: [007, nano]}", "arms.b.policy.group={each: [001, none]}"]
    study = read_study(tmp_path / "s.yaml", changes)
    groups = [arm.changes["policy.group"] for arm in study.expanded_arms if arm.name.startswith("b ")]
    assert groups == ["001", "none"]
    assert study.set["model"] == {"one_of": ["007", "nano"]}
    assert Range(one_of=("007", "nano")).ends == ("007", "nano")


def test_a_tilde_is_the_home_folder_unless_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    assert read_recipe("nano", ["model=~/data"]).model == str(home / "data")
    assert read_recipe("nano", ["model=~nobody-of-this-name/x"]).model == "~nobody-of-this-name/x"
    (tmp_path / "~").mkdir()
    assert read_recipe("nano", ["pretrained=~"]).pretrained == "~"
    assert Recipe(samples=1, model="~").model == "~"
