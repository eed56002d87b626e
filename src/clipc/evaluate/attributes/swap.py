"""Wrong captions with the same words: two attributes of one kind exchange their places.

"a red gear beside a blue plate" becomes "a blue gear beside a red plate". Attributes are found by lists of words
(``en.yaml``, ``ja.yaml``) without grammar, and doubtful ones are skipped: a word that may be coordinated ("black and
white"), stand after its noun ("the car is red"), belong to a fixed expression ("white water") or be a noun itself ("a
man in red jumps").
"""

import re
from dataclasses import dataclass
from itertools import groupby
from types import ModuleType

from clipc.evaluate.attributes import english, japanese

_JAPANESE = re.compile("[ぁ-ヺ一-鿿]")

Binding = tuple[str, str, str]
"""An attribute bound to a noun by a caption: the kind of the attribute, its sense, and the noun's stem."""


@dataclass(frozen=True)
class Swap:
    """A caption with two attributes exchanged.

    Attributes:
        caption: The caption after the exchange.
        kind: The kind of the attributes.
        claims: The two bindings that the exchange creates.
    """

    caption: str
    kind: str
    claims: tuple[Binding, Binding]


def bindings(caption: str) -> frozenset[Binding]:
    """All bindings that a caption certainly states."""
    return frozenset((slot.kind, slot.sense, slot.noun) for slot in _language(caption).slots(caption))


def swap(caption: str) -> Swap | None:
    """Exchanges two attributes of a caption: the first two of the first kind for which that changes the meaning.

    The attributes must differ in sense and belong to different nouns. The swapped caption has the same words (in
    Japanese, the same characters), and swapping it again gives the original.

    Args:
        caption: A caption in English or, if it contains kana or kanji, in Japanese.

    Returns:
        The swap. None if no kind has two such attributes, or if swapping again would not give the original.

    >>> swap("A red gear beside a blue plate.").caption
    'A blue gear beside a red plate.'
    """
    swapped = _first_swap(caption)
    back = _first_swap(swapped.caption) if swapped else None
    return swapped if back and back.caption == caption else None


def _first_swap(caption: str) -> Swap | None:
    language = _language(caption)
    for kind, group in groupby(language.slots(caption), key=lambda slot: slot.kind):
        one, two = (*group, None, None)[:2]
        if one is None or two is None or one.sense == two.sense or one.noun == two.noun:
            continue
        swapped = language.exchange(caption, one, two)
        if swapped is not None:
            return Swap(swapped, kind, ((kind, two.sense, one.noun), (kind, one.sense, two.noun)))
    return None


def _language(caption: str) -> ModuleType:
    return japanese if _JAPANESE.search(caption) else english
