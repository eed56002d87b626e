import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.compose.captions import fit, join, shorten


def words(text: str) -> int:
    """A tokenizer whose tokens are words of at most four letters' worth."""
    return sum(-(-len(word) // 4) for word in text.split())


@pytest.mark.parametrize(
    ("first", "second", "joint"),
    [
        ("A dog runs.", "A cat sleeps.", "A dog runs and A cat sleeps."),
        ("many trees . ", "a river", "many trees and a river"),
        ("one", "two", "one and two"),
    ],
)
def test_join(first: str, second: str, joint: str) -> None:
    assert join(first, second) == joint


texts = st.lists(st.text("abcdefgh", min_size=1, max_size=9), min_size=1, max_size=40).map(" ".join)


@given(texts, texts, st.integers(6, 40))
def test_both_parts_stay_and_the_limit_holds(first: str, second: str, limit: int) -> None:
    joint, cut = fit(first, second, " and ", words, limit)
    assert words(joint) <= limit
    left, right = joint.split(" and ", 1)
    assert left
    assert right
    assert first.startswith(left)
    assert second.startswith(right)
    assert cut == (joint != join(first, second))


@given(texts, st.integers(1, 40))
def test_shorten_keeps_as_many_whole_words_as_fit(text: str, limit: int) -> None:
    kept = shorten(text, words, limit)
    assert text.startswith(kept)
    assert words(kept) <= limit
    if kept != text and " " in kept:
        longer = " ".join(text.split()[: len(kept.split()) + 1])
        assert words(longer) > limit


def test_plain_captions_are_cut_and_counted_too() -> None:
    assert fit("aa bb cc", None, " and ", words, 2) == ("aa bb", True)
    assert fit("aa bb", None, " and ", words, 2) == ("aa bb", False)
