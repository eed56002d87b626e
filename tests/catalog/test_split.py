from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clipc.catalog.catalog import SCHEMA, About, Catalog
from clipc.catalog.split import with_splits
from clipc.errors import UserError


def catalog_of(
    contents: list[int],
    labels: list[str] | None = None,
    splits: list[str | None] | None = None,
    dhashes: list[int | None] | None = None,
    groups: list[str | None] | None = None,
) -> Catalog:
    n = len(contents)
    columns = {
        "key": [f"k{i}" for i in range(n)],
        "captions": [["a caption"]] * n,
        "label": labels or [None] * n,
        "split": splits or [None] * n,
        "file": ["a.tar"] * n,
        "offset": list(range(n)),
        "size": [1] * n,
        "width": [1] * n,
        "height": [1] * n,
        "content": contents,
    }
    table = pa.table([pa.array(v, SCHEMA.field(k).type) for k, v in columns.items()], schema=SCHEMA)
    table = table.append_column("dhash", pa.array(dhashes or [None] * n, pa.uint64()))
    table = table.append_column("patient", pa.array(groups or [None] * n, pa.string()))
    label_columns = ("label",) if labels else ()
    return Catalog(table, Path("/nowhere"), "0" * 16, About("test", label_columns=label_columns))


def hashes(n: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, 1 << 63, n, dtype=np.uint64).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 300), st.integers(1, 12), st.integers(0, 5), st.randoms(use_true_random=False))
@example(15, 9, 0, Random(0))
def test_shares_classes_and_determinism(n: int, classes: int, seed: int, random: Random) -> None:
    labels = [f"c{i % classes}" for i in range(n)]
    catalog = catalog_of(hashes(n), labels)
    made = with_splits(catalog, seed=seed)
    for name in ("val", "test"):
        assert abs(made.splits[name] - max(1, round(n / 10))) <= max(1, 0.02 * n)
    trained = {label for label, split in zip(labels, made.column("split"), strict=True) if split == "train"}
    if n - classes >= 2 * max(1, round(n / 10)):
        assert trained == set(labels)
    order = random.sample(range(n), n)
    again = with_splits(catalog.take(order), seed=seed)
    assert dict(zip(again.keys, again.column("split"), strict=True)) == dict(
        zip(made.keys, made.column("split"), strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=6, max_size=120), st.integers(0, 200), st.integers(0, 5))
def test_splits_of_small_classes_get_their_share(small: list[int], large: int, seed: int) -> None:
    sizes = [*small, *([large] if large else [])]
    labels = [f"c{i}" for i, size in enumerate(sizes) for _ in range(size)]
    n, target = len(labels), max(1, round(len(labels) / 10))
    if n < 10:
        return
    made = with_splits(catalog_of(hashes(n), labels), seed=seed)
    assert {name: made.splits[name] for name in ("val", "test")} == {"val": target, "test": target}
    trained = {label for label, split in zip(labels, made.column("split"), strict=True) if split == "train"}
    assert {f"c{i}" for i, size in enumerate(sizes) if size > 1} <= trained
    if n - len(sizes) >= 2 * target:  # the others fill both splits, so that classes of one pair need not leave train
        assert trained == {*labels}


def test_unique_labels_leave_the_splits_their_share_and_the_note_counts() -> None:
    made = with_splits(catalog_of(hashes(1000), [f"S{i}" for i in range(990)] + ["S0"] * 10))
    assert made.splits == {"test": 100, "train": 800, "val": 100}
    assert "clipc made test (100 of 1,000 pairs) and val (100 of 1,000 pairs) with seed 0" in made.about.notes[-1]
    assert " classes have too few pairs for every split, and none in train" in made.about.notes[-1]
    assert "too few" not in with_splits(catalog_of(hashes(40), ["a", "b"] * 20)).about.notes[-1]


def test_a_group_of_nearly_all_leaves_something_for_both_splits() -> None:
    labels = [f"c{i % 8}" for i in range(400)]
    made = with_splits(catalog_of(hashes(400), labels, groups=["one"] * 360 + [f"p{i}" for i in range(40)]), 0)
    assert made.splits == {"test": 40, "train": 320, "val": 40}  # without the column
    made = with_splits(
        catalog_of(hashes(400), labels, groups=["one"] * 360 + [f"p{i}" for i in range(40)]), group_column="patient"
    )
    assert made.splits["train"] < 380
    assert min(made.splits["val"], made.splits["test"]) >= 12


