"""Diverse partners: the least similar of some."""

import numpy as np
import numpy.typing as npt

from clipc.compose.partners.pools import Rows


def least_similar(rows: Rows, drawn: npt.NDArray[np.int32], vectors: npt.NDArray[np.float32]) -> Rows:
    """Of each row's candidates the one whose vector has the smallest cosine with the row's own.

    Args:
        rows: Pairs, shape (n,).
        drawn: Candidates, -1 for none, shape (n, m).
        vectors: Unit vectors of all pairs, shape (pairs, d).

    Returns:
        Shape (n,), -1 where no candidate was found; of equal ones the first drawn.
    """
    best = np.full(len(rows), -1, dtype=np.int32)
    least = np.full(len(rows), np.inf, dtype=np.float32)
    own = vectors[rows]
    for candidate in drawn.T:
        found = candidate >= 0
        cosine = np.where(found, np.einsum("nd,nd->n", own, vectors[candidate]), np.inf)
        better = cosine < least
        best[better], least[better] = candidate[better], cosine[better]
    return best
