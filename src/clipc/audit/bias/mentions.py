"""Mentions: which pair names which group of an attribute, or which concept, in any of its captions or in a column."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from clipc.audit.bias.lists import Terms, WordLists
from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Int64s, Integers
from clipc.compose.captions.language import japanese
from clipc.compose.entries import Entries
from clipc.compose.rules.words import pattern, tokens_of
from clipc.errors import UserError, unknown_name

MAX_VALUES: Final = 20
"""The largest number of a column's values that are groups or concepts; the commonest are kept."""


@dataclass(frozen=True, eq=False)
class Mentions:
    """Which pairs name which of several groups or concepts.

    Attributes:
        name: The name of the attribute or list.
        kind: ``words`` (found in any of the pair's captions) or ``column`` (a value of the pair).
        names: The names of the groups or concepts.
        present: Whether each pair names each of them, ``bool``, shape (pairs, names).
        left_out: How many values of a column, or concepts of a list, are too rare to be kept.
    """

    name: str
    kind: str
    names: tuple[str, ...]
    present: Bools
    left_out: int = 0

    def of(self, rows: Integers) -> Bools:
        """The mentions of some pairs, shape (rows, names)."""
        return self.present[rows]

    def take(self, columns: Sequence[int]) -> "Mentions":
        """Some of the groups or concepts."""
        names = tuple(self.names[column] for column in columns)
        return Mentions(self.name, self.kind, names, self.present[:, list(columns)], self.left_out)


class CaptionWords:
    """The words of a catalog's captions, from which mentions are found; equal captions are read once.

    Args:
        catalog: The pairs.

    Raises:
        UserError: A caption has kana or kanji, and SudachiPy is not installed.
    """

    def __init__(self, catalog: Catalog) -> None:
        ids = catalog.caption_ids
        _, first = np.unique(ids, return_index=True)
        flat: Any = catalog.table["captions"].combine_chunks().flatten()
        distinct = flat.take(first)
        self._ids, self._first = ids, Entries.of(catalog).first
        self.texts: list[str] = tokens_of(distinct).to_pylist()
        self._captions: list[str] = distinct.to_pylist()

    @cached_property
    def counts(self) -> Int64s:
        """How often each distinct caption occurs, shape (distinct captions,)."""
        return np.bincount(self._ids, minlength=len(self.texts))

    def mentions(self, name: str, terms: Terms) -> Mentions:
        """The mentions of terms; of overlapping terms the one that begins first, then the longest, counts."""
        names = tuple(terms)
        present = np.zeros((len(self.texts), len(names)), dtype=np.bool_)
        patterns: list[tuple[str, int]] = []
        for column, group in enumerate(names):
            patterns += [(pattern([term])[1:-1], column) for term in terms[group] if _has_word(term)]
        owners: dict[str, list[int]] = {}
        for words, column in patterns:
            owners.setdefault(words, []).append(column)
        if owners:
            ordered = sorted(owners, key=len, reverse=True)
            any_term = re.compile(" (" + "|".join(ordered) + r")(?= )")
            prefixes = [words for words in ordered if words.endswith("[^ ]*")]
            for row, text in enumerate(self.texts):
                for match in any_term.finditer(text):
                    words = match[1]
                    key = words if words in owners else next(p for p in prefixes if re.fullmatch(p, words))
                    present[row, owners[key]] = True
        return Mentions(name, "words", names, np.logical_or.reduceat(present[self._ids], self._first, axis=0))

    def frequent(self, count: int, lists: WordLists, without: Collection[str] = ()) -> Mentions:
        """The mentions of the commonest content words.

        Content words are neither stop words nor terms of attributes nor numbers; in Japanese they have kanji or
        katakana.

        Args:
            count: The number of words.
            lists: The lists, for the stop words.
            without: Further words to leave out, such as those of attributes.
        """
        skipped = lists.stopwords | {word.casefold() for word in without}
        frequency: Counter[str] = Counter()
        for text, times in zip(self.texts, self.counts.tolist(), strict=True):
            for word in set(text.split()):
                frequency[word] += times
        words = [w for w, _ in frequency.most_common() if w not in skipped and _is_content(w)][:count]
        return self.mentions("words", {word: (word,) for word in words})


def column_mentions(catalog: Catalog, column: str, largest: int = MAX_VALUES) -> Mentions:
    """The values of a column as groups or concepts; empty values belong to none.

    Args:
        catalog: The pairs.
        column: The column; a text, a number of few values, true and false, or a list of texts.
        largest: The largest number of values that are kept, the commonest first.

    Raises:
        UserError: There is no such column, it has no value, or nearly every pair has another value.
    """
    if column not in catalog.table.column_names:
        raise unknown_name("column", column, [n for n in catalog.table.column_names if n != "captions"])
    values = [_texts_of(value) for value in catalog.column(column)]
    counts = Counter(text for texts in values for text in texts)
    if not counts:
        raise UserError(f"the column {column!r} has no value; an audit needs a column with groups, such as camera.")
    if len(counts) > 50 and counts.most_common(1)[0][1] < 5:
        raise UserError(
            f"the column {column!r} has {len(counts):,} values, none of them on five pairs; an audit needs groups: "
            "name a column with few values, or make one of ranges."
        )
    names = tuple(text for text, _ in counts.most_common(largest))
    return Mentions(column, "column", names, _present(values, names), len(counts) - len(names))


def values_again(catalog: Catalog, column: str, names: Sequence[str]) -> Mentions:
    """Given values of a column as groups or concepts; other values belong to none."""
    values = [_texts_of(value) for value in catalog.column(column)]
    return Mentions(column, "column", tuple(names), _present(values, names))


def _present(values: Sequence[Sequence[str]], names: Sequence[str]) -> Bools:
    place = {text: number for number, text in enumerate(names)}
    present = np.zeros((len(values), len(names)), dtype=np.bool_)
    for row, texts in enumerate(values):
        for text in texts:
            if (number := place.get(text)) is not None:
                present[row, number] = True
    return present


def query_words(mentions: Mentions, tables: Mapping[str, Terms], lang: str) -> list[str]:
    """A word for each group or concept, as a text query needs it: the first term of a list in the language.

    Args:
        mentions: The groups or concepts.
        tables: The attributes or lists of concepts; names that are in none of them stand for themselves.
        lang: ``en`` or ``ja``.
    """
    terms = tables.get(mentions.name, {}) if mentions.kind == "words" else {}
    return [
        next((term for term in terms.get(name, ()) if japanese(term) == (lang == "ja")), name).replace("_", " ")
        for name in mentions.names
    ]


def _texts_of(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(part) for part in value if part not in (None, "")]
    return [] if value is None or value == "" else [str(value)]


def _has_word(term: str) -> bool:
    return any(character.isalnum() for character in term)


def _is_content(word: str) -> bool:
    if word.isdigit():
        return False
    if japanese(word):
        return re.search(r"[一-鿿々ァ-ヺ]", word) is not None
    return len(word) > 2