def test_the_last_group_of_a_class_stays_in_train() -> None:
    labels = [label for label in "abcde" for _ in range(4)]
    groups = [f"{label}{i // 2}" for i, label in enumerate(labels)]  # two groups of two pairs in each class
    for seed in range(20):
        made = with_splits(catalog_of(hashes(20), labels, groups=groups), seed=seed, group_column="patient")
        train = {label for label, split in zip(labels, made.column("split"), strict=True) if split == "train"}
        assert train == {*labels}
        assert made.splits == {"test": 2, "train": 16, "val": 2}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 80), st.integers(0, 40)), min_size=40, max_size=120))
def test_doubles_look_alikes_and_groups_stay_on_one_side(rows: list[tuple[int, int, int]]) -> None:
    contents, dhashes, groups = ([row[i] for row in rows] for i in range(3))
    catalog = catalog_of(contents, None, None, [d or None for d in dhashes], [f"p{g}" if g else None for g in groups])
    try:
        made = with_splits(catalog, group_column="patient")
    except UserError:
        return  # all may hang together
    splits = made.column("split")
    lookalikes = "nearly equal images" in made.about.notes[-1]
    for values in (contents, groups, dhashes if lookalikes else []):
        sides: dict[int, set[str]] = {}
        for value, split in zip(values, splits, strict=False):
            if value or values is contents:
                sides.setdefault(value, set()).add(split)
        assert all(len(side) == 1 for side in sides.values())
    assert all(made.splits.get(name, 0) >= 1 for name in ("train", "val", "test"))


def test_a_source_with_both_splits_is_unchanged() -> None:
    catalog = catalog_of(hashes(3), splits=["train", "val", "test"])
    assert with_splits(catalog) is catalog


def test_only_the_missing_split_is_made_and_doubles_of_test_stay_out_of_it() -> None:
    contents = hashes(100)
    contents[0:5] = contents[90:95]
    catalog = catalog_of(contents, splits=[None] * 90 + ["test"] * 10)
    made = with_splits(catalog)
    assert made.column("split")[90:] == ["test"] * 10
    assert made.column("split")[:5] == ["train"] * 5
    assert made.splits["val"] in (8, 9)
    assert "val" in made.about.notes[-1]
    assert made.fingerprint != catalog.fingerprint


def test_seeds_differ() -> None:
    catalog = catalog_of(hashes(200))
    assert with_splits(catalog, seed=0).column("split") != with_splits(catalog, seed=1).column("split")


def test_a_fixed_camera_does_not_make_one_group_of_all() -> None:
    made = with_splits(catalog_of(hashes(50), dhashes=[7] * 50))
    assert made.splits == {"test": 5, "train": 40, "val": 5}
    assert "look alike" in made.about.notes[-1]


@pytest.mark.parametrize("has_column", [True, False])
def test_without_perceptual_hashes_the_note_claims_no_near_duplicates(has_column: bool) -> None:
    catalog = catalog_of(hashes(50))
    if not has_column:
        catalog = replace(catalog, table=catalog.table.drop_columns("dhash"))
    note = with_splits(catalog).about.notes[-1]
    assert "keeping equal images in one split" in note
    assert note.endswith("(without perceptual hashes, near duplicates are not detected)")
    near = with_splits(catalog_of(hashes(50), dhashes=[*range(1, 51)])).about.notes[-1]
    assert near.endswith("keeping equal and nearly equal images in one split")


def test_tiny_sets_and_wrong_columns_get_advice() -> None:
    with pytest.raises(UserError, match="9 pairs; at least 10"):
        with_splits(catalog_of(hashes(9)))
    with pytest.raises(UserError, match="unknown column 'patients'; did you mean 'patient'"):
        with_splits(catalog_of(hashes(20)), group_column="patients")
    with pytest.raises(UserError, match="too few groups"):
        with_splits(catalog_of(hashes(20), groups=["one", "two"] * 10), group_column="patient")
    with pytest.raises(UserError, match="too few groups"):
        with_splits(catalog_of([1] * 20))
    with pytest.raises(UserError, match="below 1"):
        with_splits(catalog_of(hashes(20)), val=0.6, test=0.5)


def test_labels_of_the_main_column_are_used() -> None:
    catalog = catalog_of(hashes(100), labels=["x"] * 100, groups=[f"p{i // 50}" for i in range(100)])
    catalog = replace(catalog, about=replace(catalog.about, label_columns=("patient",)))
    made = with_splits(catalog)
    for half in (made.column("split")[:50], made.column("split")[50:]):
        assert half.count("val") == half.count("test") == 5
