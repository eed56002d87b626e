"""Groups and concepts are found as words, in English and Japanese, and as values of columns."""

from pathlib import Path

import pytest

from clipc.audit.bias.audit import BiasOptions, Lists, attribute_mentions, concept_mentions
from clipc.audit.bias.lists import built_in_lists, read_lists
from clipc.audit.bias.mentions import CaptionWords, column_mentions
from clipc.errors import UserError
from compose.pairs import catalog_of


def test_of_overlapping_phrases_the_longest_counts() -> None:
    pairs = catalog_of(
        [["person: medium-light skin tone"], ["light skin tone"], ["a lightning"], ["Medium Skin Tone, dark skin tone"]]
    )
    found = CaptionWords(pairs).mentions("skin tone", built_in_lists().attributes["skin tone"])
    named = [[n for n, p in zip(found.names, row, strict=True) if p] for row in found.present]
    assert named == [["medium-light"], ["light"], [], ["medium", "dark"]]


def test_a_pair_shows_what_any_of_its_captions_names() -> None:
    pairs = catalog_of([["people", "a woman"], ["a man", "two women"], ["a womanly shape", "humans"]])
    found = CaptionWords(pairs).mentions("gender", built_in_lists().attributes["gender"])
    assert found.present.tolist() == [[True, False], [True, True], [False, False]]


def test_japanese_words_are_morphemes_after_nfkc() -> None:
    pytest.importorskip("sudachipy")
    pairs = catalog_of([["東京都の街"], ["京都の街"], ["ＴＥＮＮＩＳをする女性"], ["女の子と男性"], ["女性用の靴"]])
    words = CaptionWords(pairs)
    assert words.mentions("x", {"kyoto": ("京都",)}).present[:, 0].tolist() == [False, True, False, False, False]
    assert words.mentions("x", {"tennis": ("tennis",)}).present[2, 0]
    gender = words.mentions("gender", built_in_lists().attributes["gender"])
    assert gender.present[:, 0].tolist()[2:4] == [True, True]
    assert gender.present[:, 1].tolist() == [False, False, False, True, False]
    assert "街" in words.frequent(5, built_in_lists()).names


def test_prefixes_find_any_ending() -> None:
    found = CaptionWords(catalog_of([["he is cooking"], ["a cookie"], ["scook"]])).mentions("x", {"cook": ("cook*",)})
    assert found.present[:, 0].tolist() == [True, True, False]


def test_frequent_words_leave_out_stop_words_numbers_and_attributes() -> None:
    pairs = catalog_of([["a woman with the 12 red balls"], ["a red ball near a man"], ["red"]])
    lists = Lists(pairs, None)
    found = concept_mentions(pairs, lists, BiasOptions(concepts="words"))
    assert found.names[0] == "red"
    assert not {"woman", "man", "with", "the", "12", "near"} & set(found.names)


def test_columns_give_their_commonest_values() -> None:
    pairs = catalog_of([1] * 5, camera=["A", None, "B", "A", ""], tags=[["x"], [], ["x", "y"], None, ["y"]])
    assert column_mentions(pairs, "camera").names == ("A", "B")
    assert column_mentions(pairs, "camera").present.sum(axis=0).tolist() == [2, 1]
    assert column_mentions(pairs, "camera", 1).left_out == 1
    assert column_mentions(pairs, "tags").present.sum(axis=0).tolist() == [2, 2]


def test_a_file_extends_the_lists(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(
        "attributes:\n  uniform: {with: [in uniform, 制服], without: [plain clothes]}\n  gender: {female: [lass]}\n"
        "concepts:\n  tools: {hammer: [hammer, hammers]}\n",
        "utf-8",
    )
    lists = read_lists(file)
    assert "lass" in lists.attributes["gender"]["female"]
    assert "woman" in lists.attributes["gender"]["female"]
    assert lists.concepts["tools"] == {"hammer": ("hammer", "hammers")}
    pairs = catalog_of([["a lass in uniform with a hammer"]] * 5 + [["a man in plain clothes"]] * 5)
    attributes, skipped = attribute_mentions(pairs, Lists(pairs, file), BiasOptions())
    assert [a.name for a in attributes] == ["gender", "uniform"]
    assert skipped == ["age", "skin tone"]
    assert concept_mentions(pairs, Lists(pairs, file), BiasOptions(concepts="tools")).names == ("hammer",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attributes: [a]", "must hold names with groups"),
        ("attributes: {gender: {female: woman}}", "must be a list of words"),
        ("attribute: {}", "needs the keys attributes, concepts or stopwords"),
        ("attributes: {x: {y: [yes, no]}}", None),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_wrong_file_is_one_clear_sentence(text: str, message: str | None, tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(text)
    if message is None:
        assert read_lists(file).attributes["x"]["y"]
        return
    with pytest.raises(UserError, match=message) as caught:
        read_lists(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BiasOptions(attributes=("gendre",)), "unknown attribute 'gendre'; did you mean 'gender'"),
        (BiasOptions(attributes=("column:camra",)), "unknown column 'camra'; did you mean 'camera'"),
        (BiasOptions(attributes=("skin tone",)), "fewer than two groups that 5 of the 60 training pairs show"),
        (BiasOptions(attributes=("column:serial",)), "has 60 values, none of them on five pairs"),
    ],
)
def test_a_wrong_attribute_is_one_clear_sentence(options: BiasOptions, message: str) -> None:
    pairs = catalog_of([["a man"]] * 60, camera=["A", "B"] * 30, serial=[str(i) for i in range(60)])
    with pytest.raises(UserError, match=message):
        attribute_mentions(pairs, Lists(pairs, None), options)


@pytest.mark.parametrize(
    ("concepts", "message"),
    [
        ("label", "the source has no label column"),
        ("activitys", "unknown list of concepts 'activitys'; did you mean 'activities'"),
        ("tennis, golf", "no training pair shows any of the concepts"),
    ],
)
def test_wrong_concepts_are_one_clear_sentence(concepts: str, message: str) -> None:
    pairs = catalog_of([["a man"]] * 6)
    with pytest.raises(UserError, match=message):
        concept_mentions(pairs, Lists(pairs, None), BiasOptions(concepts=concepts))
