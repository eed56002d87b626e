"""Shortens captions to a token limit; a joint caption always keeps both parts."""

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

Count = Callable[[str], int]
"""The number of tokens of a text, without start and end tokens."""

_DANGLING: Final = re.compile(
    r"([\s,;:、，；：・([{<（「『【〈《\u200d\-]+|\s+(?:a|an|the|and|or|of|in|on|at|to|with|by|from|for))$"
)
_PARTICLE: Final = re.compile(r"(?<=[^\u3041-\u309f\s])(?:には|では|とは|[はがをにでとへもやの])$")
"""Particles with which no shortened caption should end: the words after them are missing."""


def fit(first: str, second: str | None, text: Callable[[str, str], str], count: Count, limit: int) -> tuple[str, bool]:
    """The caption of a plan row within a token limit.

    A joint caption that is too long has both parts shortened: each may use half of the tokens that the
    joining words leave, and one that needs fewer leaves the rest to the other. If the joining words
    leave too few, they are omitted. A caption that fits costs one count.

    Args:
        first: The first image's caption.
        second: The second image's caption, or None for a row of one caption.
        text: Joins two captions, whole or shortened.
        count: The number of tokens of a text, without start and end tokens.
        limit: The largest number of tokens: without special tokens.

    Returns:
        The caption, and whether anything was cut. The limit is exceeded only if one character of each part
        is too long already.
    """
    if second is None:
        short = shorten(first, count, limit)
        return short, short != first
    whole = text(first, second)
    if count(whole) <= limit:
        return whole, False
    a, b = (_Part.of(caption.strip(), count, limit) for caption in (first, second))
    joint = _balanced(a, b, text, count, limit)
    if count(joint) > limit:
        joint = _balanced(a, b, lambda one, other: f"{one} {other}", count, limit)
    return joint, True


def shorten(text: str, count: Count, limit: int) -> str:
    """The longest start of a text that ends at a word or phrase boundary and costs at most ``limit`` tokens.

    Japanese is cut between phrases (BudouX), other text at white space. A Japanese noun phrase keeps its end
    instead, since its noun is there. A text whose first (or last) word alone is too long is cut inside
    that word; one character always stays.
    """
    if count(text) <= limit:
        return text
    text = text.strip()
    cuts = _cuts(text)

    def fits(length: int) -> bool:
        return count(cuts.cut(text, length)) <= limit

    whole_words = _last((0, *cuts.lengths), fits)
    return cuts.cut(text, whole_words or _last(range(1, cuts.lengths[0] + 1), fits))


@dataclass(frozen=True)
class _Cuts:
    """The positions at which a text may be cut.

    Attributes:
        lengths: The possible lengths in characters, ascending: one word first, the whole text last.
        backwards: Whether the end of the text is kept instead of its start.
    """

    lengths: tuple[int, ...]
    backwards: bool

    def cut(self, text: str, length: int) -> str:
        """The text shortened to a length."""
        return text[len(text) - length :] if self.backwards else text[:length]


@dataclass(frozen=True)
class _Part:
    """One part of a joint caption, with the token costs of its possible lengths.

    Attributes:
        text: The caption.
        cuts: Where it may be cut.
        costs: Approximate token count at each of these lengths, up to the limit.
    """

    text: str
    cuts: _Cuts
    costs: list[int]

    @classmethod
    def of(cls, text: str, count: Count, limit: int) -> "_Part":
        # Words recur in a data set, so their counts are cached, while those of unique texts are not.
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
    def word(self) -> int:
        """The length of one word."""
        return self.cuts.lengths[0]

    def cut(self, length: int) -> str:
        """The caption shortened to a length."""
        return self.cuts.cut(self.text, length)

    def within(self, share: int) -> int:
        """The greatest length that costs about ``share`` tokens at most."""
        affordable = bisect_right(self.costs, share)
        if affordable:
            return self.cuts.lengths[affordable - 1]
        return min(self.word, max(1, self.word * share // self.costs[0]))

    def to_spare(self, length: int) -> tuple[int, float]:
        """The priority for shortening from this length: whole words of the costlier part first, then characters."""
        if length <= 1:
            return 0, 0.0
        if length <= self.word:
            return 1, self.costs[0] * length / self.word
        return 2, self.costs[min(bisect_left(self.cuts.lengths, length), len(self.costs) - 1)]

    def shorter(self, length: int) -> int:
        """The next smaller length."""
        return self.cuts.lengths[bisect_left(self.cuts.lengths, length) - 1] if length > self.word else length - 1

    def longest(self, length: int, slack: int, fits: Callable[[int], bool]) -> int:
        """The greatest length that fits, from one that does and leaves ``slack`` tokens."""
        following = bisect_right(self.cuts.lengths, length)
        longer = self.cuts.lengths[following:]
        if following and following < len(self.costs) and self.costs[following] - self.costs[following - 1] > slack:
            return length
        return _last((length, *longer), fits) if longer and fits(longer[0]) else length


def _balanced(a: _Part, b: _Part, text: Callable[[str, str], str], count: Count, limit: int) -> str:
    """Joins both parts at the greatest lengths within their shares, at least one character each."""

    def joint(n: int, m: int) -> str:
        return text(a.cut(n), b.cut(m))

    joining = max(0, count(joint(a.word, b.word)) - a.costs[0] - b.costs[0])
    available = max(2, limit - joining)
    share = min(a.costs[-1], max(available // 2, available - b.costs[-1]))
    n, m = a.within(share), b.within(available - share)
    # The costs of words only approximate that of the text: hence steps back or forward.
    while (cost := count(joint(n, m))) > limit and (n > 1 or m > 1):
        if a.to_spare(n) > b.to_spare(m):
            n = a.shorter(n)
        else:
            m = b.shorter(m)
    if cost <= limit:
        n = a.longest(n, limit - cost, lambda length: count(joint(length, m)) <= limit)
        m = b.longest(m, limit - count(joint(n, m)), lambda length: count(joint(n, length)) <= limit)
    return joint(n, m)


@lru_cache(maxsize=1 << 14)
def _cuts(text: str) -> _Cuts:
    ends: list[int] = []
    for word in re.finditer(r"\S+", text):
        phrases = _parser().parse(word.group()) if japanese(word.group()) else [word.group()]
        ends += list(accumulate(map(len, phrases), initial=word.start()))[1:]
    if japanese(text[-1:]) and noun_phrase(text):
        return _Cuts(tuple(sorted({len(text) - end for end in (0, *ends[:-1])})), backwards=True)
    return _Cuts(tuple(sorted({_tidied(text, end) for end in ends[:-1]} | {len(text)})), backwards=False)


def _tidied(text: str, end: int) -> int:
    """The end moved before words and particles that would be left dangling."""
    rest = text[max(0, end - 40) : end]
    while (dangling := _DANGLING.search(rest) or _PARTICLE.search(rest)) and dangling.start():
        rest = rest[: dangling.start()]
    return end - min(end, 40) + len(rest)


@lru_cache(maxsize=1)
def _parser() -> "Parser":
    import budoux

    return budoux.load_default_japanese_parser()


def _last(values: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The last of some values that fits, by bisection; the first is assumed to fit."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(values[middle]) else (low, middle - 1)
    return values[low]
