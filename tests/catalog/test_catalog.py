from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.catalog import About, Catalog, fingerprint, first_rows, inside


def table(**more: Any) -> pa.Table:
    n = 5
    core = {"captions": [["x"]] * n, "label": pa.nulls(n, pa.string()), "split": ["train"] * n}
    return pa.table({"key": [str(i) for i in range(n)], **core, "content": np.arange(n, dtype=np.uint64), **more})


VIEWS = ["PA", "AP", None, "PA", "L"]
BOXES = [[0.0, 0.5], None, [], [1.0], [0.0, 0.25]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"view": VIEWS}),
        ({"view": VIEWS}, {"view": [*VIEWS[:4], "AP"]}),
        ({"view": VIEWS}, {"side": VIEWS}),
        ({"view": VIEWS}, {"view": [*VIEWS[:2], "", *VIEWS[3:]]}),
        ({"n": [1, 2, 3, 4, 5]}, {"n": ["1", "2", "3", "4", "5"]}),
        ({"box": BOXES}, {"box": [*BOXES[:4], [0.0, 0.5]]}),
        ({"box": BOXES}, {"box": [[0.0], None, [0.5], *BOXES[3:]]}),
    ],
)
def test_other_metadata_are_other_data(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Rules, groups and regions read them: a run on corrected ones is another run."""
    assert fingerprint(table(**one)) != fingerprint(table(**other))


def test_the_same_pairs_have_one_fingerprint_however_they_are_kept() -> None:
    whole = table(view=VIEWS, box=BOXES, n=range(5))
    pieces = pa.concat_tables([whole.slice(0, 2), whole.slice(2)]).select(whole.column_names[::-1])
    moved = whole.append_column("file", [["elsewhere"] * 5]).append_column("dhash", [range(5)])
    assert fingerprint(whole) == fingerprint(pieces) == fingerprint(moved)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=30))
def test_each_value_is_told_by_where_it_stands_first(values: list[int]) -> None:
    found = first_rows(np.array(values, dtype=np.uint64))
    assert found.dtype == np.int64
    assert found.tolist() == [values.index(value) for value in values]


def test_equal_captions_have_equal_numbers_whatever_the_chunks() -> None:
    first, second = table(captions=[["a", "b"], ["c"], ["a"], ["b"], ["b", "b"]]), table(captions=[["c", "d"]] * 5)
    catalog = Catalog(pa.concat_tables([first, second]), Path(), "f", About("x"))
    texts = [text for row in range(10) for text in catalog.captions(row)]
    ids = catalog.caption_ids.tolist()
    assert len(set(ids)) == len({*zip(ids, texts, strict=True)}) == len({*texts}) == 4
    part = catalog.take([3, 6])
    assert part.caption_ids.tolist() == [0, 1, 2]
    assert catalog.take([]).caption_ids.tolist() == []


def test_a_link_to_itself_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    assert inside(tmp_path, "self.png") == tmp_path.resolve() / "self.png"
