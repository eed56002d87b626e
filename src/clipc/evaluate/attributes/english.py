"""Attributes before their nouns in English captions."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Literal, NamedTuple

from clipc.evaluate.attributes.slot import Slot, words

_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|[^\w\s]|_")
_CONNECTORS = frozenset((*"&/,-+", "and", "or", "to", "nor", "with"))
_BARE = frozenset(("in", "wearing", "wears", "wear", "dressed", "clad"))
_ARTICLE = re.compile(r"(?:^|[^\w'’-])(an?)\s+$", re.IGNORECASE)


Case = Literal["lower", "capital", "upper"]


class _Token(NamedTuple):
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        return self.text.lower()


class _Lexicon:
    """The English words, made ready for look-ups."""

    def __init__(self) -> None:
        table = words("en")
        self.senses: dict[str, dict[str, str]] = {
            kind: {word: sense for sense, listed in senses.items() for word in listed}
            for kind, senses in table["kinds"].items()
        }
        self.modifiers = frozenset(table["modifiers"])
        self.nouns = {kind: frozenset(listed) for kind, listed in table["nouns"].items()}
        self.after_in = frozenset(table["after_in"])
        self.compounds = frozenset(table["compounds"])
        self.ing_and_ed = frozenset(table["nouns_in_ing_and_ed"])
        self.not_nouns = frozenset(table["not_nouns"])
        self.irregular: dict[str, str] = table["irregular"]
        self.plurals = frozenset(table["plurals"])
        names = (name.split() for name in table["fixed"])
        self.fixed = frozenset(f"{attribute} {self.stem(noun)}" for attribute, noun in names)

    def sense(self, kind: str, word: str) -> str | None:
        """What a word says of a kind; of "silver-grey" what its last part says, if all parts say something."""
        senses = self.senses[kind]
        if word in senses or "-" not in word:
            return senses.get(word)
        *first, last = word.split("-")
        return senses.get(last) if all(part in senses or part in self.modifiers for part in first) else None

    def is_attribute(self, word: str) -> bool:
        return any(self.sense(kind, word) for kind in self.senses)

    def is_noun(self, word: str) -> bool:
        """Whether a word may be the noun that an attribute stands before."""
        if len(word) < 2 or not word[0].isalpha() or word in self.not_nouns:
            return False
        if word.endswith(("ing", "ed")) and word not in self.ing_and_ed:
            return False
        return not word.endswith("ly") and not self.is_attribute(word) and word not in self.modifiers

    def is_plural(self, word: str) -> bool:
        return word in self.plurals or (word.endswith("s") and not word.endswith(("ss", "us", "is")))

    def stem(self, noun: str) -> str:
        if noun in self.irregular:
            return self.irregular[noun]
        if noun.endswith("ies") and len(noun) > 4:
            return noun[:-3] + "y"
        if noun.endswith(("ches", "shes", "xes", "sses")):
            return noun[:-2]
        return noun[:-1] if noun.endswith("s") and not noun.endswith(("ss", "us")) else noun


@cache
def _lexicon() -> _Lexicon:
    return _Lexicon()


def slots(caption: str) -> list[Slot]:
    """The attributes that surely belong to the noun after them, kind by kind and each kind from left to right."""
    lexicon = _lexicon()
    tokens = [_Token(found.group(), found.start(), found.end()) for found in _TOKEN.finditer(caption)]
    return [slot for kind in lexicon.senses for slot in _of_kind(lexicon, kind, tokens)]


def _of_kind(lexicon: _Lexicon, kind: str, tokens: list[_Token]) -> Iterator[Slot]:
    for i, token in enumerate(tokens):
        sense = lexicon.sense(kind, token.word)
        if sense is None:
            continue
        first = i
        while kind == "colour" and first > 0 and tokens[first - 1].word in lexicon.modifiers:
            first -= 1
        noun = _noun(lexicon, kind, tokens, i)
        if noun is None or _coordinated(lexicon, kind, tokens, first):
            continue
        before = tokens[first - 1].word if first else ""
        if before in _BARE and noun not in lexicon.after_in:
            continue
        if kind == "number" and before in ("a", "an", "number"):
            continue
        yield Slot(kind, sense, lexicon.stem(noun), tokens[first].start, token.end)


def _noun(lexicon: _Lexicon, kind: str, tokens: list[_Token], attribute: int) -> str | None:
    """The noun after an attribute, over attributes of other kinds; None where what follows may be none."""
    following = [token.word for token in tokens[attribute + 1 : attribute + 6]]
    while following and (following[0] in lexicon.modifiers or lexicon.is_attribute(following[0])):
        if lexicon.sense(kind, following[0]):
            return None
        following.pop(0)
    while kind == "number" and len(following) > 1 and following[0] in lexicon.compounds:
        following.pop(0)
    if not following or not lexicon.is_noun(following[0]):
        return None
    noun = following[0]
    # "a stone -built house", "the two-man boat": a hyphen makes another word of it.
    if len(following) > 1 and following[1] in ("-", "/"):
        return None
    if kind == "number" and not lexicon.is_plural(noun):
        return None
    return noun if noun in lexicon.nouns.get(kind, (noun,)) else None


def _coordinated(lexicon: _Lexicon, kind: str, tokens: list[_Token], first: int) -> bool:
    """Whether another attribute of the kind stands before this one, directly or joined by "and", a comma, a slash."""
    at = first - 1
    if at >= 0 and tokens[at].word in ("-", "/"):
        return True
    while at >= 0 and tokens[at].word in _CONNECTORS:
        at -= 1
    return at >= 0 and lexicon.sense(kind, tokens[at].word) is not None


def exchange(caption: str, one: Slot, two: Slot) -> str | None:
    """The caption with the attributes of two slots, ``one`` before ``two``, in each other's place; None if that fails.

    Each place keeps its capitals, and "a" and "an" fit what follows them. It fails where an article would have to
    change without its counterpart, where capitals follow no pattern, and where a name would be broken or made.
    """
    first, second = caption[one.start : one.end], caption[two.start : two.end]
    names = {f"{text.lower()} {slot.noun}" for text in (first, second) for slot in (one, two)}
    if names & _lexicon().fixed:
        return None
    cases = _case(first), _case(second)
    before, between, after = caption[: one.start], caption[one.end : two.start], caption[two.end :]
    left, right = _article(before), _article(between)
    if None in cases or any(found not in (None, _fitting(text)) for found, text in ((left, first), (right, second))):
        return None
    if _fitting(first) != _fitting(second):
        if left is None or right is None:
            return None
        before, between = _with_article(before, _fitting(second)), _with_article(between, _fitting(first))
    return before + _cased(second, cases[0]) + between + _cased(first, cases[1]) + after


def _fitting(text: str) -> str:
    return "an" if text[0].lower() in "aeiou" else "a"


def _article(before: str) -> str | None:
    found = _ARTICLE.search(before)
    return found.group(1).lower() if found else None


def _with_article(before: str, article: str) -> str:
    found = _ARTICLE.search(before)
    assert found
    capital = found.group(1)[0].isupper()
    return before[: found.start(1)] + (article.capitalize() if capital else article) + before[found.end(1) :]


def _case(text: str) -> Case | None:
    if text.islower():
        return "lower"
    if text[0].isupper() and text[1:].islower():
        return "capital"
    return "upper" if text.isupper() else None


def _cased(text: str, case: Case | None) -> str:
    text = text.lower()
    return text.upper() if case == "upper" else text[0].upper() + text[1:] if case == "capital" else text
