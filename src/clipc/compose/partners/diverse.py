"""Diverse partners: the least similar of several candidates."""

import numpy as np

from clipc.compose.arrays import Float32s, Int32s


def least_similar(rows: Int32s, drawn: Int32s, vectors: Float32s) -> Int32s:
    """The candidate of each row with the smallest cosine similarity.

    Args:
        rows: Pairs, shape (n,).
        drawn: Candidates, -1 for none, shape (n, m).
        vectors: Unit vectors of all pairs, shape (pairs, d).

    Returns:
        Shape (n,), -1 without a candidate; the first of equal ones.
    """
    best = np.full(len(rows), -1, dtype=np.int32)
    least = np.full(len(rows), np.inf, dtype=np.float32)
    own = vectors[rows]
    for candidate in drawn.T:
        valid = candidate >= 0
        cosine = np.where(valid, np.einsum("nd,nd->n", own, vectors[candidate]), np.inf)
        better = cosine < least
        best[better], least[better] = candidate[better], cosine[better]
    return best
