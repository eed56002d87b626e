"""Near copies are told from images that are merely of a kind."""

import pickle
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clipc.catalog.catalog import SCHEMA, About, Catalog
from clipc.catalog.open import open_catalog
from clipc.compose.similarity.lookalike import MAX_DISTANCE, Lookalikes, lookalikes


def catalog_of(content: np.ndarray, dhash: list[int | None] | None) -> Catalog:
    columns = {field.name: pa.nulls(len(content), field.type) for field in SCHEMA}
    columns["content"] = pa.array(content.astype(np.uint64))
    if dhash is not None:
        columns["dhash"] = pa.array(dhash, pa.uint64())
    return Catalog(pa.table(columns), Path(), "f", About("hashes"))


def random_hashes(n: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(5)).integers(0, 1 << 64, n, dtype=np.uint64)


def flipped(value: int, bits: int) -> int:
    return value ^ ((1 << bits) - 1)


def test_equal_bytes_and_near_hashes_are_alike() -> None:
    hashes: list[int | None] = random_hashes(100).tolist()
    hashes[1], hashes[2], hashes[3] = (
        flipped(hashes[0] or 0, MAX_DISTANCE),
        flipped(hashes[0] or 0, MAX_DISTANCE + 1),
        None,
    )
    hashes[4] = None
    content = np.arange(100)
    content[6] = 5
    alike = lookalikes(catalog_of(content, hashes))
    assert alike.distance == MAX_DISTANCE
    pairs = [(0, 0), (0, 1), (1, 0), (0, 2), (3, 4), (3, 0), (5, 6), (5, 7)]
    rows, others = np.array(pairs).T
    assert alike(rows, others).tolist() == [True, True, True, False, False, False, True, False]


def test_without_difference_hashes_the_bytes_decide() -> None:
    alike = lookalikes(catalog_of(np.array([1, 1, 2]), None))
    assert alike(np.array([0, 0]), np.array([1, 2])).tolist() == [True, False]


@pytest.mark.parametrize(("n", "distance"), [(100, -1), (3000, -1)])
def test_a_fixed_camera_has_no_near_copies(n: int, distance: int) -> None:
    alike = lookalikes(catalog_of(np.arange(n), [7] * n))
    assert alike.distance == distance
    assert not alike(np.array([0]), np.array([1])).any()


def test_pictures_of_a_kind_must_be_nearer() -> None:
    few_bits = (random_hashes(4000) & random_hashes(4000)[::-1] & np.uint64(0xFFFFF)).tolist()
    assert -1 <= lookalikes(catalog_of(np.arange(4000), few_bits)).distance < MAX_DISTANCE


def test_copies_byte_for_byte_do_not_make_hashes_useless() -> None:
    hashes = np.repeat(random_hashes(4), 100)
    assert lookalikes(catalog_of(np.repeat(np.arange(4), 100), hashes.tolist())).distance == MAX_DISTANCE


@pytest.mark.parametrize("distance", [-1, 0, 2, 4])
def test_any_of_is_what_comparing_all_pairs_says(distance: int) -> None:
    rng = np.random.Generator(np.random.Philox(3))
    base = random_hashes(30)
    dhash = base[rng.integers(0, 30, 300)]
    for _ in range(3):
        dhash ^= np.uint64(1) << rng.integers(0, 64, 300, dtype=np.uint64)
    test = Lookalikes(rng.integers(0, 2000, 300, dtype=np.uint64), dhash, rng.random(300) < 0.9, distance)
    for rows, others in ((np.arange(100), np.arange(100, 300)), (np.arange(40), np.arange(0))):
        slow = [bool(test(np.full(len(others), row), others).any()) for row in rows]
        assert test.any_of(rows, others).tolist() == slow


@pytest.mark.parametrize("n", [1, 2])
def test_smallest_sets(n: int) -> None:
    alike = lookalikes(catalog_of(np.arange(n), random_hashes(n).tolist()))
    assert alike(np.zeros(n, int), np.arange(n)).tolist() == [True, False][:n]


def test_it_travels_and_is_fast() -> None:
    n = 1_000_000
    hashes = random_hashes(n)
    alike = Lookalikes(hashes, hashes, np.ones(n, bool), 4)
    again = pickle.loads(pickle.dumps(alike))
    generator = np.random.Generator(np.random.Philox(1))
    rows, others = generator.integers(0, n, (2, 3_000_000))
    began = time.perf_counter()
    assert again(rows, others).sum() == (rows == others).sum()
    assert time.perf_counter() - began < 3


def test_known_copies_are_found(shared_data: Path) -> None:
    train = open_catalog(shared_data / "ucm-captions").split("train")
    sources = [Path(source).stem for source in train.column("source")]
    rows = np.array([sources.index("airplane01")]), np.array([sources.index("airplane02")])
    assert lookalikes(train)(*rows).all()
