"""Shortens captions to a token limit. A joint caption always keeps a piece of both its parts."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from clipc.compose.captions.language import japanese, noun_phrase

if TYPE_CHECKING:
    from budoux import Parser

TokenCounter = Callable[[str], int]
"""Counts the tokens of a text, without start and end tokens."""

Join = Callable[[str, str], str]
"""Joins two captions, whole or shortened."""

_DANGLING_END: Final = re.compile(
    r"([\s,;:、，；：・([{<（「『【〈《\u200d\-]+|\s+(?:a|an|the|and|or|of|in|on|at|to|with|by|from|for))$"
)
"""An end that no shortened caption should have: white space, punctuation, an article, a preposition, a conjunction."""
_PARTICLE_END: Final = re.compile(r"(?<=[^\u3041-\u309f\s])(?:には|では|とは|[はがをにでとへもやの])$")
"""A Japanese particle, which no shortened caption should end with: it refers to words that were cut off."""


def fit(first: str, second: str | None, join: Join, count: TokenCounter, limit: int) -> tuple[str, bool]:
    """The caption of a plan row within a token limit.

    If a joint caption is too long, both parts are shortened. Each may use half of the tokens that the joining words
    leave; a part that needs fewer leaves the rest to the other. If the joining words leave too few tokens, a space
    takes their place. A caption that fits is counted once.

    Args:
        first: The first image's caption.
        second: The second image's caption; None for a row with one caption.
        join: Joins two captions, whole or shortened.
        count: The number of tokens of a text, without start and end tokens.
        limit: The largest number of tokens, without start and end tokens.

    Returns:
        The caption, and whether anything was cut. The caption exceeds the limit only if one character of each part
        is already too long.
    """
    if second is None:
        short = shorten(first, count, limit)
        return short, short != first
    whole = join(first, second)
    if count(whole) <= limit:
        return whole, False
    a, b = (_Part.of(caption.strip(), count, limit) for caption in (first, second))
    joint = _balanced(a, b, join, count, limit)
    if count(joint) > limit:
        joint = _balanced(a, b, lambda one, other: f"{one} {other}", count, limit)
    return joint, True


def shorten(text: str, count: TokenCounter, limit: int) -> str:
    """The longest start of a text that ends at a word or phrase boundary and has at most ``limit`` tokens.

    Japanese is cut between phrases (found by BudouX), other text at white space. A Japanese noun phrase keeps its end
    instead of its start, because its noun comes last. If a single word or phrase is too long, it is cut inside; one
    character always stays.
    """
    if count(text) <= limit:
        return text
    text = text.strip()
    cuts = _cuts(text)

    def fits(length: int) -> bool:
        return count(cuts.cut(text, length)) <= limit

    whole_words = _largest_fitting((0, *cuts.lengths), fits)
    return cuts.cut(text, whole_words or _largest_fitting(range(1, cuts.lengths[0] + 1), fits))


@dataclass(frozen=True)
class _Cuts:
    """The positions at which a text may be cut.

    Attributes:
        lengths: The possible lengths in characters, ascending, from one word (or phrase) to the whole text.
        backwards: Whether the end of the text is kept instead of its start.
    """

    lengths: tuple[int, ...]
    backwards: bool

    def cut(self, text: str, length: int) -> str:
        """The text shortened to a length."""
        return text[len(text) - length :] if self.backwards else text[:length]


@dataclass(frozen=True)
class _Part:
    """One of the two captions in a joint caption, with the token counts of its possible lengths.

    Attributes:
        text: The caption.
        cuts: The positions at which the caption may be cut.
        costs: The approximate token count at each of ``cuts.lengths``, up to the first that exceeds the limit.
    """

    text: str
    cuts: _Cuts
    costs: list[int]

    @classmethod
    def of(cls, text: str, count: TokenCounter, limit: int) -> "_Part":
        # Counting word by word hits the token counter's cache, since words recur in a data set and captions do not.
        cuts, costs, counted = _cuts(text), list[int](), 0
        for length in cuts.lengths:
            shortened = cuts.cut(text, length)
            added = shortened[: length - counted] if cuts.backwards else shortened[counted:]
            costs.append(count(added.strip()) + (costs[-1] if costs else 0))
            counted = length
            if costs[-1] > limit:
                break
        return cls(text, cuts, costs)

    @property
    def word_length(self) -> int:
        """The length of the first word that is kept, in characters."""
        return self.cuts.lengths[0]

    def cut(self, length: int) -> str:
        """The caption shortened to a length."""
        return self.cuts.cut(self.text, length)

    def length_within(self, share: int) -> int:
        """The greatest length with about ``share`` tokens at most, at least one character."""
        affordable = bisect_right(self.costs, share)
        if affordable:
            return self.cuts.lengths[affordable - 1]
        return min(self.word_length, max(1, self.word_length * share // self.costs[0]))

    def shortening_priority(self, length: int) -> tuple[int, float]:
        """The part with the greater value is shortened next: parts of several words first, then the costlier part."""
        if length <= 1:
            return 0, 0.0
        if length <= self.word_length:
            return 1, self.costs[0] * length / self.word_length
        return 2, self.costs[min(bisect_left(self.cuts.lengths, length), len(self.costs) - 1)]

    def next_shorter(self, length: int) -> int:
        """The length with one word less, or one character less inside the first word."""
        return (
            self.cuts.lengths[bisect_left(self.cuts.lengths, length) - 1] if length > self.word_length else length - 1
        )

    def extend(self, length: int, slack: int, fits: Callable[[int], bool]) -> int:
        """The greatest length that fits, given a length that fits and leaves ``slack`` tokens unused."""
        following = bisect_right(self.cuts.lengths, length)
        longer = self.cuts.lengths[following:]
        if following and following < len(self.costs) and self.costs[following] - self.costs[following - 1] > slack:
            return length
        return _largest_fitting((length, *longer), fits) if longer and fits(longer[0]) else length


def _balanced(a: _Part, b: _Part, join: Join, count: TokenCounter, limit: int) -> str:
    """Joins both parts, each as long as its share of the limit allows and at least one character long."""

    def joint(n: int, m: int) -> str:
        return join(a.cut(n), b.cut(m))

    joining = max(0, count(joint(a.word_length, b.word_length)) - a.costs[0] - b.costs[0])
    available = max(2, limit - joining)
    share = min(a.costs[-1], max(available // 2, available - b.costs[-1]))
    n, m = a.length_within(share), b.length_within(available - share)
    # The sum of the words' counts only approximates the count of the text, so the lengths are corrected afterwards.
    while (cost := count(joint(n, m))) > limit and (n > 1 or m > 1):
        if a.shortening_priority(n) > b.shortening_priority(m):
            n = a.next_shorter(n)
        else:
            m = b.next_shorter(m)
    if cost <= limit:
        n = a.extend(n, limit - cost, lambda length: count(joint(length, m)) <= limit)
        m = b.extend(m, limit - count(joint(n, m)), lambda length: count(joint(n, length)) <= limit)
    return joint(n, m)


@lru_cache(maxsize=1 << 14)
def _cuts(text: str) -> _Cuts:
    ends: list[int] = []
    for word in re.finditer(r"\S+", text):
        phrases = _parser().parse(word.group()) if japanese(word.group()) else [word.group()]
        ends += list(accumulate(map(len, phrases), initial=word.start()))[1:]
    if japanese(text[-1:]) and noun_phrase(text):
        return _Cuts(tuple(sorted({len(text) - end for end in (0, *ends[:-1])})), backwards=True)
    return _Cuts(tuple(sorted({_without_dangling(text, end) for end in ends[:-1]} | {len(text)})), backwards=False)


def _without_dangling(text: str, end: int) -> int:
    """The end of ``text[:end]`` without the words and particles that would dangle there."""
    rest = text[max(0, end - 40) : end]
    while (dangling := _DANGLING_END.search(rest) or _PARTICLE_END.search(rest)) and dangling.start():
        rest = rest[: dangling.start()]
    return end - min(end, 40) + len(rest)


@lru_cache(maxsize=1)
def _parser() -> "Parser":
    import budoux

    return budoux.load_default_japanese_parser()


def _largest_fitting(values: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The largest of ascending values that fits, found by bisection; the first value is assumed to fit."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(values[middle]) else (low, middle - 1)
    return values[low]
