"""Attributes before their nouns in Japanese captions, found by written forms such as 赤い, 緑の and 二匹の."""

import re
from collections.abc import Iterable, Iterator

from clipc.evaluate.attributes.slot import Slot, read_words

_KANJI, _KATAKANA = "一-鿿々〆", "ァ-ヺー"
_NOUN = re.compile(rf"[{_KANJI}{_KATAKANA}A-Za-zＡ-Ｚａ-ｚ]+")
_SAME_SCRIPT = tuple(re.compile(rf"[{script}]") for script in (_KANJI, _KATAKANA, "0-9０-９."))
_JOINED = re.compile(r"(?:[とやか、，・,/／&＆]|および|または|もしくは)\s*$")


def _any_of(listed: Iterable[str]) -> re.Pattern[str]:
    """Any of the words, the longest first."""
    return re.compile("|".join(re.escape(word) for word in sorted(listed, key=len, reverse=True)))


_SENSES, _WORDS = read_words("ja")
_NUMERALS = {digit: sense for sense, digits in _WORDS["numerals"].items() for digit in digits}
_SENSES.update({counter: {digit + counter: _NUMERALS[digit] for digit in _NUMERALS} for counter in _WORDS["counters"]})
_PATTERNS = {kind: _any_of(senses) for kind, senses in _SENSES.items()}
_ATTRIBUTE = _any_of(word for senses in _SENSES.values() for word in senses)


def slots(caption: str) -> Iterator[Slot]:
    """The attributes that surely belong to the noun after them, kind by kind and each kind from left to right."""
    for kind, senses in _SENSES.items():
        for found in _PATTERNS[kind].finditer(caption):
            before, attribute = caption[: found.start()], found.group()
            # 青白い, 深緑の, 12台の: with the character before, it is another word.
            if before and any(script.match(before[-1]) and script.match(attribute) for script in _SAME_SCRIPT):
                continue
            noun = _noun(kind, caption, found.end())
            if noun is not None and not _coordinated(kind, before):
                yield Slot(kind, senses[attribute], noun, found.start(), found.end())


def _noun(kind: str, caption: str, at: int) -> str | None:
    """The noun at a position, over attributes of other kinds; None where what stands there may be none."""
    while other := _ATTRIBUTE.match(caption, at):
        if other.group() in _SENSES[kind]:
            return None
        at = other.end()
    found = _NOUN.match(caption, at)
    # Hiragana after an attribute begins いす and りんご, but far more often です, ので and the like.
    if found is None or found.group().startswith(tuple(_WORDS["not_nouns"])):
        return None
    # 緑の美しい庭: what is beautiful is the green itself.
    if caption[at - 1] == "の" and re.match("い|しい|く|な[^いしみか]", caption[found.end() :]):
        return None
    return found.group() if found.group() in _WORDS["nouns"].get(kind, (found.group(),)) else None


def _coordinated(kind: str, before: str) -> bool:
    """Whether another attribute of the kind stands before, joined by と, や, a comma or nothing."""
    words = tuple(_SENSES[kind])
    if joined := _JOINED.search(before):
        return before[: joined.start()].endswith((*words, *_WORDS["stems"].get(kind, ())))
    return before.endswith(words)


def exchange(caption: str, one: Slot, two: Slot) -> str:
    """The caption with the attributes of two slots, ``one`` before ``two``, in each other's place."""
    first, second = caption[one.start : one.end], caption[two.start : two.end]
    return caption[: one.start] + second + caption[one.end : two.start] + first + caption[two.end :]
