"""Partner policies: with whom a pair is composed.

A policy is a function from the rows to be composed and a generator to the rows of their partners; -1
means that no partner was found, and the row stays plain.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int32]


def random_partner(left: Rows, pairs: int, generator: np.random.Generator) -> Rows:
    """Any other pair with equal chance, drawn anew in every epoch: the paper's, as far as is known.

    Args:
        left: The rows that get a partner, shape (n,).
        pairs: The number of pairs in the catalog.
        generator: Where chance comes from.

    Returns:
        Partners, shape (n,), never the row itself.
    """
    if pairs < 2:
        return np.full_like(left, -1)
    # A step of 1 .. pairs - 1 around the circle reaches every other row equally often, and never the row itself.
    steps = generator.integers(1, pairs, size=len(left), dtype=np.int32)
    partner = left.astype(np.int64) + steps
    return np.where(partner >= pairs, partner - pairs, partner).astype(np.int32)


PARTNERS: Final[dict[str, Callable[[Rows, int, np.random.Generator], Rows]]] = {"random": random_partner}
"""The partner policies a policy can name."""
