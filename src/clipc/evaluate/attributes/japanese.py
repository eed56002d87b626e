"""Attributes before their nouns in Japanese captions, found by written forms such as 赤い, 緑の and 二匹の."""

import re
from collections.abc import Iterator
from functools import cache

from clipc.evaluate.attributes.slot import Slot, words

_KANJI, _KATAKANA = "一-鿿々〆", "ァ-ヺー"
_NOUN = re.compile(rf"[{_KANJI}{_KATAKANA}A-Za-zＡ-Ｚａ-ｚ]+")
_SAME_SCRIPT = tuple(re.compile(rf"[{script}]") for script in (_KANJI, _KATAKANA, "0-9０-９."))
_JOINED = re.compile(r"(?:[とやか、，・,/／&＆]|および|または|もしくは)\s*$")


class _Lexicon:
    """The Japanese words, made ready for look-ups."""

    def __init__(self) -> None:
        table = words("ja")
        self.senses: dict[str, dict[str, str]] = {
            kind: {word: sense for sense, listed in senses.items() for word in listed}
            for kind, senses in table["kinds"].items()
        }
        self.stems: dict[str, tuple[str, ...]] = {kind: tuple(listed) for kind, listed in table["stems"].items()}
        for counter in table["counters"]:
            numerals = table["numerals"].items()
            self.senses[counter] = {digit + counter: sense for sense, digits in numerals for digit in digits}
        self.nouns: dict[str, list[str]] = table["nouns"]
        self.not_nouns = tuple(table["not_nouns"])
        self.pattern = {kind: _any_of(senses) for kind, senses in self.senses.items()}
        self.any = _any_of([word for senses in self.senses.values() for word in senses])


def _any_of(listed: dict[str, str] | list[str]) -> re.Pattern[str]:
    """Any of the words, the longest first."""
    return re.compile("|".join(re.escape(word) for word in sorted(listed, key=len, reverse=True)))


@cache
def _lexicon() -> _Lexicon:
    return _Lexicon()


def slots(caption: str) -> list[Slot]:
    """The attributes that surely belong to the noun after them, kind by kind and each kind from left to right."""
    lexicon = _lexicon()
    return [slot for kind in lexicon.senses for slot in _of_kind(lexicon, kind, caption)]


def _of_kind(lexicon: _Lexicon, kind: str, caption: str) -> Iterator[Slot]:
    for found in lexicon.pattern[kind].finditer(caption):
        before = caption[: found.start()]
        # 青白い, 深緑の, 12台の: with the character before, it is another word.
        if before and any(script.match(before[-1]) and script.match(found.group()) for script in _SAME_SCRIPT):
            continue
        noun = _noun(lexicon, kind, caption, found.end())
        if noun is not None and not _coordinated(lexicon, kind, before):
            yield Slot(kind, lexicon.senses[kind][found.group()], noun, found.start(), found.end())


def _noun(lexicon: _Lexicon, kind: str, caption: str, at: int) -> str | None:
    """The noun at a position, over attributes of other kinds; None where what stands there may be none."""
    while other := lexicon.any.match(caption, at):
        if other.group() in lexicon.senses[kind]:
            return None
        at = other.end()
    found = _NOUN.match(caption, at)
    # Hiragana after an attribute begins いす and りんご, but far more often です, ので and the like.
    if found is None or found.group().startswith(lexicon.not_nouns):
        return None
    # 緑の美しい庭: what is beautiful is the green itself.
    if caption[at - 1] == "の" and re.match("い|しい|く|な[^いしみか]", caption[found.end() :]):
        return None
    noun = found.group()
    return noun if noun in lexicon.nouns.get(kind, (noun,)) else None


def _coordinated(lexicon: _Lexicon, kind: str, before: str) -> bool:
    """Whether another attribute of the kind stands before, joined by と, や, a comma or nothing."""
    joined = _JOINED.search(before)
    listed = tuple(lexicon.senses[kind])
    if joined is None:
        return before.endswith(listed)
    return before[: joined.start()].endswith((*listed, *lexicon.stems.get(kind, ())))


def exchange(caption: str, one: Slot, two: Slot) -> str:
    """The caption with the attributes of two slots, ``one`` before ``two``, in each other's place."""
    first, second = caption[one.start : one.end], caption[two.start : two.end]
    return caption[: one.start] + second + caption[one.end : two.start] + first + caption[two.end :]
