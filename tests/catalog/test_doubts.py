from pathlib import Path

import pytest

from clipc.catalog.doubts import variant_warning
from clipc.catalog.open import open_catalog


def test_equal_images_in_two_splits_are_warned_of(tmp_path: Path, picture) -> None:
    rows = [("a", "train", 1), ("b", "train", 2), ("c", "test", 1), ("d", "test", 3), ("e", "val", 4), ("f", "dev", 5)]
    for name, _, seed in rows:
        (tmp_path / f"{name}.jpg").write_bytes(picture(seed))
    table = "".join(f"{name}.jpg,a gear {name},{split}\n" for name, split, _ in rows)
    (tmp_path / "t.csv").write_text("image,caption,split\n" + table)
    (warning,) = open_catalog(tmp_path / "t.csv").about.warnings
    assert warning.startswith("1 of 2 images in test are in train too, byte by byte (the first is c.jpg)")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["OK", "ok", "NG"], "'OK' / 'ok'"),
        (["OK", "ＯＫ"], "'OK' / 'ＯＫ'"),
        (["1", "1.0", "2"], "'1' / '1.0'"),
        (["red gear", "red_gear", "red-gear"], "'red gear' / 'red-gear' / 'red_gear'"),
        (["C", "C+", "C-", "1-0", "10", "1.5", "15", "none", "-", "_", "傷", "きず"], None),
    ],
)
def test_labels_that_differ_in_their_writing_only_are_warned_of(labels: list[str], said: str | None) -> None:
    warning = variant_warning("label", labels)
    assert warning is None if said is None else said in str(warning)


def test_what_looks_equal_is_one_class(tmp_path: Path, picture) -> None:
    for n, folder in enumerate(("train/caf\u00e9", "train/bar", "test/cafe\u0301", "test/bar ")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.jpg").write_bytes(picture(n))
    (tmp_path / "classes.json").write_text('{"cafe\u0301": "coffee house", "bar": "pub"}', "utf-8")
    catalog = open_catalog(tmp_path)
    assert set(catalog.column("label")) == {"caf\u00e9", "bar"}
    assert catalog.about.class_names == {"label": {"caf\u00e9": "coffee house", "bar": "pub"}}


def test_pairs_of_other_splits_are_noted_and_not_drawn_into_train(tmp_path: Path, picture) -> None:
    splits = ["train", "val", "test", "holdout"]
    for n in range(4):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    (tmp_path / "t.csv").write_text(
        "image,caption,split\n" + "".join(f"{n}.jpg,gear {n},{splits[n]}\n" for n in range(4))
    )
    catalog = open_catalog(tmp_path / "t.csv")
    assert catalog.splits == {"train": 1, "val": 1, "test": 1, "holdout": 1}
    assert "used only where these are named: holdout 1" in str(catalog.about.notes)


@pytest.mark.parametrize(
    ("column", "values", "warns"),
    [("split", "0 1 0 1", True), ("Split", "fold1 fold2 fold1 fold2", True), ("set", "A B A B", False)],
)
def test_a_column_of_splits_that_is_not_used_is_warned_of(
    tmp_path: Path, picture, column: str, values: str, warns: bool
) -> None:
    rows = list(enumerate(values.split()))
    for n, _ in rows:
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    (tmp_path / "t.csv").write_text(f"image,caption,{column}\n" + "".join(f"{n}.jpg,gear {n},{v}\n" for n, v in rows))
    warnings = open_catalog(tmp_path / "t.csv").about.warnings
    assert any(warning.startswith(f"the column {column} is not used") for warning in warnings) == warns
