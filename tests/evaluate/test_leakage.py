"""What of the test split is in the training pairs, on catalogs whose answer is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.catalog.split import with_splits
from clipc.evaluate.leakage import leakage, total_leakage

from .fake import colour_catalog

UCM = Path("../shared/data/ucm-captions")


def changed(catalog: Catalog, name: str, values: list[Any]) -> Catalog:
    """The catalog with other values in a column."""
    field = catalog.table.schema.field(name)
    index = catalog.table.schema.get_field_index(name)
    return replace(catalog, table=catalog.table.set_column(index, field, pa.array(values, field.type)))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """20 training pairs and 10 test pairs, whose captions, bytes and hashes all differ."""
    hashes: Any = np.random.default_rng(0).integers(0, 2**63, 34).astype(np.uint64)
    plain = colour_catalog(tmp_path, {"train": 20, "val": 4, "test": 10}, dhash=hashes)
    return changed(plain, "captions", [[f"one {i}", f"two {i}"] for i in range(34)])


def test_nothing_is_found_where_all_differ(catalog: Catalog) -> None:
    found = leakage(catalog)
    assert found == {"captions": 20, "captions_in_train": 0, "images": 10, "images_in_train": 0, "near": True}


def test_what_was_put_in_is_found(catalog: Catalog) -> None:
    captions = [catalog.captions(row) for row in range(34)]
    captions[24] = ["one 3", "two 24"]  # of the test split: one caption of training
    captions[25] = ["two 19", "one 3"]  # both
    captions[26] = ["One 3", "one 20"]  # another spelling, and a caption of validation
    content, dhash = catalog.table["content"].to_pylist(), catalog.table["dhash"].to_pylist()
    content[27] = content[0]  # the same bytes
    dhash[28] = dhash[5] ^ 0b11  # two bits
    dhash[29] = dhash[5] ^ 0xFFFFF  # twenty bits
    content[30] = content[21]  # of validation
    found = leakage(changed(changed(changed(catalog, "captions", captions), "content", content), "dhash", dhash))
    assert (found["captions_in_train"], found["images_in_train"]) == (3, 2)
    assert total_leakage([found, found]) == {
        "captions": 40,
        "captions_in_train": 6,
        "images": 20,
        "images_in_train": 4,
        "near": True,
    }


def test_without_hashes_only_equal_files_count(catalog: Catalog) -> None:
    content = catalog.table["content"].to_pylist()
    content[27] = content[0]
    equal = changed(catalog, "content", content)
    bare = replace(equal, table=equal.table.drop_columns(["dhash"]))
    found = leakage(bare)
    assert (found["images_in_train"], found["near"]) == (1, False)


@pytest.mark.skipif(not UCM.exists(), reason="the shared data are not there")
def test_more_than_half_of_ucms_test_captions_are_training_captions(tmp_path: Path) -> None:
    catalog = with_splits(open_catalog(str(UCM), cache=tmp_path))
    found = leakage(catalog)
    assert found["captions_in_train"] / found["captions"] == pytest.approx(0.55, abs=0.02)
