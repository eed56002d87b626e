"""Finds attributes before their nouns in English captions, and exchanges them."""

import re
from collections.abc import Iterator

from clipc.evaluate.attributes.slot import Slot, read_words

_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|[^\w\s]|_")
_CONNECTORS = frozenset((*"&/,-+", "and", "or", "to", "nor", "with"))
_WEARING = frozenset(("in", "wearing", "wears", "wear", "dressed", "clad"))
_ARTICLE = re.compile(r"(?<![\w'’-])an?(?=\s+$)", re.IGNORECASE)
_CASES = (str.lower, str.capitalize, str.upper)

_SENSES, _WORDS = read_words("en")
_MODIFIERS, _NOT_NOUNS, _NOUNS_IN_ING_AND_ED, _COMPOUNDS, _AFTER_IN, _PLURALS = (
    frozenset(_WORDS[name])
    for name in ("modifiers", "not_nouns", "nouns_in_ing_and_ed", "compounds", "after_in", "plurals")
)


def _stem(noun: str) -> str:
    if noun in _WORDS["irregular"]:
        return _WORDS["irregular"][noun]
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    if noun.endswith(("ches", "shes", "xes", "sses")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith(("ss", "us")) else noun


_FIXED = frozenset(f"{attribute} {_stem(noun)}" for attribute, noun in map(str.split, _WORDS["fixed"]))


def slots(caption: str) -> Iterator[Slot]:
    """Finds the attributes that certainly belong to the noun after them, kind by kind, each kind from left to right."""
    tokens = list(_TOKEN.finditer(caption))
    words = [token.group().lower() for token in tokens]
    for kind in _SENSES:
        for i, word in enumerate(words):
            if (sense := _find_sense(kind, word)) is None:
                continue
            first = i
            while kind == "colour" and first > 0 and words[first - 1] in _MODIFIERS:
                first -= 1
            noun = _find_noun(kind, words[i + 1 : i + 6])
            before = words[first - 1] if first else ""
            if noun is None or _is_coordinated(kind, words[:first]) or (before in _WEARING and noun not in _AFTER_IN):
                continue
            if kind != "number" or before not in ("a", "an", "number"):
                yield Slot(kind, sense, _stem(noun), tokens[first].start(), tokens[i].end())


def _find_sense(kind: str, word: str) -> str | None:
    """The sense of a word as an attribute of a kind, or None; "silver-grey" has the sense of its last part, "grey"."""
    senses = _SENSES[kind]
    if word in senses or "-" not in word:
        return senses.get(word)
    *first, last = word.split("-")
    return senses.get(last) if all(part in senses or part in _MODIFIERS for part in first) else None


def _is_attribute(word: str) -> bool:
    return word in _MODIFIERS or any(_find_sense(kind, word) for kind in _SENSES)


def _is_noun(word: str) -> bool:
    """Whether a word may be the noun of the attribute before it."""
    if len(word) < 2 or not word[0].isalpha() or word in _NOT_NOUNS or word.endswith("ly") or _is_attribute(word):
        return False
    return not word.endswith(("ing", "ed")) or word in _NOUNS_IN_ING_AND_ED


def _find_noun(kind: str, following: list[str]) -> str | None:
    """The noun among the words after an attribute, which attributes of other kinds may precede; None if in doubt."""
    while following and _is_attribute(following[0]):
        if _find_sense(kind, following[0]):
            return None
        following = following[1:]
    while kind == "number" and len(following) > 1 and following[0] in _COMPOUNDS:
        following = following[1:]
    # In "a stone -built house" and "the two-man boat" the hyphen makes another word of the noun.
    if not following or not _is_noun(following[0]) or following[1:2] in (["-"], ["/"]):
        return None
    noun = following[0]
    plural = noun in _PLURALS or (noun.endswith("s") and not noun.endswith(("ss", "us", "is")))
    return noun if noun in _WORDS["nouns"].get(kind, (noun,)) and (plural or kind != "number") else None


def _is_coordinated(kind: str, before: list[str]) -> bool:
    """Whether the words before an attribute end in another one of its kind, such as "black" or "black and"."""
    if before[-1:] in (["-"], ["/"]):
        return True
    attribute = next((word for word in reversed(before) if word not in _CONNECTORS), "")
    return _find_sense(kind, attribute) is not None


def exchange(caption: str, one: Slot, two: Slot) -> str | None:
    """Exchanges the attributes of two slots of a caption, of which ``one`` stands before ``two``.

    Each place keeps its capitals, and the articles "a" and "an" are made to fit.

    Returns:
        The new caption. None if only one of two articles would change, if the capitals follow no pattern, or if a fixed
        expression such as "white water" would be broken or made.
    """
    first, second = caption[one.start : one.end], caption[two.start : two.end]
    names = {f"{text.lower()} {slot.noun}" for text in (first, second) for slot in (one, two)}
    cases = [case for text in (first, second) for case in _CASES if case(text) == text]
    before, between, after = caption[: one.start], caption[one.end : two.start], caption[two.end :]
    articles = [[article.lower() for article in _ARTICLE.findall(text)] for text in (before, between)]
    fits = ["an" if text[0].lower() in "aeiou" else "a" for text in (first, second)]
    misfit = any(article not in ([], [fit]) for article, fit in zip(articles, fits, strict=True))
    if names & _FIXED or len(cases) < 2 or misfit:
        return None
    if fits[0] != fits[1]:
        if [] in articles:
            return None
        before, between = _replace_article(before, fits[1]), _replace_article(between, fits[0])
    return before + cases[0](second) + between + cases[1](first) + after


def _replace_article(before: str, article: str) -> str:
    """Replaces the article at the end of a text; the new one is capitalised like the old one."""
    return _ARTICLE.sub(lambda old: article.capitalize() if old.group()[0].isupper() else article, before)
