from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipc.catalog.sources.set_tables import SetTable, image_root, names_images, set_tables, unrelated_tables
from clipc.errors import UserError

ROWS = "image,caption\n1.jpg,a gear\n2.jpg,a nut\n"


def tables(root: Path, *files: str, rows: str = ROWS) -> list[tuple[str, str | None]]:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(rows if not file.endswith(".jpg") else "", "utf-8")
    return [tuple(table) for table in set_tables(root, sorted(files))]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["pairs.csv", "1.jpg"], [("pairs.csv", None)]),
        (["train.csv", "test.csv"], [("test.csv", "test"), ("train.csv", "train")]),
        (["captions_train2017.json", "captions_val2017.json"], ["train", "val"]),
        (["train/metadata.csv", "test/metadata.jsonl", "train/1.jpg", "test/1.jpg"], ["test", "train"]),
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"], ["train", "train"]),
        (["00000.parquet", "00001.parquet"], [None, None]),
        (["学習.csv", "評価.csv"], ["学習", "評価"]),
        (["metadata.csv", "other.csv"], [("metadata.csv", None)]),
        (["annotations/pairs.csv", "images/1.jpg"], [("annotations/pairs.csv", None)]),
        (["scratch/log.csv", "scratch/1.jpg", "intact/1.jpg"], []),
        (["captions.txt", "Images/1.jpg"], [("captions.txt", None)]),
        (["list.txt", "Images/1.jpg"], [("list.txt", None)]),
        (["00000.parquet", "00000_stats.json", "00000/1.jpg"], []),
        (["1.jpg"], []),
    ],
)
def test_tables_of_one_set(tmp_path: Path, files: list[str], expected: list[object]) -> None:
    found = tables(tmp_path, *files)
    assert (found if expected and isinstance(expected[0], tuple) else [split for _, split in found]) == expected


@pytest.mark.parametrize(
    "files",
    [
        ["a.csv", "b.csv"],
        ["train.csv", "all.csv"],
        ["pairs.csv", "pairs.jsonl"],
        ["en/train.parquet", "ja/train.parquet"],
        ["captions_train.csv", "labels_train.csv"],
    ],
)
def test_tables_of_several_sets_are_refused(tmp_path: Path, files: list[str]) -> None:
    with pytest.raises(UserError, match="several tables"):
        tables(tmp_path, *files)


