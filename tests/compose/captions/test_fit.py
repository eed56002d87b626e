from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipc.compose.captions.fit import fit, shorten
from clipc.compose.captions.joint import Wording
from clipc.compose.captions.language import noun_phrase
from clipc.compose.layouts.tiles import LEFT_RIGHT


def words(text: str) -> int:
    """A tokenizer whose tokens are words of at most four letters' worth."""
    return sum(-(-len(word) // 4) for word in text.split())


def octets(text: str) -> int:
    """A tokenizer of bytes, as costly as can be."""
    return len("".join(text.split()).encode())


def joined(strategy: str = "join", joiner: str | None = None):
    return partial(Wording(strategy, joiner).text, shape_index=LEFT_RIGHT, swapped=False)


def minimal(first: str, second: str, count=words) -> str:
    """The least that is left: a character of each."""
    return f"{shorten(first, count, -1)} {shorten(second, count, -1)}"


some_words = st.lists(st.text("pqrsuvw", min_size=1, max_size=9), min_size=1, max_size=40).map(" ".join)
anything = st.text(min_size=1, max_size=60).filter(lambda text: text.strip() != "")
mixed = st.lists(
    st.sampled_from(
        ["a dog", " ", "赤い円の", "写真、", "がある。", "🐈‍⬛", "、", "(", "etc.", "X線", "unbelievably", "\n", "…"]
    ),
    min_size=1,
    max_size=30,
).map("".join)
texts = st.one_of(some_words, anything, mixed.filter(lambda text: text.strip() != ""))
wordings = st.sampled_from([joined(), joined(joiner=""), joined(joiner=" "), joined("spatial")])


@given(texts, texts, wordings, st.integers(0, 60), st.sampled_from([words, octets]))
@example("0", "00", joined(joiner=""), 1, words)  # one word together, two apart
@example("00一", "0", joined(), 1, words)
def test_the_limit_holds_wherever_it_can(first: str, second: str, text, limit: int, count) -> None:
    joint, cut = fit(first, second, text, count, limit)
    whole = text(first, second)
    assert cut == (count(whole) > limit)
    if not cut:
        assert joint == whole
        return
    least = minimal(first, second, count)
    if limit >= count(least):
        assert count(joint) <= limit
    else:
        assert count(joint) <= limit or joint.replace(" ", "") == least.replace(" ", "")


@given(some_words, some_words, st.integers(2, 60))
def test_both_parts_stay(first: str, second: str, limit: int) -> None:
    joint, _ = fit(first, second, joined(), words, limit)
    left, conjunction, right = joint.partition(" and ")
    if not conjunction:
        left, right = joint.split()
    assert left
    assert right
    assert first.startswith(left)
    assert second.startswith(right)


@given(some_words, some_words, st.integers(6, 60))
def test_each_part_may_use_half_and_what_the_other_leaves(first: str, second: str, limit: int) -> None:
    joint, cut = fit(first, second, joined(), words, limit)
    left, right = joint.split(" and ")
    available = limit - 1
    for mine, short, other in ((first, left, second), (second, right, first)):
        if words(mine) <= max(available // 2, available - words(other)):
            assert short == mine
    if cut:
        # What is left over is less than the next word of either part costs.
        for mine, short in ((first, left), (second, right)):
            following = mine[len(short) :].split()
            assert not following or words(joint) + words(following[0]) > limit or not mine[len(short)].isspace()


@given(texts, st.integers(1, 40), st.sampled_from([words, octets]))
def test_shorten_keeps_as_many_whole_words_as_fit(text: str, limit: int, count) -> None:
    short = shorten(text, count, limit)
    assert short.strip()
    if count(text) <= limit:
        assert short == text
        return
    assert text.strip().startswith(short) or text.strip().endswith(short)
    assert count(short) <= limit or len(short) == 1


@given(some_words, st.integers(1, 40))
def test_shorten_stops_only_where_the_next_word_is_too_much(text: str, limit: int) -> None:
    short = shorten(text, words, limit).split()
    if len(short) < len(text.split()) and text.split()[: len(short)] == short:
        assert words(" ".join(text.split()[: len(short) + 1])) > limit


def test_plain_captions_are_cut_and_told_too() -> None:
    assert fit("aa bb cc", None, joined(), words, 2) == ("aa bb", True)
    assert fit("aa bb", None, joined(), words, 2) == ("aa bb", False)
    assert fit(" aa bb. ", None, joined(), words, 2) == (" aa bb. ", False)


@pytest.mark.parametrize(
    ("limit", "joint"),
    [(1, "o t"), (2, "one two"), (3, "one and two"), (4, "one and two fish"), (5, "one fish and two fish")],
)
def test_small_limits_keep_both_parts(limit: int, joint: str) -> None:
    assert fit("one fish swims", "two fish swim", joined(), words, limit) == (joint, True)


def test_long_captions_of_several_sentences() -> None:
    first = "The view is frontal. " * 125
    joint, cut = fit(first, "One word.", joined(), words, 75)
    assert cut
    assert joint.endswith(" and One word.")
    assert 70 <= words(joint) <= 75
    joint, _ = fit(first, first, joined(), words, 75)
    left, right = joint.split(" and ")
    assert abs(words(left) - words(right)) <= 3


def test_nothing_dangles_at_a_cut() -> None:
    assert shorten("a dog, a cat", words, 3) == "a dog"
    assert shorten("a dog on the (big) lawn", words, 4) == "a dog"
    assert shorten("many trees and many roads", words, 4) == "many trees"
    assert shorten("the 、 、", words, 1) == "the"
    assert shorten("( ( ( (", words, 2) in ("(", "( (")


def all_cuts(text: str) -> set[str]:
    return {short for limit in range(1, len(text) + 1) if len(short := shorten(text, len, limit)) >= 3}


def test_japanese_is_cut_between_phrases() -> None:
    text = "この赤いボルトの頭に、長い傷がある。"
    assert all_cuts(text) == {
        "この赤いボルト",
        "この赤いボルトの頭",
        "この赤いボルトの頭に、長い",
        "この赤いボルトの頭に、長い傷",
        text,
    }


def test_a_japanese_noun_phrase_keeps_its_noun() -> None:
    assert all_cuts("作業台の上に置かれた、傷のある赤いボルトの写真") == {
        *("赤いボルトの写真", "ある赤いボルトの写真", "傷のある赤いボルトの写真", "置かれた、傷のある赤いボルトの写真"),
        *("上に置かれた、傷のある赤いボルトの写真", "作業台の上に置かれた、傷のある赤いボルトの写真"),
    }


def test_joiners_of_cut_japanese_captions_stay_grammatical() -> None:
    first, second = "作業台の上に置かれた赤いボルトには傷がある。", "青いトレーの中のナット"
    for limit in range(8, 36):
        joint, _ = fit(first, second, joined(), len, limit)
        assert joint.endswith("ナット")
        left, also, _ = joint.partition("。また、")
        if not also:
            left = next(
                first[:n] for n in range(len(first), 0, -1) if joint.startswith((first[:n] + "と", first[:n] + " "))
            )
            assert noun_phrase(left)


def test_a_control_that_keeps_one_caption_uses_the_whole_room() -> None:
    long = " ".join(["word"] * 100)
    assert fit(long, "unused words " * 20, joined("first"), words, 10) == (" ".join(["word"] * 10), True)
    assert fit("unused words " * 20, long, joined("second"), words, 10) == (" ".join(["word"] * 10), True)


def test_a_caption_that_fits_is_counted_once() -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return words(text)

    fit("a dog", "a cat", joined(), count, 20)
    assert counted == ["a dog and a cat"]
