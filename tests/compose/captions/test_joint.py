import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.compose.captions.joint import Wording
from clipc.compose.layouts.tiles import BOX, FIRST_IMAGE, LEFT_RIGHT, OVERLAY, TOP_BOTTOM


def spatial(first: str, second: str, layout: int) -> str:
    return Wording("spatial").text(first, second, layout, False)


@pytest.mark.parametrize(
    ("first", "second", "joint"),
    [
        ("A dog runs.", "A cat sleeps.", "A dog runs and A cat sleeps."),
        ("many trees . ", "a river", "many trees and a river"),
        ("one", "two", "one and two"),
        ("There are two planes. They are white.", "a river", "There are two planes. They are white and a river"),
        ("nuts, bolts, etc.", "a gear", "nuts, bolts, etc. and a gear"),
        ("赤い円", "青い四角", "赤い円と青い四角"),
        ("赤い円が写っている。", "青い四角がある。", "赤い円が写っている。また、青い四角がある。"),
        ("赤い円がある", "青い四角", "赤い円がある。また、青い四角"),
        ("赤い円", "青い四角がある。", "赤い円。また、青い四角がある。"),
        ("赤いボルト、良品", "青いナット", "赤いボルト、良品。また、青いナット"),
        ("傷はどこ？", "青い四角", "傷はどこ？また、青い四角"),
        ("赤い円", "a blue square", "赤い円とa blue square"),
    ],
)
def test_join_by_language(first: str, second: str, joint: str) -> None:
    assert Wording().text(first, second, LEFT_RIGHT, False) == joint
    assert Wording().text(first, second, LEFT_RIGHT, True) == joint


def test_a_joiner_of_ones_own() -> None:
    assert Wording(joiner=" ").text("a dog.", "a cat.", BOX, False) == "a dog a cat."
    assert Wording(joiner="; ").text("赤い円。", "青い四角", BOX, False) == "赤い円; 青い四角"
    assert Wording(joiner="").text("a", "b", BOX, False) == "ab"
    assert Wording().text("a dog.", "a cat", 0, False) == "a dog and a cat"


def test_orders_and_controls() -> None:
    def made(strategy: str, swapped: bool) -> str:
        return Wording(strategy).text("a.", "b.", LEFT_RIGHT, swapped)

    assert [made("both-orders", swapped) for swapped in (False, True)] == ["a and b.", "b and a."]
    assert [made("one", swapped) for swapped in (False, True)] == ["a.", "b."]
    assert {made("first", swapped) for swapped in (False, True)} == {"a."}
    assert {made("second", swapped) for swapped in (False, True)} == {"b."}


@pytest.mark.parametrize(
    ("layout", "english", "japanese"),
    [
        (LEFT_RIGHT, "a dog on the left and a cat on the right", "左に赤い円、右に青い四角"),
        (TOP_BOTTOM, "a dog at the top and a cat at the bottom", "上に赤い円、下に青い四角"),
        (BOX, "a dog with an inset of a cat", "赤い円、枠の中に青い四角"),
        (OVERLAY, "a dog overlaid with a cat", "赤い円に青い四角を重ねた画像"),
        (FIRST_IMAGE, "a dog and a cat", "赤い円と青い四角"),
    ],
)
def test_spatial_phrases_agree_with_the_layout(layout: int, english: str, japanese: str) -> None:
    assert spatial("a dog.", "a cat", layout) == english
    assert spatial("赤い円", "青い四角", layout) == japanese


@pytest.mark.parametrize(
    ("layout", "joint"),
    [
        (LEFT_RIGHT, "左：円がある。右：四角がある"),
        (TOP_BOTTOM, "上：円がある。下：四角がある"),
        (BOX, "円がある。枠の中：四角がある"),
        (OVERLAY, "円がある。重ねた画像：四角がある"),
    ],
)
def test_japanese_sentences_get_labels(layout: int, joint: str) -> None:
    assert spatial("円がある。", "四角がある。", layout) == joint


def test_a_caption_that_names_a_place_is_not_contradicted() -> None:
    assert spatial("a dog on the right.", "a cat", LEFT_RIGHT) == "left half: a dog on the right; right half: a cat"
    assert spatial("a cat", "the Left lung", TOP_BOTTOM) == "top half: a cat; bottom half: the Left lung"
    assert spatial("右肺の写真", "赤い円", LEFT_RIGHT) == "左：右肺の写真。右：赤い円"


def test_several_sentences_get_labels_too() -> None:
    joint = spatial("Two planes. They are white.", "a cat", LEFT_RIGHT)
    assert joint == "left half: Two planes. They are white; right half: a cat"


captions = st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters=".．。｡"), min_size=1)


@given(captions, captions, st.sampled_from([LEFT_RIGHT, TOP_BOTTOM, BOX, OVERLAY, FIRST_IMAGE]), st.booleans())
def test_both_captions_stay_word_for_word(first: str, second: str, layout: int, swapped: bool) -> None:
    for wording in (Wording(), Wording("spatial"), Wording("both-orders"), Wording(template="{b} / {a}")):
        joint = wording.text(first, second, layout, swapped)
        assert first in joint
        assert second in joint
        assert len(joint) >= len(first) + len(second)


def test_braces_in_captions_survive_a_template() -> None:
    wording = Wording("spatial", joiner=", ", template="{a} beside {b} {c}")
    assert wording.text("{b} and {0}", r"{a} \1 {", LEFT_RIGHT, False) == r"{b} and {0} beside {a} \1 { {c}"
