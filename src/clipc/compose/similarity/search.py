"""Nearest vectors: exactly, or for many vectors with FAISS."""

from functools import partial
from typing import Any, Final, Protocol

import numpy as np

from clipc.compose.arrays import Float32s, Int64s
from clipc.errors import UserError
from clipc.progress import Progress, silent

EXACT_UP_TO: Final = 200_000
"""More vectors than this are searched approximately."""

_QUERIES = 1024
_CHUNK = 8192
_LISTS_LOOKED_IN = 12


class Search(Protocol):
    """Finds the nearest of a fixed set of vectors."""

    def __call__(self, queries: Float32s, count: int) -> Int64s:
        """The numbers of the ``count`` most similar vectors, best first, shape (len(queries), count); -1: no more."""
        ...


def search_among(base: Float32s, progress: Progress = silent) -> Search:
    """A search for the largest inner products with any of the given vectors.

    Args:
        base: ``float32``, shape (m, d), without zero rows.
        progress: Receives the progress of building the FAISS index.

    Returns:
        The exact search up to :data:`EXACT_UP_TO` vectors, FAISS above.

    Raises:
        UserError: FAISS is needed and not installed.
    """
    return approximate(base, progress) if len(base) > EXACT_UP_TO else partial(exact, base)


def exact(base: Float32s, queries: Float32s, count: int) -> Int64s:
    """The most similar vectors by blocked matrix products; of equally similar ones the first come first."""
    count = min(count, len(base))
    nearest = np.empty((len(queries), count), np.int64)
    for start in range(0, len(queries), _QUERIES):
        nearest[start : start + _QUERIES] = _exact_block(base, queries[start : start + _QUERIES], count)
    return nearest


def _exact_block(base: Float32s, queries: Float32s, count: int) -> Int64s:
    """Keeps candidates at least as good as the ``count``-th best so far, and prunes them from time to time."""
    worst = np.full(len(queries), -np.inf, np.float32)
    candidates: list[tuple[Any, Any, Any]] = []
    waiting = 0
    for start in range(0, len(base), _CHUNK):
        scores = queries @ base[start : start + _CHUNK].T
        if start == 0 and scores.shape[1] > count:
            worst = np.partition(scores, -count, axis=1)[:, -count]
        rows, columns = np.nonzero(scores >= worst[:, None])
        candidates.append((rows, columns + start, scores[rows, columns]))
        waiting += len(rows)
        if waiting > 2 * count * len(queries):
            candidates = [_best(candidates, count)]
            waiting = len(candidates[0][0])
            if waiting == count * len(queries):
                worst = candidates[0][2].reshape(-1, count)[:, -1]
    return _best(candidates, count)[1].reshape(len(queries), count)


def _best(candidates: list[tuple[Any, Any, Any]], count: int) -> tuple[Any, Any, Any]:
    """The ``count`` best of each query, sorted by query, falling score, number."""
    rows, numbers, scores = (np.concatenate(part) for part in zip(*candidates, strict=True))
    order = np.lexsort((numbers, -scores, rows))
    rows = rows[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    order = order[rank < count]
    return rows[rank < count], numbers[order], scores[order]


def approximate(base: Float32s, progress: Progress = silent) -> Search:
    """A search with FAISS: an inverted file (IVF, Jegou et al., 2011) of whole vectors, so found scores are exact.

    Raises:
        UserError: FAISS is not installed.
    """
    try:
        import faiss  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise UserError(
            f'neighbours among more than {EXACT_UP_TO:,} vectors need FAISS: pip install "clipc[faiss]"; '
            "or draw partners at random."
        ) from None
    m, d = base.shape
    lists = max(1, round(2 * m**0.5))
    what = "vectors indexed"
    progress(what, 0, m)
    coarse: Any = faiss.IndexFlatIP(d)
    index: Any = faiss.IndexIVFFlat(coarse, d, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = 0, 8, 64
    index.train(base[np.linspace(0, m - 1, min(m, 64 * lists)).astype(np.int64)])
    for start in range(0, m, 1 << 16):
        index.add(base[start : start + (1 << 16)])
        progress(what, min(m, start + (1 << 16)), m)
    index.nprobe = _LISTS_LOOKED_IN

    def search(queries: Float32s, count: int) -> Int64s:
        # Queries of one list go together, so that the lists they look into are still in the processor's cache.
        order = np.argsort(coarse.search(np.ascontiguousarray(queries), 1)[1][:, 0], kind="stable")
        nearest = np.empty((len(queries), min(count, m)), np.int64)
        nearest[order] = index.search(queries[order], min(count, m))[1]
        return nearest

    return search
