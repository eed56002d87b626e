import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipc.catalog.open import open_catalog
from clipc.catalog.rows import Reject, Row, Source, SourceInfo
from clipc.catalog.sources.joined import Part, joined, with_splits_of_folders
from clipc.errors import UserError


def source(root: Path, rows: list[Row | Reject], notes: tuple[str, ...] = ()) -> Source:
    def read(info: SourceInfo) -> Iterator[Row | Reject]:
        info.notes.extend(notes)
        yield from rows

    return Source(root, "part", [root], read)


def row(key: str, file: str, split: str | None = None) -> Row:
    return Row(key, ["words"], None, split, file)


def test_files_keys_and_splits_of_parts() -> None:
    root = Path("/data")
    parts = [
        Part("a.csv", "train", source(root / "a", [row("1.jpg", "1.jpg"), row("7", "2.jpg", "val")])),
        Part(
            "b.csv", "test", source(root / "b", [row("1.jpg", "1.jpg"), row("7", "2.jpg"), Reject("b", 3, None, "no")])
        ),
        Part("c.csv", None, source(root, [row("a/1.jpg", "a/1.jpg"), row("8", "3.jpg")])),
    ]
    whole = joined(parts, root, "set")
    *rows, last = whole.read(SourceInfo())
    assert isinstance(last, Row)
    pairs = [(r.key, r.file, r.split) for r in [*rows, last] if isinstance(r, Row)]
    assert pairs == [
        ("a/1.jpg", "a/1.jpg", "train"),
        ("7", "a/2.jpg", "val"),
        ("b/1.jpg", "b/1.jpg", "test"),
        ("b.csv/7", "b/2.jpg", "test"),
        ("a/1.jpg", "a/1.jpg", None),  # the same image again, which the check of rows rejects
        ("8", "3.jpg", None),
    ]
    assert sum(isinstance(r, Reject) for r in rows) == 1
    assert whole.watched == [root / "a", root / "b", root]


