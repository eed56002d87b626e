from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.compose.similarity.near_pairs import near_matches, near_pairs


def slow(hashes: npt.NDArray[np.uint64], distance: int) -> set[tuple[int, int]]:
    pairs = combinations(range(len(hashes)), 2)
    return {(i, j) for i, j in pairs if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= distance}


@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.lists(st.integers(0, 63), max_size=6)), max_size=20),
    st.integers(0, 8),
)
def test_all_near_pairs_and_no_others(base: list[int], changes: list[tuple[int, list[int]]], distance: int) -> None:
    values = list(base)
    for number, bits in changes:
        if number < len(base):
            values.append(base[number] ^ sum(1 << bit for bit in set(bits)))
    hashes = np.asarray(values, dtype=np.uint64)
    pairs, bits = near_pairs(hashes, distance)
    assert {(int(i), int(j)) for i, j in pairs} == slow(hashes, distance)
    assert len(pairs) == len({(int(i), int(j)) for i, j in pairs})
    assert (np.diff(bits.astype(int)) >= 0).all()


def test_of_too_many_pairs_the_nearest_are_kept() -> None:
    generator = np.random.Generator(np.random.Philox(0))
    hashes = np.unique(generator.integers(0, 1 << 12, 400, dtype=np.uint64))
    pairs, bits = near_pairs(hashes, 4, most=500)
    assert len(pairs) == len(bits) == 500
    assert bits[0] == 1


@pytest.mark.parametrize("n", [0, 1])
def test_no_pairs_of_fewer_than_two(n: int) -> None:
    pairs, bits = near_pairs(np.zeros(n, np.uint64), 4)
    assert pairs.shape == (0, 2)
    assert bits.shape == (0,)


@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=10, unique=True),
    st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 63), max_size=5)), max_size=20),
    st.lists(st.integers(0, 2**64 - 1), max_size=3),
    st.integers(0, 6),
)
def test_matches_between_two_sets_are_all_near_ones(
    base: list[int], changes: list[tuple[int, list[int]]], more: list[int], distance: int
) -> None:
    changed = [base[i] ^ sum(1 << bit for bit in set(bits)) for i, bits in changes if i < len(base)]
    others = list(dict.fromkeys([*changed, *more]))
    pairs, bits = near_matches(np.asarray(base, np.uint64), np.asarray(others, np.uint64), distance)
    wanted = {(i, j) for i, a in enumerate(base) for j, b in enumerate(others) if (a ^ b).bit_count() <= distance}
    assert {(int(i), int(j)) for i, j in pairs} == wanted
    assert len(pairs) == len(wanted)
    assert (np.diff(bits.astype(int)) >= 0).all()
