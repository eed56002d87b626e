"""Finds attributes before their nouns in Japanese captions (赤い, 緑の, 二匹の), and exchanges them."""

import re
from collections.abc import Iterable, Iterator

from clipc.evaluate.attributes.slot import Slot, read_words

_KANJI, _KATAKANA = "一-鿿々〆", "ァ-ヺー"
_NOUN = re.compile(rf"[{_KANJI}{_KATAKANA}A-Za-zＡ-Ｚａ-ｚ]+")
_SAME_SCRIPT = tuple(re.compile(rf"[{script}]") for script in (_KANJI, _KATAKANA, "0-9０-９."))
_JOINED = re.compile(r"(?:[とやか、，・,/／&＆]|および|または|もしくは)\s*$")


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    """A pattern that matches any of the words, the longest first."""
    return re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))


_SENSES, _WORDS = read_words("ja")
_NUMERALS = {digit: sense for sense, digits in _WORDS["numerals"].items() for digit in digits}
_SENSES.update({counter: {digit + counter: _NUMERALS[digit] for digit in _NUMERALS} for counter in _WORDS["counters"]})
_PATTERNS = {kind: _any_of(senses) for kind, senses in _SENSES.items()}
_ATTRIBUTE = _any_of(word for senses in _SENSES.values() for word in senses)


def slots(caption: str) -> Iterator[Slot]:
    """Finds the attributes that certainly belong to the noun after them, kind by kind, each kind from left to right."""
    for kind, senses in _SENSES.items():
        for match in _PATTERNS[kind].finditer(caption):
            before, attribute = caption[: match.start()], match.group()
            # In 青白い, 深緑の and 12台の the character before makes another word of the attribute.
            if before and any(script.match(before[-1]) and script.match(attribute) for script in _SAME_SCRIPT):
                continue
            noun = _find_noun(kind, caption, match.end())
            if noun is not None and not _is_coordinated(kind, before):
                yield Slot(kind, senses[attribute], noun, match.start(), match.end())


def _find_noun(kind: str, caption: str, position: int) -> str | None:
    """The noun at a position of a caption, which attributes of other kinds may precede; None if in doubt."""
    while other := _ATTRIBUTE.match(caption, position):
        if other.group() in _SENSES[kind]:
            return None
        position = other.end()
    noun = _NOUN.match(caption, position)
    # Hiragana after an attribute may begin a noun (いす, りんご), but far more often begins です, ので and the like.
    if noun is None or noun.group().startswith(tuple(_WORDS["not_nouns"])):
        return None
    # In 緑の美しい庭 the attribute is itself the noun: the green is beautiful.
    if caption[position - 1] == "の" and re.match("い|しい|く|な[^いしみか]", caption[noun.end() :]):
        return None
    return noun.group() if noun.group() in _WORDS["nouns"].get(kind, (noun.group(),)) else None


def _is_coordinated(kind: str, before: str) -> bool:
    """Whether the text before an attribute ends in another one of its kind, joined by と, や, a comma or nothing."""
    words = tuple(_SENSES[kind])
    if joined := _JOINED.search(before):
        return before[: joined.start()].endswith((*words, *_WORDS["stems"].get(kind, ())))
    return before.endswith(words)


def exchange(caption: str, one: Slot, two: Slot) -> str:
    """Exchanges the attributes of two slots of a caption, of which ``one`` stands before ``two``."""
    first, second = caption[one.start : one.end], caption[two.start : two.end]
    return caption[: one.start] + second + caption[one.end : two.start] + first + caption[two.end :]
