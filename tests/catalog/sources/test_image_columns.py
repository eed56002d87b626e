from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipc.catalog.open import open_catalog


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_of_several_columns_of_images_the_one_with_the_name_of_images_is_taken(tmp_path: Path, picture) -> None:
    rows = [{"mask": {"bytes": picture(n + 9)}, "image": picture(n), "text": f"number {n}"} for n in range(3)]
    path = parquet(tmp_path / "t.parquet", rows)
    catalog = open_catalog(path)
    assert [catalog.encoded(n) for n in range(3)] == [picture(n) for n in range(3)]
    assert "mask holds images too" in str(catalog.about.notes)
    assert not catalog.about.warnings
    assert open_catalog(path, image_column="mask").encoded(0) == picture(9)


def test_a_choice_that_no_name_explains_is_warned_of(tmp_path: Path, picture) -> None:
    rows = [{"before": picture(n), "after": picture(n + 9), "text": f"number {n}"} for n in range(3)]
    about = open_catalog(parquet(tmp_path / "t.parquet", rows)).about
    assert "column before; after holds images too, which --image-column names" in str(about.warnings)


def test_hashes_beside_paths_are_no_images(tmp_path: Path, picture) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(1))
    path = parquet(tmp_path / "t.parquet", [{"phash": b"12345678", "image": "a.jpg", "text": "a gear"}])
    assert open_catalog(path).encoded(0) == picture(1)


def test_structs_with_paths_and_no_bytes_name_files(tmp_path: Path, picture) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(picture(1))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column = pa.array([{"bytes": None, "path": "photos/a.jpg"}], kind)
    pq.write_table(pa.table({"image": column, "text": ["a gear"]}), tmp_path / "t.parquet")
    assert open_catalog(tmp_path / "t.parquet").encoded(0) == picture(1)


def test_lists_of_one_image_are_read_and_of_several_refused(tmp_path: Path, picture) -> None:
    rows = [{"images": [{"bytes": picture(n)}] * (1 + n), "text": f"number {n}"} for n in range(2)]
    catalog = open_catalog(parquet(tmp_path / "t.parquet", rows))
    assert [catalog.encoded(n) for n in range(len(catalog))] == [picture(0)]
    assert catalog.rejects["reason"].to_pylist() == ["it holds 2 images; a pair has one"]


@pytest.mark.peer
def test_the_named_column_of_a_saved_dataset_is_taken(tmp_path: Path, picture) -> None:
    datasets = pytest.importorskip("datasets")
    columns = {
        "conditioning_image": [{"bytes": picture(n + 9), "path": None} for n in range(3)],
        "image": [{"bytes": picture(n), "path": None} for n in range(3)],
        "text": [f"number {n}" for n in range(3)],
    }
    kinds = {"conditioning_image": datasets.Image(), "image": datasets.Image(), "text": datasets.Value("string")}
    datasets.Dataset.from_dict(columns, features=datasets.Features(kinds)).save_to_disk(tmp_path / "set")
    assert open_catalog(tmp_path / "set").encoded(2) == picture(2)
