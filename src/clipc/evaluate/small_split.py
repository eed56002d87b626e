"""Splits with so few pairs that metrics on them are imprecise."""

from typing import Any, Final

from clipc.catalog.catalog import Catalog

FEW_PAIRS: Final = 50
"""Commands warn where fewer pairs are measured: the 95% interval of a share is then up to 14 points wide either way."""

PRECISE_PAIRS: Final = 1000
"""Pages list it as a limitation where fewer pairs are measured: up to 3 points either way."""


def small_split(catalog: Catalog, split: str, below: int = FEW_PAIRS) -> dict[str, Any] | None:
    """The limitation ``small-test-set``, for which the reports have a sentence; None where there are enough pairs.

    Args:
        catalog: The catalog.
        split: The split that is measured.
        below: The number of pairs that are enough.

    Returns:
        The ``code``, the ``split``, its number ``n`` of pairs, and whether these are so ``few`` that it is a warning.
    """
    return few_pairs(catalog.splits.get(split, below), split, below)


def few_pairs(n: int, split: str, below: int = FEW_PAIRS) -> dict[str, Any] | None:
    """The limitation of :func:`small_split` for ``n`` measured pairs."""
    return None if n >= below else {"code": "small-test-set", "split": split, "n": n, "few": n < FEW_PAIRS}