def test_a_table_without_images_is_not_the_set(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("class,name\n0,gear\n", "utf-8")
    (tmp_path / "pairs.csv").write_text(ROWS, "utf-8")
    assert set_tables(tmp_path, ["classes.csv", "pairs.csv"]) == [("pairs.csv", None)]


def test_text_files_that_name_images(tmp_path: Path) -> None:
    for text, expected in (
        (ROWS, True),
        ("1.JPG#0\ta gear\n", True),
        ("see image.jpg\nfor more\nof this\n", False),
        ('{"1.jpg": "a", "2.jpg": "b"}', True),
        ('{"url": "1.jpg", "caption": "a"}', False),
        ("gear/1.jpg 0\nnut/2.jpg 1\n", False),  # a list of files and class numbers
        ("", False),
    ):
        (tmp_path / "t.txt").write_text(text, "utf-8")
        assert names_images(tmp_path / "t.txt") == expected, text
    (tmp_path / "t.txt").write_text(ROWS, "utf-16")
    assert names_images(tmp_path / "t.txt")
    assert not names_images(tmp_path / "none")


def test_paths_are_relative_to_the_folder_of_the_split(tmp_path: Path) -> None:
    def root(file: str, split: str | None, *images: str, rows: str = ROWS) -> str | None:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(rows, "utf-8")
        return image_root(tmp_path, SetTable(file, split), images)

    assert root("train.csv", "train", "train", "test") == "train"
    assert root("val.csv", "val", "images/train", "images/valid") == "images/valid"
    assert root("train.csv", "train", "train", "test", rows=ROWS.replace("1.jpg", "train/1.jpg")) is None
    assert root("train.csv", "train", "images/train", "images/test", rows=ROWS.replace("1.jpg", "train/1.jpg")) is None
    assert root("train.csv", "train", "train/images", "test/images") == "train/images"
    assert root("train.csv", "train", "train/images", "test/images", rows=ROWS.replace("1.", "images/1.")) == "train"
    assert root("train.csv", "train", "images") is None
    assert root("pairs.csv", None, "train", "test") is None
    assert root("train/metadata.csv", "train", "train", "test") is None
    assert root("labels/pairs.csv", None, "images") == "."
    assert root("labels/train.csv", "train", "train", "test") == "train"
    assert root("labels/train.csv", "train") is None


def test_tables_that_name_no_image_are_unrelated_to_captioned_images(tmp_path: Path) -> None:
    def unrelated(
        log: str, name: str = "log.csv", caption: str = "a gear", stems: tuple[str, ...] = ("1", "07")
    ) -> bool:
        for stem in stems:
            (tmp_path / f"{stem}.jpg").write_bytes(b"")
            (tmp_path / f"{stem}.txt").write_text(caption, "utf-8")
        (tmp_path / name).write_text(log, "utf-8")
        files = [name, *(f"{stem}{ending}" for stem in stems for ending in (".jpg", ".txt"))]
        return unrelated_tables(tmp_path, files) == [name]

    assert unrelated("epoch,loss\n1,0.5\n2,0.4\n")
    assert unrelated('{"epoch": 1}\n{"epoch": 2}\n', "log.jsonl")
    assert unrelated("{}", "metadata.json")
    assert not unrelated(ROWS)
    assert not unrelated("id;words\n07;a gear\nB;a nut\n")
    assert not unrelated("epoch,loss\n1,0.5\n", caption="0 0.5 0.5 0.1 0.1")
    assert unrelated_tables(tmp_path, ["log.csv", "1.jpg", "07.jpg"]) == []
    assert unrelated("")
    table = tmp_path / "results.parquet"
    for rows, expected in (({"loss": [0.1]}, [table.name]), ({"id": ["07"]}, []), ({"image": [b"x"]}, [])):
        pq.write_table(pa.table(rows), table)
        assert unrelated_tables(tmp_path, [table.name, "1.jpg", "1.txt", "07.jpg", "07.txt"]) == expected


def test_json_of_one_image_is_no_table(tmp_path: Path) -> None:
    rows = '{"image": "1.jpg", "file": "1.jpg", "caption": "a"}'
    assert tables(tmp_path, "1.json", "1.jpg", rows=rows) == []
    assert tables(tmp_path, "all.json", "1.jpg", rows=rows) == [("all.json", None)]


def test_a_name_that_is_more_than_a_split_is_none(tmp_path: Path) -> None:
    assert tables(tmp_path, "test-bench.csv") == [("test-bench.csv", None)]
    assert tables(tmp_path / "two", "train-gears.csv", "test-gears.csv") == [
        ("test-gears.csv", "test"), ("train-gears.csv", "train"),
    ]  # fmt: skip


def test_tables_beside_the_images_of_splits(tmp_path: Path) -> None:
    table = "image,caption\n0.jpg,a gear\n1.jpg,a washer\n"

    def found(*folders: str, texts: int = 0) -> list[SetTable]:
        files: list[str] = []
        for folder in folders:
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / "captions.csv").write_text(table)
            files += [f"{folder}/captions.csv", f"{folder}/0.jpg", f"{folder}/1.jpg"]
            files += [f"{folder}/{n}.txt" for n in range(texts)]
        return set_tables(tmp_path, files)

    both = [SetTable("test/captions.csv", "test"), SetTable("train/captions.csv", "train")]
    assert found("train", "test") == both
    assert found("train", "test", texts=2) == []  # the texts are the captions
    assert found("gear", "washer") == []  # classes
    (tmp_path / "train" / "captions.csv").write_text("epoch,loss\n1,0.5\n2,0.4\n")
    assert set_tables(tmp_path, ["train/captions.csv", "train/0.jpg"]) == []
