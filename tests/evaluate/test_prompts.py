"""Prompts: grammar, the sets that ship, and the user's own files."""

import json
from pathlib import Path

import pytest
from PIL import Image

from clipc.catalog.open import open_catalog
from clipc.catalog.options import ImageOptions
from clipc.errors import UserError
from clipc.evaluate.prompts import (
    LANGUAGES,
    TEMPLATE_SETS,
    built_in_templates,
    fill,
    prompt_language,
    read_class_names,
    read_templates,
)


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("bolt", "a bolt"),
        ("airplane", "an airplane"),
        ("Unit", "a Unit"),
        ("university", "a university"),
        ("unpainted part", "an unpainted part"),
        ("unimportant", "an unimportant"),
        ("uninsulated wire", "an uninsulated wire"),
        ("used part", "a used part"),
        ("umbrella", "an umbrella"),
        ("urban area", "an urban area"),
        ("utensil", "a utensil"),
        ("utter mess", "an utter mess"),
        ("European", "a European"),
        ("one-way street", "a one-way street"),
        ("onion", "an onion"),
        ("hour", "an hour"),
        ("honest man", "an honest man"),
        ("house", "a house"),
        ("X-ray", "an X-ray"),
        ("x-ray", "an x-ray"),
        ("U-bolt", "a U-bolt"),
        ("O-ring", "an O-ring"),
        ("T-junction", "a T-junction"),
        ("LED", "an LED"),
        ("USB plug", "a USB plug"),
        ("8 mm screw", "an 8 mm screw"),
        ("11-tooth gear", "an 11-tooth gear"),
        ("1-tooth gear", "a 1-tooth gear"),
        ("the sky", "the sky"),
        ("an apple", "an apple"),
        ("ant", "an ant"),
        ("歯車", "a 歯車"),
    ],
)
def test_the_article_fits_the_name(name: str, phrase: str) -> None:
    assert fill("a photo of a {}.", name) == f"a photo of {phrase}."
    assert fill("A {} and an {}", name).lower() == f"{phrase} and {phrase}".lower()


def test_names_are_put_in_as_they_are() -> None:
    assert fill("the {}, {}", "gear") == "the gear, gear"
    assert fill("the {}", "an apple") == "an apple"
    assert fill("a {} of {}", "{} \\1") == "a {} \\1 of {} \\1"
    assert fill("{}の写真", "歯車") == "歯車の写真"


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", TEMPLATE_SETS)
def test_every_set_ships_in_both_languages(name: str, lang: str) -> None:
    templates = built_in_templates(name, lang)
    assert len(templates) == len(set(templates)) >= 5
    assert all(any(ord(c) > 0x3000 for c in t) == (lang == "ja") for t in templates)


