"""Pairs of 64-bit hashes that differ in few bits, without comparing all pairs."""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from clipc.compose.arrays import Int64s

_BITS: Final = 64
_PAIRS_AT_ONCE: Final = 1 << 22


def near_pairs(
    hashes: npt.NDArray[np.uint64], distance: int, most: int = 1 << 24
) -> tuple[Int64s, npt.NDArray[np.uint8]]:
    """All pairs of different hashes whose Hamming distance is at most ``distance``.

    The 64 bits are divided into distance + 2 bands. Hashes within the distance differ in at most ``distance`` of them,
    so they agree in at least two: for each two bands only hashes that agree in both are compared (multi-index hashing,
    Norouzi et al., 2012, with pairs of bands, whose buckets stay small where hashes are far from uniform).

    Args:
        hashes: Distinct hashes, ``uint64``, shape (n,).
        distance: The largest number of differing bits, 1 to 30.
        most: The largest number of pairs to return. In a set in which nearly all hashes are near, the nearest ones of
            those compared first are returned.

    Returns:
        Indices into ``hashes``, ``int64``, shape (m, 2), each pair once with the smaller index first, the nearest
        pairs first; and their distances, shape (m,).
    """
    return _near(hashes, distance, most, len(hashes))


def near_matches(
    hashes: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64], distance: int, most: int = 1 << 24
) -> tuple[Int64s, npt.NDArray[np.uint8]]:
    """All pairs of a hash and another one whose Hamming distance is at most ``distance``.

    Args:
        hashes: Distinct hashes, ``uint64``, shape (n,).
        others: Distinct hashes, ``uint64``, shape (m,); the same hash may be in both.
        distance: As for :func:`near_pairs`; 0 is allowed.
        most: As for :func:`near_pairs`.

    Returns:
        Indices into ``hashes`` and into ``others``, ``int64``, shape (k, 2), the nearest pairs first; and their
        distances, shape (k,).
    """
    pairs, bits = _near(np.concatenate([hashes, others]), distance, most, len(hashes), between=True)
    return pairs - np.asarray([0, len(hashes)]), bits


def _near(
    hashes: npt.NDArray[np.uint64], distance: int, most: int, first: int, *, between: bool = False
) -> tuple[Int64s, npt.NDArray[np.uint8]]:
    """All near pairs, or those between the ``first`` hashes and the others."""
    edges = np.linspace(0, _BITS, distance + 3).astype(np.uint64)
    masks = [_mask(int(low), int(high)) for low, high in pairwise(edges)]
    codes: list[npt.NDArray[np.uint64]] = []
    count = 0
    for one, other in combinations(masks, 2):
        for left, right in _equal(hashes & (one | other)):
            near = np.bitwise_count(hashes[left] ^ hashes[right]) <= distance
            low, high = np.minimum(left, right)[near], np.maximum(left, right)[near]
            if between:
                across = (low < first) & (high >= first)
                low, high = low[across], high[across]
            codes.append(low.astype(np.uint64) << np.uint64(32) | high.astype(np.uint64))
            count += len(low)
            if count > 2 * most:
                codes = [np.unique(np.concatenate(codes))]
                count = len(codes[0])
                if count > most:
                    return _sorted(hashes, codes[0], most)
    return _sorted(hashes, np.unique(np.concatenate(codes)) if codes else np.zeros(0, np.uint64), most)


def _mask(low: int, high: int) -> np.uint64:
    return np.uint64(((1 << (high - low)) - 1) << low)


def _equal(values: npt.NDArray[np.uint64]) -> Iterator[tuple[Int64s, Int64s]]:
    """All pairs of indices with equal values, a block at a time."""
    order = np.argsort(values, kind="stable").astype(np.int64)
    in_order = values[order]
    starts = (
        np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]])) if len(values) else np.zeros(0, int)
    )
    sizes = np.diff(np.append(starts, len(values)))
    # The k-th next member of the same bucket, for all members at once: k runs up to the largest bucket.
    ends = np.repeat(starts + sizes, sizes)
    places = np.flatnonzero(np.repeat(sizes, sizes) > 1)
    step = 1
    while len(places):
        places = places[places + step < ends[places]]
        for at in range(0, len(places), _PAIRS_AT_ONCE):
            block = places[at : at + _PAIRS_AT_ONCE]
            yield order[block], order[block + step]
        step += 1


def _sorted(
    hashes: npt.NDArray[np.uint64], codes: npt.NDArray[np.uint64], most: int
) -> tuple[Int64s, npt.NDArray[np.uint8]]:
    pairs = np.stack([codes >> np.uint64(32), codes & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)
    bits = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]])
    order = np.argsort(bits, kind="stable")[:most]
    return pairs[order], bits[order]
