import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clipc.catalog.open import open_catalog
from clipc.errors import UserError


def test_parquet_with_images_inside(tmp_path: Path, picture) -> None:
    rows = [{"image": {"bytes": picture(n), "path": None}, "text": f"number {n}", "n": n} for n in range(4)]
    rows.append({"image": {"bytes": b"broken", "path": None}, "text": "broken", "n": 4})
    rows.append({"image": {"bytes": None, "path": "/etc/hostname"}, "text": "outside", "n": 5})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    for _ in range(2):
        catalog = open_catalog(tmp_path / "t.parquet")
        assert [catalog.encoded(n) for n in range(4)] == [picture(n) for n in range(4)]
        assert catalog.captions(2) == ["number 2"]
        assert catalog.column("n") == [0, 1, 2, 3]
        assert sorted(catalog.rejects["row"].to_pylist()) == [5, 6]


def test_captions_that_are_objects_beside_images_in_parquet(tmp_path: Path, picture) -> None:
    captions = [[{"raw": "a gear", "sentid": 1}], [{"raw": None, "sentid": 2}], [{"raw": "two", "sentid": 3}]]
    rows = [{"image": picture(n), "sentences": text, "labels": ["b", "a"][n:]} for n, text in enumerate(captions)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    catalog = open_catalog(tmp_path / "t.parquet")
    assert [catalog.captions(n) for n in range(len(catalog))] == [["a gear"], ["two"]]
    assert catalog.column("label") == ["b", None]
    assert [catalog.encoded(n) for n in range(2)] == [picture(0), picture(2)]
    rows = [{"image": picture(n), "text": {"x": n, "y": 1}} for n in range(2)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "u.parquet")
    with pytest.raises(UserError, match="2 times: the caption is an object with the keys x, y"):
        open_catalog(tmp_path / "u.parquet")


def test_class_numbers_in_parquet_are_named(tmp_path: Path, picture) -> None:
    numbers = {"_type": "ClassLabel", "names": ["cat", "dog"]}
    features = {"image": {"_type": "Image"}, "label": numbers, "kinds": {"_type": "Sequence", "feature": numbers}}
    rows = [{"image": {"bytes": picture(n)}, "text": f"no {n}", "label": n - 1, "kinds": [1, 0]} for n in range(3)]
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.replace_schema_metadata(about), tmp_path / "t.parquet")
    assert open_catalog(tmp_path / "t.parquet").column("label") == [None, "cat", "dog"]
    kinds = open_catalog(tmp_path / "t.parquet", label_columns=("kinds",))
    assert kinds.column("all_labels")[0] == "dog|cat"
    pq.write_table(table.replace_schema_metadata({b"huggingface": b"[1]"}), tmp_path / "u.parquet")
    assert open_catalog(tmp_path / "u.parquet").column("label") == ["-1", "0", "1"]


def test_nearly_unique_labels_in_several_parquet_files_are_no_classes(tmp_path: Path, picture) -> None:
    for split, start in (("train", 0), ("test", 30)):
        rows = [{"image": picture(n), "text": f"no {n}", "label": f"S{n}"} for n in range(start, start + 30)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{split}.parquet")
    assert open_catalog(tmp_path / "train.parquet").about.label_columns == ()
    about = open_catalog(tmp_path).about
    assert about.label_columns == ()
    assert "60 of 60 rows" in about.warnings[0]


@pytest.mark.peer
@pytest.mark.parametrize("splits", [True, False])
def test_a_dataset_saved_on_disk(tmp_path: Path, picture, splits: bool, own_cache: Path) -> None:
    datasets = pytest.importorskip("datasets")

    def made(start: int) -> object:
        features = datasets.Features(
            {
                "image": datasets.Image(),
                "captions": datasets.Sequence(datasets.Value("string")),
                "label": datasets.ClassLabel(names=["cat", "dog"]),
                "kinds": datasets.Sequence(datasets.ClassLabel(names=["big", "small"])),
            }
        )
        numbers = range(start, start + 3)
        rows = {
            "image": [Image.open(io.BytesIO(picture(n, format="PNG"))) for n in numbers],
            "captions": [[f"one {n}", f"two {n}"] for n in numbers],
            "label": [n % 2 for n in numbers],
            "kinds": [[1, 0]] * 3,
        }
        return datasets.Dataset.from_dict(rows, features=features)

    whole = datasets.DatasetDict({"train": made(0), "validation": made(3)}) if splits else made(0)
    whole.save_to_disk(tmp_path / "set")
    catalog = open_catalog(tmp_path / "set")
    assert catalog.splits == ({"train": 3, "val": 3} if splits else {"train": 3})
    assert catalog.captions(1) == ["one 1", "two 1"]
    assert catalog.column("label")[:3] == ["cat", "dog", "cat"]
    assert catalog.image(0).shape == (16, 24, 3)
    kinds = open_catalog(tmp_path / "set", label_columns=("kinds",))
    assert (kinds.column("label")[0], kinds.column("all_labels")[0]) == ("small", "small|big")
    next((own_cache / "images").rglob("images.bin")).unlink()  # a lost blob is written again
    assert open_catalog(tmp_path / "set").image(1).shape == (16, 24, 3)


def test_a_name_that_cannot_be_had_is_a_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="need another package"):
        open_catalog("hf:nobody/nothing")
