"""Captions within a token limit: shortened, but never without one of their parts."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from clipc.compose.captions.language import japanese

if TYPE_CHECKING:
    from budoux import Parser

Count = Callable[[str], int]
"""The number of tokens of a text, without start and end tokens."""

_DANGLING: Final = re.compile(
    r"([\s,;:、，；：・([{<（「『【〈《\u200d\-]+|\s+(?:a|an|the|and|or|of|in|on|at|to|with|by|from|for))$"
)
_PARTICLE: Final = re.compile(r"(?<=[^\u3041-\u309f\s])(?:には|では|とは|[はがをにでとへもやの])$")
"""What no shortened caption should end with: it announces words that are gone."""


def fit(first: str, second: str | None, text: Callable[[str, str], str], count: Count, limit: int) -> tuple[str, bool]:
    """The caption of a plan row within a token limit.

    A joint caption that is too long has both parts shortened: each may use half of the room that the
    joining words leave, and what one does not need the other gets. Where the joining words themselves
    leave too little, the parts stand side by side without them. A caption that fits costs one count.

    Args:
        first: The first image's caption.
        second: The second image's caption, or None for a row of one caption.
        text: How the two become one, for whole and for shortened captions.
        count: The number of tokens of a text, without start and end tokens.
        limit: The largest number of tokens: the context length less 2, so that the end token always stays.

    Returns:
        The caption, and whether anything was cut. The limit is kept unless even one character of each part
        is too long; then those characters are the caption.
    """
    if second is None:
        short = shorten(first, count, limit)
        return short, short != first
    whole = text(first, second)
    if count(whole) <= limit:
        return whole, False
    a, b = (_Part.of(caption.strip(), count, limit) for caption in (first, second))
    made = _balanced(a, b, text, count, limit)
    if count(made) > limit:
        made = _balanced(a, b, lambda one, other: f"{one} {other}", count, limit)
    return made, True


def shorten(text: str, count: Count, limit: int) -> str:
    """The longest start of a text that ends at a word or phrase boundary and costs at most ``limit`` tokens.

    Japanese is cut between phrases (BudouX), other text at white space. A text whose first word alone is too
    long is cut inside that word; one character always stays.
    """
    if count(text) <= limit:
        return text
    text = text.strip()
    ends = (0, *_ends(text))
    kept = _last(ends, lambda end: count(text[:end]) <= limit)
    return text[: kept or _last(range(1, ends[1] + 1), lambda end: count(text[:end]) <= limit)]


@dataclass(frozen=True)
class _Part:
    """One caption on its way to being cut.

    Attributes:
        text: The caption.
        ends: Where it may be cut, in characters; the first word's end first, the caption's own last.
        costs: About how many tokens it costs up to each of these; only as far as they can be afforded.
    """

    text: str
    ends: tuple[int, ...]
    costs: list[int]

    @classmethod
    def of(cls, text: str, count: Count, limit: int) -> "_Part":
        # The words of a set come again and again, so their counts are at hand where those of unique texts are not.
        ends, costs = _ends(text), list[int]()
        for start, end in zip((0, *ends), ends, strict=False):
            costs.append(count(text[start:end].strip()) + (costs[-1] if costs else 0))
            if costs[-1] > limit:
                break
        return cls(text, ends, costs)

    def within(self, share: int) -> int:
        """The longest start, in characters, that costs about ``share`` tokens at most."""
        affordable = bisect_right(self.costs, share)
        if affordable:
            return self.ends[affordable - 1]
        return min(self.ends[0], max(1, self.ends[0] * share // self.costs[0]))

    def size(self, length: int) -> tuple[int, float]:
        """How much such a start can give away: whole words first (and those of the costlier part), then characters."""
        if length <= 1:
            return 0, 0.0
        if length <= self.ends[0]:
            return 1, self.costs[0] * length / self.ends[0]
        return 2, self.costs[min(bisect_left(self.ends, length), len(self.costs) - 1)]

    def shorter(self, length: int) -> int:
        """The next shorter start."""
        return self.ends[bisect_left(self.ends, length) - 1] if length > self.ends[0] else length - 1

    def longest(self, length: int, fits: Callable[[int], bool]) -> int:
        """The longest start that fits, from one that does."""
        ends = self.ends[bisect_right(self.ends, length) :]
        return _last((length, *ends), fits) if ends and fits(ends[0]) else length


def _balanced(a: _Part, b: _Part, text: Callable[[str, str], str], count: Count, limit: int) -> str:
    """Both parts, as long as their shares allow; one character of each where the limit allows no more."""

    def made(n: int, m: int) -> str:
        return text(a.text[:n], b.text[:m])

    joining = max(0, count(made(a.ends[0], b.ends[0])) - a.costs[0] - b.costs[0])
    room = max(2, limit - joining)
    share = min(a.costs[-1], max(room // 2, room - b.costs[-1]))
    n, m = a.within(share), b.within(room - share)
    # Costs of words add up to that of a text nearly, not exactly: hence a step back, or some on.
    while count(made(n, m)) > limit and (n > 1 or m > 1):
        if a.size(n) > b.size(m):
            n = a.shorter(n)
        else:
            m = b.shorter(m)
    if count(made(n, m)) <= limit:
        n = a.longest(n, lambda end: count(made(end, m)) <= limit)
        m = b.longest(m, lambda end: count(made(n, end)) <= limit)
    return made(n, m)


@lru_cache(maxsize=1 << 14)
def _ends(text: str) -> tuple[int, ...]:
    """Where a text may be cut, in characters: never after a word that only announces the next one."""
    ends: list[int] = []
    for word in re.finditer(r"\S+", text):
        phrases = _parser().parse(word.group()) if japanese(word.group()) else [word.group()]
        ends += list(accumulate(map(len, phrases), initial=word.start()))[1:]
    return tuple(sorted({_tidied(text, end) for end in ends[:-1]} | {len(text)}))


def _tidied(text: str, end: int) -> int:
    kept = text[max(0, end - 40) : end]
    while (dangling := _DANGLING.search(kept) or _PARTICLE.search(kept)) and dangling.start():
        kept = kept[: dangling.start()]
    return end - min(end, 40) + len(kept)


@lru_cache(maxsize=1)
def _parser() -> "Parser":
    import budoux

    return budoux.load_default_japanese_parser()


def _last(values: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The last of some values that fits, by bisection; the first is taken to fit."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(values[middle]) else (low, middle - 1)
    return values[low]