def test_a_wrong_name_is_answered_by_the_nearest() -> None:
    with pytest.raises(UserError, match="satellite"):
        built_in_templates("satelite")
    with pytest.raises(UserError, match="ja"):
        built_in_templates("general", "jp")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("t.txt", "\na {}\n\n{}の写真\n".encode("utf-8-sig")),
        ("t.txt", "a {}\r\n{}の写真\r\n".encode("cp932")),
        ("t.txt", "a {}\n{}の写真".encode("utf-16")),
        ("t.yaml", b'en:\n- "a {}"\n'),
        ("t.yml", '- "a {}"\n- "{}の写真"\n'.encode()),
        ("t.json", b'["a {}", "{}\\u306e\\u5199\\u771f"]'),
    ],
)
def test_own_templates(tmp_path: Path, file: str, content: bytes) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    if b"en:" in content:
        with pytest.raises(UserError, match="list of templates"):
            read_templates(path)
    else:
        assert read_templates(path) == ("a {}", "{}の写真")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("t.txt", "a {}\na photo", r"template 2 of .*t\.txt \('a photo'\) has no \{\}"),
        ("t.txt", "", "has no templates"),
        ("t.yaml", "a: [", "not valid YAML"),
        ("t.json", "{", "not valid JSON"),
    ],
)
def test_wrong_templates_are_one_clear_sentence(tmp_path: Path, file: str, content: str, message: str) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        read_templates(tmp_path / file)
    assert "\n" not in str(error.value)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_templates(tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_bytes(b"\x81\x00{}\xff\xfd")
    with pytest.raises(UserError, match="save it as UTF-8"):
        read_templates(tmp_path / "bad.txt")


def test_class_names_by_label_or_in_order(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text("b: bolt\na: 'nut'\n1: washer\nextra: x\n", encoding="utf-8")
    (tmp_path / "n.txt").write_text("washer\nnut\nbolt\n", encoding="utf-8")
    expected = {"1": "washer", "a": "nut", "b": "bolt"}
    assert read_class_names(tmp_path / "n.yaml", ["b", "a", "1"]) == expected
    assert read_class_names(tmp_path / "n.txt", ["b", "a", "1"]) == expected
    with pytest.raises(UserError, match=r"no name for the label\(s\) c"):
        read_class_names(tmp_path / "n.yaml", ["a", "c"])
    with pytest.raises(UserError, match="names 3 classes, but there are 2 labels: a, c"):
        read_class_names(tmp_path / "n.txt", ["a", "c"])


DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("form", ["{}", "{:03d}"])
def test_a_list_of_names_is_matched_by_number(tmp_path: Path, first: int, form: str) -> None:
    (tmp_path / "n.txt").write_text("\n".join(DIGITS), encoding="utf-8")
    labels = [form.format(number + first) for number in range(12)]
    names = read_class_names(tmp_path / "n.txt", labels[::-1])
    assert list(names.items()) == list(zip(labels, DIGITS, strict=True))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["0", "1", "3"], "do not run from 0 to 2 or from 1 to 3"),
        (["2", "3", "4"], "do not run from 0 to 2"),
        (["-1", "0", "1"], "do not run"),
        (["7", "07", "8"], "do not run"),
        (["c1", "c2", "c10"], r"two orders: alphabetically \(c1, c10, c2\) and by the numbers in them \(c1, c2, c10\)"),
        (["2", "10", "ng"], "two orders"),
        ([str(n) for n in range(12)], "names 3 classes, but there are 12 labels: 0, 1, 2, 3"),
    ],
)
def test_a_list_whose_labels_are_open_is_refused(tmp_path: Path, labels: list[str], message: str) -> None:
    (tmp_path / "n.txt").write_text("a\nb\nc\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_class_names(tmp_path / "n.txt", labels)


def test_labels_with_equal_numbers_of_digits_have_one_order(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("a\nb\nc\n", encoding="utf-8")
    for labels in (["c01", "c02", "c10"], ["a-1", "a1", "b"], ["10", "11", "ng"]):
        assert list(read_class_names(tmp_path / "n.txt", labels).values()) == ["a", "b", "c"]


def test_names_by_label_find_numbers_with_zeros(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text("007: bolt\n10: nut\n", encoding="utf-8")
    assert read_class_names(tmp_path / "n.yaml", ["010", "007"]) == {"007": "bolt", "010": "nut"}
    with pytest.raises(UserError, match=r"no name for the label\(s\) 07"):
        read_class_names(tmp_path / "n.yaml", ["07", "7", "10"])


@pytest.mark.parametrize(
    ("captions", "names", "lang"),
    [
        (["a gear", "a dent", "傷の写真"], [], "en"),
        (["歯車", "へこみ", "a dent"], ["dent"], "ja"),
        ([], ["傷", "へこみ"], "ja"),
        ([], ["scratch"], "en"),
        ([], [], "en"),
    ],
)
def test_prompts_are_in_the_language_of_the_captions(
    captions: list[str], names: list[str], lang: str, tmp_path: Path
) -> None:
    rows = [{"image": f"{n}.png", "caption": text} for n, text in enumerate(captions or ["", ""])]
    for row in rows:
        Image.new("RGB", (8, 8)).save(tmp_path / row["image"])
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert prompt_language(open_catalog(tmp_path / "pairs.jsonl", ImageOptions()), names) == lang
