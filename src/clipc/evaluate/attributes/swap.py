"""Captions that say the same words of the wrong things: two attributes of one kind in each other's place.

"a red gear beside a blue plate" becomes "a blue gear beside a red plate". The rule knows lists of words
(``en.yaml``, ``ja.yaml``) and no grammar, so it is made to miss rather than to err: what may be coordinated ("black
and white"), said from behind ("the car is red"), part of a name ("white water") or a noun itself ("a man in red
jumps") is no attribute to it.
"""

import re
from dataclasses import dataclass
from itertools import groupby
from types import ModuleType

from clipc.evaluate.attributes import english, japanese

_JAPANESE = re.compile("[ぁ-ヺ一-鿿]")

Binding = tuple[str, str, str]
"""What a caption says of a thing: the kind of attribute, its sense, and the noun's stem."""


@dataclass(frozen=True)
class Swap:
    """A caption with two attributes exchanged.

    Attributes:
        caption: What it says now.
        kind: The kind of the attributes.
        claims: The two bindings that it claims and the original does not.
    """

    caption: str
    kind: str
    claims: tuple[Binding, Binding]


def bindings(caption: str) -> frozenset[Binding]:
    """All that a caption surely says of its things."""
    return frozenset((slot.kind, slot.sense, slot.noun) for slot in _language(caption).slots(caption))


def swap(caption: str) -> Swap | None:
    """Exchanges the first two attributes of the first kind where that makes another claim.

    They must be of different sense and before different nouns. Swapping twice gives the original, and the words
    of a swapped caption (in Japanese, its characters) are the original's.

    Args:
        caption: In English or, if any kana or kanji are in it, Japanese.

    Returns:
        The swap; None where no kind has two such attributes, or where the swapped caption would be read otherwise, so
        that swapping it does not give the original.

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
