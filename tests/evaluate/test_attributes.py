"""Exchanged attributes: many captions by hand in two languages, and what holds for all captions."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clipc.catalog.open import open_catalog
from clipc.evaluate.attributes.swap import bindings, swap

SWAPPED = [
    ("a red gear beside a blue plate", "a blue gear beside a red plate"),
    ("A red gear beside a blue plate.", "A blue gear beside a red plate."),
    ("Red gear beside a blue plate", "Blue gear beside a red plate"),
    ("A RED gear beside a blue plate", "A BLUE gear beside a red plate"),
    ("Light blue car and a red truck .", "Red car and a light blue truck ."),
    ("a dark green brook crosses this yellow desert", "a yellow brook crosses this dark green desert"),
    ("a silvery white roof and a blue pool", "a blue roof and a silvery white pool"),
    ("a rusty silver-grey bracket on a green mat", "a rusty green bracket on a silver-grey mat"),
    ("a small red gear beside a large plate", "a large red gear beside a small plate"),
    ("a small red gear beside a small blue plate", "a small blue gear beside a small red plate"),
    ("An orange cat on a red chair", "A red cat on an orange chair"),
    ("an old man and a young woman", "a young man and an old woman"),
    ("a red tennis court beside a green tree", "a green tennis court beside a red tree"),
    ("a man in a red shirt near a white wall", "a man in a white shirt near a red wall"),
    ("a man in red shorts on a blue bike", "a man in blue shorts on a red bike"),
    ("two dogs and three cats", "three dogs and two cats"),
    ("four tennis courts and two basketball fields", "two tennis courts and four basketball fields"),
    ("a wooden table under a metal lamp", "a metal table under a wooden lamp"),
    ("a striped shirt and plaid pants", "a plaid shirt and striped pants"),
    ("a round building near a square pool", "a square building near a round pool"),
    ("a wide road beside a narrow river", "a narrow road beside a wide river"),
    (
        "a black and white dog with a red ball and a blue collar",
        "a black and white dog with a blue ball and a red collar",
    ),
    ("a red hat , a blue shirt and green shorts", "a blue hat , a red shirt and green shorts"),
    ("a black dog with white paws", "a white dog with black paws"),
    ("two men in red shirts near three dogs in blue vests", "two men in blue shirts near three dogs in red vests"),
    ("赤い歯車の横に青い皿がある。", "青い歯車の横に赤い皿がある。"),
    ("緑のマットの上の黒いワッシャー", "黒いマットの上の緑のワッシャー"),
    ("木製の作業台の上の鋼製の六角ボルト。", "鋼製の作業台の上の木製の六角ボルト。"),
    ("大きい犬と小さい猫", "小さい犬と大きい猫"),
    ("小さな赤い車と大きな家", "大きな赤い車と小さな家"),
    ("若い男性と年老いた女性が座っている", "年老いた男性と若い女性が座っている"),
    ("二匹の犬と三匹の猫", "三匹の犬と二匹の猫"),
    ("3人の男性と2人の女性", "2人の男性と3人の女性"),
    ("白黒の犬が赤いボールと青い皿を見る", "白黒の犬が青いボールと赤い皿を見る"),
    ("丸い池と四角い建物", "四角い池と丸い建物"),
    ("縞模様のシャツと水玉のスカート", "水玉のシャツと縞模様のスカート"),
    ("古い家の前の新しい車", "新しい家の前の古い車"),
]

LEFT_ALONE = [
    "",
    "...",
    "a red gear",
    "a red gear beside a plate",
    "a red gear beside a red plate",
    "a red gear beside a blue gear",
    "two red gears beside a blue gear",
    "a big gear beside a large plate",
    "a black and white dog",
    "a black and white dog with a red ball",
    "a red , white and blue flag near a house",
    "a red/blue gear beside a plate",
    "a red or blue gear beside a plate",
    "the car is red and the house has a blue roof",
    "a red car beside a house that is blue",
    "a man in red jumps near a man in blue",
    "a man in red riding a blue bike",
    "a man in red rides a blue bike",
    "the girl in white and the boy in black",
    "a red one beside a blue ball",
    "a golden retriever with a red ball",
    "white water around a yellow boat",
    "a red light above a white car",
    "a glass of water on a wooden table",
    "an orange on a red plate",
    "one dog and two cats",
    "two or three dogs near four cats",
    "a two story house beside three trees",
    "two women ride their three wheelers",
    "an old boy and a young man",
    "an old house and a young man",
    "an old man beside the young woman",
    "the orange cat on a red chair",
    "a orange cat on a red chair",
    "a red-haired girl beside a blue house",
    "a dark blue car and a navy boat",
    "a ReD gear beside a blue plate",
    "a red slowly moving car and a blue truck",
    "a little girl with a big ball",
    "車は赤い。皿は青い。",
    "赤い車",
    "赤い車と赤い皿",
    "赤い車と青い車",
    "赤と白の車と皿",
    "赤と白の車の横の青い皿",
    "赤い、青い皿",
    "この赤いのは青い皿です",
    "赤いです。青い皿です。",
    "面白い本と赤い車",
    "青白い顔と赤い車",
    "深緑の車と赤い皿",
    "緑の多い公園と赤い屋根",
    "緑の美しい公園と赤い屋根",
    "緑の中の赤い車",
    "二匹の犬と三人の女性",
    "12台の車と3台のバス",
    "若い木と年老いた男性",
    "大きい犬と巨大な猫",
    "緑の一0白いAい",
]


@pytest.mark.parametrize(("caption", "swapped"), SWAPPED)
def test_swapped(caption: str, swapped: str) -> None:
    found = swap(caption)
    assert found
    assert found.caption == swapped


@pytest.mark.parametrize("caption", LEFT_ALONE)
def test_left_alone(caption: str) -> None:
    found = swap(caption)
    assert found is None, found.caption


def test_claims_are_what_the_swapped_caption_says_and_the_original_does_not() -> None:
    caption = "Small red gears beside a big dark blue plate"
    found = swap(caption)
    assert found
    assert found.claims == (("colour", "blue", "gear"), ("colour", "red", "plate"))
    assert set(found.claims) <= bindings(found.caption)
    assert not set(found.claims) & bindings(caption)


def _phrases(attributes: str, nouns: str, before: list[str], between: list[str], space: str) -> st.SearchStrategy[str]:
    """Phrases of some attributes and a noun, joined by this and that."""
    attribute = st.lists(st.sampled_from(attributes.split()), min_size=1, max_size=2).map(space.join)
    parts = st.tuples(st.sampled_from(before), attribute, st.sampled_from(nouns.split()), st.sampled_from(between))
    return st.lists(parts, min_size=2, max_size=4).map(
        lambda found: space.join(part for words in found for part in words if part)
    )


ENGLISH = _phrases(
    "red blue orange light-blue Red BLUE large tiny old iron three",
    "gear plates man house shirt water jumps",
    ["", "the", "a", "an", "in", "dark"],
    ["and", "beside", ",", "near"],
    " ",
)
JAPANESE = _phrases(
    "赤い 緑の 青い 青い 黄色い 大きな 小さい 木製の 鉄の 若い 老いた 二匹の 三匹の 2人の 3人の 赤 白",
    "車 車 皿 男性 トレー いす 中",
    ["", "この", "白い"],
    ["と", "の上の", "、", "。", "です"],
    "",
)


@settings(max_examples=500)
@example("緑の一0白いAい")
@given(st.one_of(ENGLISH, JAPANESE, st.text(max_size=40)))
def test_swapping_twice_gives_the_original_from_the_same_words(caption: str) -> None:
    found = swap(caption)
    if found is None:
        return
    assert found.caption != caption
    again = swap(found.caption)
    assert again
    assert again.caption == caption
    if re.search("[ぁ-ヺ一-鿿]", caption):
        assert Counter(found.caption) == Counter(caption)
    else:
        assert Counter(found.caption.lower().split()) == Counter(caption.lower().split())
    assert set(found.claims) <= bindings(found.caption)


def test_real_captions_have_enough_that_can_be_swapped(shared_data: Path) -> None:
    test = open_catalog(shared_data / "flickr8k").split("test")
    found = {text for row in range(len(test)) for text in test.captions(row) if swap(text)}
    assert len(found) >= 150
    for text in found:
        swapped = swap(text)
        assert swapped
        again = swap(swapped.caption)
        assert again
        assert again.caption == text
