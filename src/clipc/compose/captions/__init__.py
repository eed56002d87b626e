"""Joint captions, and shortening that keeps both parts."""

from collections.abc import Callable

CONJUNCTION = " and "
"""The paper's joiner."""


def join(first: str, second: str, joiner: str = CONJUNCTION) -> str:
    """The joint caption: the first caption without its final full stop, the joiner, the second caption."""
    return first.rstrip().rstrip(".。").rstrip() + joiner + second.lstrip()


def fit(first: str, second: str | None, joiner: str, count: Callable[[str], int], limit: int) -> tuple[str, bool]:
    """The caption of a plan row within a token limit: never one that lost a whole part.

    A joint caption that is too long has both parts shortened at word boundaries: each may use half of
    the limit, and what one does not need the other gets.

    Args:
        first: The left image's caption.
        second: The right image's caption, or None for a plain row.
        joiner: What stands between two captions.
        count: The number of tokens of a text, without start and end tokens.
        limit: The largest number of tokens.

    Returns:
        The caption, and whether anything was cut from it.
    """
    if second is None:
        return (first, False) if count(first) <= limit else (shorten(first, count, limit), True)
    whole = join(first, second, joiner)
    if count(whole) <= limit:
        return whole, False
    first_needs, second_needs = count(first), count(second)
    # Tokens of a whole may outnumber those of its parts where the joiner ends in no space, hence the search.
    for room in range(max(2, limit - count(joiner.strip())), 1, -1):
        share = min(first_needs, max(room // 2, room - second_needs))
        whole = join(shorten(first, count, share), shorten(second, count, room - share), joiner)
        if count(whole) <= limit:
            break
    return whole, True


def shorten(text: str, count: Callable[[str], int], limit: int) -> str:
    """The longest start of a text, ending at a word boundary, that costs at most ``limit`` tokens.

    A text whose first word alone is too long is cut inside that word.
    """
    if count(text) <= limit:
        return text
    words = text.split()
    kept = _longest(len(words), lambda n: count(" ".join(words[:n])) <= limit)
    if kept:
        return " ".join(words[:kept])
    word = words[0] if words else text
    return word[: max(1, _longest(len(word), lambda n: count(word[:n]) <= limit))]


def _longest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest n in [0, most] for which ``fits`` holds, by bisection (``fits`` is monotone)."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
