import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.values import captions, image_name, is_missing, labels, main_label, plain_values, written_value

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0")).map("word ".__add__)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a gear", ["a gear"]),
        (["a", ["b", None]], ["a", "b"]),
        (7, ["7"]),
        ({"en": "gear", "ja": "歯車"}, ["gear"]),
        ({"caption_ja": "歯車", "caption_en": ["a", "b"]}, ["a", "b"]),
        ({"de": "ein Rad"}, ["ein Rad"]),
        ([{"raw": "a .", "tokens": ["a"], "sentid": 1}, {"raw": "b"}], ["a .", "b"]),
        ({"raw": ["a", "b"], "sentid": [1, 2]}, ["a", "b"]),
        ({"text": ["typed by hand"]}, ["typed by hand"]),
        ([{"lang": "ja", "text": "歯車"}, {"lang": "en-US", "text": "gear"}], ["gear"]),
        ('["a", "b, c"]', ["a", "b, c"]),
        ("['a gear', \"it's one\"]", ["a gear", "it's one"]),
        ("['a gear'\n 'two']", ["a gear", "two"]),
        ("array(['a', 'b'], dtype=object)", ["a", "b"]),
        ("[{'raw': 'a'}, {'raw': 'b'}]", ["a", "b"]),
        ('{"en": "gear", "ja": "歯車"}', ["gear"]),
        ("[anime style] a gear [x]", ["[anime style] a gear [x]"]),
        ("[1, 2]", ["[1, 2]"]),
        (np.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_captions_of_every_form(value: Any, expected: list[str]) -> None:
    assert captions(value) == expected


def test_captions_are_in_the_language_of_the_option() -> None:
    value = {"en": "gear", "ja": ["歯車", "部品"]}
    assert captions(value, "ja") == captions({"japanese": value["ja"], "english": "x"}, "ja") == ["歯車", "部品"]
    assert captions([{"language": "en", "value": "x", "text": "x"}, {"language": "ja", "text": "歯車"}], "ja") == [
        "歯車"
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"bbox": 1, "area": 2}, "keys bbox, area: none is"),
        ({str(n): n for n in range(5000)}, "0, 1, 2, 3, 4 and 4,995 more"),
        ({"de": "Rad", "fr": "roue"}, "keys de, fr"),
        ([{"lang": "de", "text": "Rad"}, {"lang": "fr", "text": "roue"}], "several languages"),
        (b"bytes", "bytes"),
        ([[[[[[[[[["deep"]]]]]]]]]], "too many"),
        ("['a', 'b", ""),
        ("['a', b']", "cannot be read as one"),
        ("['a' ... 'z']", "cannot be read as one"),
    ],
)
def test_what_is_no_caption_is_named_and_never_a_repr(value: Any, words: str) -> None:
    if not words:
        assert captions(value) == [value]
        return
    with pytest.raises(ValueError, match=words) as caught:
        captions(value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [None, math.nan, "", " nan ", "NaN", "None", "null", "N/A", "<NA>", "#REF!", "NULL"])
def test_missing_values_are_neither_captions_nor_labels_nor_metadata(value: Any) -> None:
    assert is_missing(value)
    assert captions(value) == captions([value, {"en": value}]) == labels(value) == labels([value]) == []
    assert plain_values({"a": value, "b": 1}) == {"b": 1}
    assert image_name(value) is None


def test_words_that_may_be_classes_are_no_missing_labels() -> None:
    assert [labels(word) for word in ("none", "-", "+", "なし")] == [["none"], ["-"], ["+"], ["なし"]]
    assert captions("none") == captions("-") == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" scratch ", ["scratch"]),
        ("Mass|Edema|Mass", ["Mass", "Edema"]),
        (["Mass", "Edema"], ["Mass", "Edema"]),
        ("['Mass', 'Edema']", ["Mass", "Edema"]),
        ('{"choices": ["ok", "bad"]}', ["ok", "bad"]),
        ({"id": 3, "name": "gear"}, ["gear"]),
        (1.0, ["1"]),
        (0.5, ["0.5"]),
        (True, ["True"]),
        ("007", ["007"]),
        ([3, 17], ["3", "17"]),
    ],
)
def test_labels_of_every_form(value: Any, expected: list[str]) -> None:
    assert labels(value) == expected


@pytest.mark.parametrize("value", [{"box": 1}, [0, 1, 0, 1], [0.25, 0.5]])
def test_what_is_no_label_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="the label is"):
        labels(value)


def test_several_labels_are_kept_beside_the_main_one() -> None:
    more: dict[str, Any] = {}
    assert main_label(["b", "a"], more) == "b"
    assert more == {"all_labels": "b|a"}
    assert main_label([], {}) is None


def test_image_names() -> None:
    assert [image_name(value) for value in ("a.jpg ", 17, 17.0, {"path": "b"}, ["c"], [])] == [
        *("a.jpg", "17", "17", "b", "c"),
        None,
    ]
    with pytest.raises(ValueError, match="2 images"):
        image_name(["a", "b"])


@given(st.lists(TEXTS, min_size=1))
def test_lists_written_by_programs_are_read_back(texts: list[str]) -> None:
    import json

    assert captions(json.dumps(texts)) == captions(str(texts)) == texts
    assert captions("[" + "\n ".join(map(repr, texts)) + "]") == texts


@given(st.text())
def test_any_text_is_itself_or_refused(text: str) -> None:
    try:
        value = written_value(text)
    except ValueError:
        return
    assert value is text or isinstance(value, (list, dict))


def test_objects_that_name_files_and_images_that_are_written_as_text() -> None:
    named = [
        {"file_name": "a.jpg", "width": 3},
        {"path": None, "url": "https://x/a.jpg"},
        {"bytes": "", "src": "c.png"},
    ]
    assert [image_name(value) for value in named] == ["a.jpg", "https://x/a.jpg", "c.png"]
    folder = "folder/" * 50
    assert image_name(folder + "a.jpg") == folder + "a.jpg"
    assert image_name("{'path': 'a.jpg'}") == image_name('{"path": "a.jpg", "bytes": null}') == "a.jpg"
    assert image_name("{a}.jpg") == "{a}.jpg"
    for printed in (
        "<PIL.PngImagePlugin.PngImageFile image mode=RGB size=2x2 at 0x7F>",
        "{'bytes': b'x', 'path': 'a'}",
    ):
        with pytest.raises(ValueError, match="what Python prints"):
            image_name(printed)
    for encoded in ("data:image/png;base64,iVBORw0KGgo", "iVBORw0KGgo" * 40):
        with pytest.raises(ValueError, match="the image itself, written as text"):
            image_name(encoded)
