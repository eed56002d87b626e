"""Searches for the nearest vectors: exactly, or approximately with FAISS where there are many vectors."""

from functools import partial
from typing import Any, Final, Protocol

import numpy as np

from clipc.compose.arrays import Float32s, Int64s
from clipc.errors import UserError
from clipc.installation import install_command
from clipc.progress import Progress, silent

EXACT_UP_TO: Final = 200_000
"""The largest number of vectors that are searched exactly."""

_QUERIES_AT_ONCE = 1024
_VECTORS_AT_ONCE = 8192
_LISTS_SEARCHED = 12


class Search(Protocol):
    """A search among a fixed set of vectors."""

    def __call__(self, queries: Float32s, count: int) -> Int64s:
        """The indices of the ``count`` most similar vectors of each query, the most similar first.

        Args:
            queries: ``float32``, shape (q, d).
            count: The number of vectors to find for each query.

        Returns:
            ``int64``, shape (q, count), or narrower if there are fewer vectors; -1 where none was found.
        """
        ...


def search_among(base: Float32s, progress: Progress = silent) -> Search:
    """A search among the given vectors for those with the largest inner products.

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
    """The most similar vectors of each query, by blocked matrix products; equally similar vectors keep their order.

    Args:
        base: The vectors that are searched, ``float32``, shape (m, d).
        queries: ``float32``, shape (q, d).
        count: The number of vectors to find for each query.

    Returns:
        Indices into ``base``, ``int64``, shape (q, min(count, m)), the most similar first.
    """
    count = min(count, len(base))
    nearest = np.empty((len(queries), count), np.int64)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        block = slice(start, start + _QUERIES_AT_ONCE)
        nearest[block] = _exact_block(base, queries[block], count)
    return nearest


def _exact_block(base: Float32s, queries: Float32s, count: int) -> Int64s:
    """The same for few queries: keeps candidates as good as the ``count``-th best so far, and prunes them at times."""
    worst = np.full(len(queries), -np.inf, np.float32)
    candidates: list[tuple[Any, Any, Any]] = []
    kept = 0
    for start in range(0, len(base), _VECTORS_AT_ONCE):
        scores = queries @ base[start : start + _VECTORS_AT_ONCE].T
        if start == 0 and scores.shape[1] > count:
            worst = np.partition(scores, -count, axis=1)[:, -count]
        rows, columns = np.nonzero(scores >= worst[:, None])
        candidates.append((rows, columns + start, scores[rows, columns]))
        kept += len(rows)
        if kept > 2 * count * len(queries):
            candidates = [_best(candidates, count)]
            kept = len(candidates[0][0])
            if kept == count * len(queries):
                worst = candidates[0][2].reshape(-1, count)[:, -1]
    return _best(candidates, count)[1].reshape(len(queries), count)


def _best(candidates: list[tuple[Any, Any, Any]], count: int) -> tuple[Any, Any, Any]:
    """The ``count`` best candidates (query, index, score) of each query, by query, falling score, then index."""
    rows, indices, scores = (np.concatenate(part) for part in zip(*candidates, strict=True))
    order = np.lexsort((indices, -scores, rows))
    rows = rows[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    order = order[rank < count]
    return rows[rank < count], indices[order], scores[order]


def approximate(base: Float32s, progress: Progress = silent) -> Search:
    """A search with FAISS: an inverted file (IVF, Jegou et al., 2011) of uncompressed vectors, so scores are exact.

    Args:
        base: The vectors that are searched, ``float32``, shape (m, d), without zero rows.
        progress: Receives the number of indexed vectors.

    Raises:
        UserError: FAISS is not installed.
    """
    try:
        import faiss  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise UserError(
            f"neighbours among more than {EXACT_UP_TO:,} vectors need FAISS: {install_command('faiss')}; "
            "or draw partners at random."
        ) from None
    m, d = base.shape
    lists = max(1, round(2 * m**0.5))
    task = "vectors indexed"
    progress(task, 0, m)
    coarse: Any = faiss.IndexFlatIP(d)
    index: Any = faiss.IndexIVFFlat(coarse, d, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = 0, 8, 64
    index.train(base[np.linspace(0, m - 1, min(m, 64 * lists)).astype(np.int64)])
    for start in range(0, m, 1 << 16):
        index.add(base[start : start + (1 << 16)])
        progress(task, min(m, start + (1 << 16)), m)
    index.nprobe = _LISTS_SEARCHED

    def search(queries: Float32s, count: int) -> Int64s:
        # Queries are sorted by their nearest list, so that the lists they search are still in the processor's cache.
        order = np.argsort(coarse.search(np.ascontiguousarray(queries), 1)[1][:, 0], kind="stable")
        nearest = np.empty((len(queries), min(count, m)), np.int64)
        nearest[order] = index.search(queries[order], min(count, m))[1]
        return nearest

    return search