def test_rejects_name_the_table_by_its_path_in_the_set(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    for n, split in enumerate(("train", "val")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "0.png").write_bytes(picture(n, format="PNG"))
        (tmp_path / split / "damaged.png").write_bytes(b"no image")
        lines = ["file_name,text", "0.png,a gear", "missing.png,a nut", "damaged.png,a bolt"]
        (tmp_path / split / "metadata.csv").write_text("\n".join(lines), "utf-8")
    rejects = open_catalog(tmp_path).rejects.to_pylist()
    assert sorted((reject["file"], reject["row"]) for reject in rejects) == [
        *(("train/metadata.csv", 3), ("train/metadata.csv", 4)),
        *(("val/metadata.csv", 3), ("val/metadata.csv", 4)),
    ]


def test_notes_of_all_parts_are_said_once(tmp_path: Path) -> None:
    parts = [
        Part("a", None, source(tmp_path, [], ("read as UTF-8", "two"))),
        Part("b", None, source(tmp_path, [], ("read as UTF-8",))),
    ]
    info = SourceInfo()
    list(joined(parts, tmp_path, "set").read(info))
    assert info.notes == ["2 tables are read as one set: a, b", "read as UTF-8", "a: two"]


@pytest.mark.parametrize(
    ("rows", "splits"),
    [
        ([("train/1.jpg", None), ("test/1.jpg", None)], ["train", "test"]),
        ([("images/train/1.jpg", None), ("images/Val/1.jpg", None)], ["train", "val"]),
        ([("train/1.jpg", None), ("other/1.jpg", None)], [None, None]),
        ([("train/1.jpg", None), ("test/1.jpg", None), ("extra/1.jpg", None)], ["train", "test", None]),
        ([("train/1.jpg", None), ("test/1.jpg", None), ("a/1.jpg", None), ("b/1.jpg", None)], [None] * 4),
        ([("test/1.jpg", None), ("test/2.jpg", None)], [None, None]),
        ([("train/1.jpg", "test"), ("test/1.jpg", None)], ["test", None]),
        ([], []),
    ],
)
def test_splits_that_image_folders_name(rows: list[tuple[str, str | None]], splits: list[str | None]) -> None:
    pairs: list[Row | Reject] = [row(file, file, split) for file, split in rows]
    read = list(with_splits_of_folders(source(Path("/data"), pairs)).read(SourceInfo()))
    assert [pair.split for pair in read if isinstance(pair, Row)] == splits


def test_metadata_in_split_folders(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for n in range(3):
            (tmp_path / split / f"{n}.png").write_bytes(picture(n + 10 * len(split), format="PNG"))
    records = [{"file_name": f"{n}.png", "text": f"picture {n}"} for n in range(3)]
    (tmp_path / "train" / "metadata.jsonl").write_text("\n".join(map(json.dumps, records)), "utf-8")
    lines = ["file_name,text", *(f"{record['file_name']},{record['text']}" for record in records)]
    (tmp_path / "test" / "metadata.csv").write_text("\n".join(lines), "utf-8")
    catalog = open_catalog(tmp_path)
    assert catalog.splits == {"test": 3, "train": 3}
    assert catalog.keys == [f"{split}/{n}.png" for split in ("test", "train") for n in range(3)]
    assert catalog.captions(5) == ["picture 2"]
    (tmp_path / "train" / "metadata.jsonl").write_text('{"file_name": "0.png"}\n', "utf-8")
    with pytest.raises(UserError, match="To read one table alone"):
        open_catalog(tmp_path)


def test_a_cloned_repository_of_parquet_shards(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("---\nconfigs:\n---\n", "utf-8")
    for number, shard in enumerate(["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"]):
        records = [
            {"image": {"bytes": picture(10 * number + n), "path": None}, "text": f"picture {10 * number + n}"}
            for n in range(2)
        ]
        pq.write_table(pa.Table.from_pylist(records), tmp_path / "data" / f"{shard}.parquet")
    catalog = open_catalog(tmp_path)
    assert catalog.splits == {"test": 2, "train": 4}
    by_caption = {catalog.captions(r)[0]: catalog.encoded(r) for r in range(len(catalog))}
    assert by_caption == {f"picture {n}": picture(n) for n in (0, 1, 10, 11, 20, 21)}
    assert open_catalog(tmp_path / "data").splits == catalog.splits
    assert open_catalog(str(tmp_path / "data" / "train-*.parquet")).splits == {"train": 4}


def test_a_table_apart_from_the_images(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for n in range(2):
        (tmp_path / "images" / f"{n}.jpg").write_bytes(picture(n))
    (tmp_path / "labels" / "pairs.csv").write_text("image,caption\n0.jpg,a gear\n1.jpg,a nut\n", "utf-8")
    catalog = open_catalog(tmp_path)
    assert [catalog.captions(r) for r in range(2)] == [["a gear"], ["a nut"]]


def test_img2dataset_files_are_read_as_images_with_texts(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    for shard in range(2):
        name = f"{shard:05d}"
        (tmp_path / name).mkdir()
        for n in range(2):
            (tmp_path / name / f"{name}{n:04d}.jpg").write_bytes(picture(10 * shard + n))
            (tmp_path / name / f"{name}{n:04d}.txt").write_text(f"picture {shard} {n}", "utf-8")
            (tmp_path / name / f"{name}{n:04d}.json").write_text("{}", "utf-8")
        pq.write_table(pa.table({"url": ["https://example.org/1.jpg"], "caption": ["a"]}), tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}_stats.json").write_text("{}", "utf-8")
    catalog = open_catalog(tmp_path)
    assert catalog.captions(3) == ["picture 1 1"]
    assert len(catalog) == 4


def test_tables_of_splits_find_the_images_of_their_split(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    for number, split in enumerate(("train", "test")):
        (tmp_path / split).mkdir()
        for n in range(3):
            (tmp_path / split / f"{n}.jpg").write_bytes(picture(10 * number + n))
        lines = ["image,caption", *(f"{n}.jpg,picture {10 * number + n}" for n in range(3))]
        (tmp_path / f"{split}.csv").write_text("\n".join(lines), "utf-8")
    catalog = open_catalog(tmp_path)
    assert catalog.splits == {"train": 3, "test": 3}
    for at in range(6):
        assert catalog.encoded(at) == picture(int(catalog.captions(at)[0].removeprefix("picture ")))
