"""Folds: every pair once, classes in their shares, nothing of the test fold in training."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.catalog import SCHEMA, About, Catalog
from clipc.catalog.folds import fold_of_rows, with_fold
from clipc.errors import UserError


def catalog_of(
    contents: list[int], labels: list[str] | None = None, groups: list[str] | None = None, dhashes: Any = None
) -> Catalog:
    n = len(contents)
    columns: dict[str, list[Any]] = {
        "key": [f"k{i}" for i in range(n)],
        "captions": [["a caption"]] * n,
        "label": labels or [None] * n,
        "split": ["test" if i % 7 == 0 else None for i in range(n)],
        "content": contents,
        **dict.fromkeys(("file",), ["a.tar"] * n),
        **dict.fromkeys(("offset", "size", "width", "height"), [1] * n),
    }
    table = pa.table([pa.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)
    table = table.append_column("dhash", pa.array(dhashes or [None] * n, pa.uint64()))
    table = table.append_column("patient", pa.array(groups or [None] * n, pa.string()))
    return Catalog(table, Path("/nowhere"), "0" * 16, About("test", label_columns=("label",) if labels else ()))


def hashes(n: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, 1 << 63, n, dtype=np.uint64).tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(40, 200), st.integers(2, 6), st.integers(1, 5), st.integers(0, 3))
def test_every_pair_is_tested_once_and_classes_keep_their_shares(n: int, folds: int, classes: int, seed: int) -> None:
    labels = [f"c{i}" for i in np.random.default_rng(seed).integers(0, classes, n)]
    catalog = catalog_of(hashes(n, seed), labels)
    fold = fold_of_rows(catalog, folds, seed=seed)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= classes
    for name in set(labels):
        counts = np.bincount(fold[np.array(labels) == name], minlength=folds)
        assert counts.max() - counts.min() <= 1
    tested: list[str] = []
    for number in range(folds):
        one = with_fold(catalog, folds, number, seed=seed)
        assert set(one.splits) == {"train", "val", "test"}
        assert sum(one.splits.values()) == n
        tested += one.split("test").keys
    assert sorted(tested) == sorted(catalog.keys)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_copies_near_copies_and_groups_never_lie_on_both_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    contents = rng.integers(0, 60, 100).tolist()  # many copies
    dhashes = [None if i % 3 else int(value) for i, value in enumerate(rng.integers(0, 40, 100))]
    groups = [f"p{i}" for i in rng.integers(0, 90, 100)]
    catalog = catalog_of(contents, [f"c{i % 3}" for i in range(100)], groups, dhashes)
    try:
        folds = [with_fold(catalog, 2, fold, "patient") for fold in range(2)]
    except UserError:
        return  # everything hangs together
    for one in folds:
        splits = one.split_names
        for column in ("content", "dhash", "patient"):
            values = one.table[column].to_pylist()
            for value in {v for v in values if v is not None}:
                sides = {str(splits[row]) for row in range(100) if values[row] == value}
                assert len(sides) == 1, (column, value)


def test_the_order_of_rows_and_the_splits_before_change_no_fold() -> None:
    catalog = catalog_of(hashes(60), ["a", "b", "c"] * 20)
    before = dict(zip(catalog.keys, fold_of_rows(catalog, 5).tolist(), strict=True))
    order = np.random.default_rng(1).permutation(60)
    turned = catalog.take(order)
    assert dict(zip(turned.keys, fold_of_rows(turned, 5).tolist(), strict=True)) == before
    again = with_fold(with_fold(catalog, 5, 3), 5, 0)
    assert again.fingerprint == with_fold(catalog, 5, 0).fingerprint
    assert len({with_fold(catalog, 5, fold).fingerprint for fold in range(5)}) == 5


def test_too_few_groups_are_told() -> None:
    catalog = catalog_of(hashes(30), groups=[f"p{i % 6}" for i in range(30)])
    with pytest.raises(UserError, match=r"'patient': there are 6 groups .*; 5 folds need 10 at least"):
        with_fold(catalog, 5, 0, "patient")
