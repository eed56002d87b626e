import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipc.catalog.open import open_catalog
from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import Reject, Row, SourceInfo
from clipc.catalog.sources.documents import document_records
from clipc.catalog.sources.table import table
from clipc.errors import UserError

Truth = list[tuple[str, list[str], str | None]]
"""The image, captions and label of each pair."""


def rows_of(path: Path, info: SourceInfo | None = None, **options: Any) -> list[Row | Reject]:
    return list(table(path, path.stem, SourceOptions(**options)).read(info or SourceInfo()))


def truth_of(path: Path, **options: Any) -> Truth:
    rows = rows_of(path, **options)
    assert not [row for row in rows if isinstance(row, Reject)]
    return [(row.file, row.captions, row.label) for row in rows if isinstance(row, Row)]


def coco(truth: Truth) -> Any:
    notes = [{"image_id": n, "caption": text} for n, (_, texts, _) in enumerate(truth) for text in texts]
    images = [{"id": n, "file_name": file, "label": label} for n, (file, _, label) in enumerate(truth)]
    return {"info": {}, "licenses": [{"id": 1}], "images": images, "annotations": notes[::-1][::-1]}


def karpathy(truth: Truth) -> Any:
    images = [
        {"filename": file, "sentences": [{"raw": text, "tokens": text.split()} for text in texts], "label": label}
        for file, texts, label in truth
    ]
    return {"images": images, "dataset": "own"}


def label_studio(truth: Truth) -> Any:
    return [
        {
            "id": n,
            "data": {"image": file},
            "annotations": [
                {"was_cancelled": True, "result": [{"from_name": "words", "value": {"text": ["wrong"]}}]},
                {
                    "result": [
                        {"from_name": "words", "type": "textarea", "value": {"text": texts}},
                        {"from_name": "kind", "type": "choices", "value": {"choices": [label] if label else []}},
                        {"from_name": "box", "type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["a"]}},
                    ]
                },
            ],
        }
        for n, (file, texts, label) in enumerate(truth)
    ]


def by_columns(truth: Truth) -> Any:
    return {
        name: {str(n): row[i] for n, row in enumerate(truth)} for i, name in enumerate(("image", "captions", "label"))
    }


DOCUMENTS = {
    "coco": coco,
    "karpathy": karpathy,
    "karpathy_list": lambda truth: karpathy(truth)["images"],
    "label_studio": label_studio,
    "by_file": lambda truth: {file: {"caption": texts, "label": label} for file, texts, label in truth},
    "records": lambda truth: [{"image": file, "captions": texts, "label": label} for file, texts, label in truth],
    "wrapped": lambda truth: {"version": 1, "data": [{"image": f, "text": t, "label": c} for f, t, c in truth]},
    "columns": by_columns,
    "lists": lambda truth: dict(zip(("images", "captions", "label"), map(list, zip(*truth, strict=True)), strict=True)),
    "split": lambda truth: {"columns": ["image", "captions", "label"], "index": [], "data": [list(t) for t in truth]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    for n in range(6):
        (folder / f"{n:03d}.jpg").touch()
    return folder


CAPTIONS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufffd")).map("a ".__add__), min_size=1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(CAPTIONS.map(lambda texts: list(dict.fromkeys(texts))), st.sampled_from([None, "ok", "傷"])),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from([None, 1]),
)
def test_every_form_of_document_reads_the_same_pairs_back(folder: Path, pairs: Any, indent: int | None) -> None:
    truth: Truth = [(f"{n:03d}.jpg", texts, label) for n, (texts, label) in enumerate(pairs)]
    for form, make in DOCUMENTS.items():
        path = folder / f"{form}.json"
        path.write_text(json.dumps(make(truth), indent=indent, ensure_ascii=False), encoding="utf-8")
        assert truth_of(path) == truth, form


def test_captions_alone_by_file(folder: Path) -> None:
    path = folder / "captions.json"
    for one, many in ((["a gear"], "a gear"), (["a", "b"], ["a", "b"]), (["gear"], {"en": "gear", "ja": "歯車"})):
        path.write_text(json.dumps({f"{n:03d}.jpg": many for n in range(5)}))
        assert truth_of(path) == [(f"{n:03d}.jpg", one, None) for n in range(5)]
    path.write_text(json.dumps({f"{n:03d}": "a gear" for n in range(5)}))
    assert len(truth_of(path)) == 5


def test_conversations(folder: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nDescribe it."}, {"from": "gpt", "value": "a gear"}]
    path = folder / "llava.json"
    path.write_text(json.dumps([{"id": "x", "image": "001.jpg", "conversations": turns}] * 1))
    info = SourceInfo()
    (row,) = rows_of(path, info)
    assert isinstance(row, Row)
    assert row.captions == ["a gear"]
    assert "conversations" in info.notes[0]
    content = [{"type": "text", "text": "a gear"}]
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": content}]
    lines = [{"images": ["001.jpg"], "messages": messages}, {"images": ["002.jpg"], "messages": messages * 2}]
    path = folder / "chat.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    reject, row = rows_of(path)
    assert isinstance(row, Row)
    assert isinstance(reject, Reject)
    assert (row.file, row.captions) == ("001.jpg", ["a gear"])
    assert "2 answers" in reject.reason


def test_splits_of_a_document(folder: Path) -> None:
    path = folder / "annotation.json"
    path.write_text(
        json.dumps({s: [{"image": f"{n:03d}.jpg", "caption": "a b"}] for n, s in enumerate(["train", "val"])})
    )
    assert [(row.file, row.split) for row in rows_of(path) if isinstance(row, Row)] == [
        ("000.jpg", "train"),
        ("001.jpg", "val"),
    ]


def test_coco_joins_by_id_and_tells_what_has_no_partner(folder: Path) -> None:
    images = [{"id": "17", "file_name": "000.jpg"}, {"id": 18, "file_name": "001.jpg"}]
    notes = [{"image_id": 17, "caption": "a"}, {"image_id": 99, "caption": "b"}]
    path = folder / "captions_val.json"
    path.write_text(json.dumps({"images": images, "annotations": notes}))
    reject, row, empty = rows_of(path)
    assert isinstance(row, Row)
    assert isinstance(empty, Row)
    assert isinstance(reject, Reject)
    assert (row.captions, empty.captions) == (["a"], [])
    assert "99" in reject.reason
    with pytest.raises(UserError, match=r"neither captions nor boxes.*captions_\*"):
        document_records({"images": images, "annotations": [{"image_id": 17, "bbox": [1, 2, 3, 4]}]}, "x.json")


def test_coco_boxes_give_a_label_and_a_box_and_captions_by_a_template(folder: Path) -> None:
    images = [{"id": n, "file_name": f"{n:03d}.jpg"} for n in range(3)]
    notes = [
        {"image_id": 0, "category_id": 1, "bbox": [1, 2, 2, 2]},
        {"image_id": 0, "category_id": 2, "bbox": [0, 0, 3, 1]},
        {"image_id": 0, "category_id": 1, "bbox": [4, 4, 1, 1.5]},
        {"image_id": 1, "category_id": 2, "bbox": [0, 0, 4, 4]},
        {"image_id": 1, "category_id": 3, "bbox": [0, 0, 9, 9]},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, "x", 9]},
    ]
    path = folder / "instances.json"
    categories = [{"id": 1, "name": "scratch"}, {"id": 2, "name": "dent"}]
    path.write_text(json.dumps({"images": images, "annotations": notes, "categories": categories}))
    with pytest.raises(UserError, match=r"--caption-template \".*\{label"):
        rows_of(path)
    options = SourceOptions(caption_templates=("a part with a {label}",))
    rows = [row for row in table(path, "set", options).read(SourceInfo()) if isinstance(row, Row)]
    assert [(row.label, row.more["box"]) for row in rows[:2]] == [("scratch", "1,2,5,5.5"), ("dent", "0,0,4,4")]
    assert rows[0].captions == ["a part with a scratch"]


@pytest.mark.parametrize("document", [{f"k{n}": n for n in range(5000)}, {"a": {"b": 1}}, {}, 5, "x", {"info": [1, 2]}])
def test_an_unknown_document_is_refused_in_one_short_sentence(document: Any) -> None:
    with pytest.raises(UserError, match="COCO captions") as caught:
        document_records(document, "x.json")
    assert len(str(caught.value)) < 300


def test_captions_that_are_objects_cost_their_row_only(folder: Path) -> None:
    path = folder / "rows.jsonl"
    values = [{"en": "gear", "ja": "歯車"}, {"box": [1]}, None]
    path.write_text("".join(json.dumps({"image": f"{n:03d}.jpg", "caption": v}) + "\r" for n, v in enumerate(values)))
    reject, row, empty = rows_of(path, lang="ja")
    assert isinstance(row, Row)
    assert isinstance(empty, Row)
    assert isinstance(reject, Reject)
    assert (row.captions, empty.captions) == (["歯車"], [])
    assert "keys box" in reject.reason


@pytest.mark.parametrize("end", ["\0\n", "\n\0", " \0"])
@pytest.mark.parametrize("count", [1, 3])
def test_records_that_end_in_nul_are_read(folder: Path, end: str, count: int) -> None:
    path = folder / "nul.jsonl"
    path.write_text("".join(json.dumps({"image": f"{n:03d}.jpg", "caption": f"gear {n}"}) + end for n in range(count)))
    assert [file for file, _, _ in truth_of(path)] == [f"{n:03d}.jpg" for n in range(count)]


def test_a_damaged_line_among_lines_that_end_in_nul_costs_itself_only(folder: Path) -> None:
    path = folder / "nul.jsonl"
    lines = ['{"image": "000.jpg", "caption": "a"}', '{"image": ', '{"image": "001.jpg", "caption": "b"}', ""]
    path.write_text("\0\n".join(lines))
    kinds = {type(row).__name__: row for row in rows_of(path)}
    assert len(rows_of(path)) == 3
    assert isinstance(kinds["Reject"], Reject)
    assert kinds["Reject"].row == 2


@pytest.mark.parametrize("names", [("caption_en", "caption_ja"), ("en", "ja"), ("caption", "日本語キャプション")])
def test_columns_of_captions_by_language(folder: Path, names: tuple[str, str]) -> None:
    path = folder / "languages.jsonl"
    path.write_text(json.dumps({"image": "000.jpg", names[0]: "gear", names[1]: "歯車"}) + "\n\n")
    assert truth_of(path) == [("000.jpg", ["gear"], None)]
    assert truth_of(path, lang="ja") == [("000.jpg", ["歯車"], None)]


def test_captions_by_file_for_each_split_and_records_over_several_lines(folder: Path) -> None:
    path = folder / "splits.json"
    path.write_text(json.dumps({"train": {"000.jpg": ["a b"]}, "test": {"001.jpg": ["c d"]}}))
    assert [(row.file, row.split) for row in rows_of(path) if isinstance(row, Row)] == [
        ("000.jpg", "train"),
        ("001.jpg", "test"),
    ]
    records = [{"image": f"{n:03d}.jpg", "caption": f"a {n}"} for n in range(3)]
    path.write_text("\n".join(json.dumps(record, indent=2) for record in records))
    assert [texts for _, texts, _ in truth_of(path)] == [["a 0"], ["a 1"], ["a 2"]]


@pytest.mark.parametrize("text", ['[["a.jpg", "b"]]', '{"a.jpg": "x", "b.jpg"', "{}\n{}", "[1, 2]", '["a.jpg"]'])
def test_json_without_records_is_refused(folder: Path, text: str) -> None:
    path = folder / "none.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"holds no|unknown|no column") as caught:
        rows_of(path)
    assert len(str(caught.value)) < 300


def test_maps_and_missing_numbers_in_parquet(folder: Path) -> None:
    captions = pa.array([[("en", "gear"), ("ja", "歯車")]] * 2, pa.map_(pa.string(), pa.string()))
    columns = {"image": ["000.jpg", "001.jpg"], "caption": captions, "label": pa.array([1.0, float("nan")])}
    pq.write_table(pa.table(columns), folder / "t.parquet")
    assert truth_of(folder / "t.parquet") == [("000.jpg", ["gear"], "1"), ("001.jpg", ["gear"], None)]


def test_lists_of_splits_are_no_captions() -> None:
    with pytest.raises(UserError, match="lists the images of splits and no captions; write each list as a text"):
        document_records({"train": ["a.jpg", "b.jpg"], "test": ["c.jpg"]}, "splits.json")


def test_coco_images_of_different_ids_with_one_file_name_are_refused(folder: Path) -> None:
    names = ["000.jpg", "000.jpg", "001.jpg", "001.jpg", "002.jpg"]
    images = [{"id": n if n < 4 else 9, "file_name": name} for n, name in zip((1, 2, 3, 3, 4), names, strict=True)]
    notes = [{"image_id": n, "caption": f"a gear {n}"} for n in (1, 2, 3, 9)]
    path = folder / "captions.json"
    path.write_text(json.dumps({"images": images, "annotations": notes}))
    found = list(rows_of(path))
    refused = [row.reason for row in found if isinstance(row, Reject)]
    assert [row.captions for row in found if isinstance(row, Row)] == [["a gear 3"], ["a gear 9"]]
    assert [reason for reason in refused if "different ids (1, 2) have the file_name 000.jpg" in reason] == refused[:2]


def test_fiftyone_samples_are_read_with_tags_as_splits_and_classifications_as_labels(tmp_path: Path, picture) -> None:
    (tmp_path / "data").mkdir()
    samples: list[Any] = []
    for n, tags in enumerate((["train"], ["odd", "validation"], ["train", "test"], [])):
        (tmp_path / "data" / f"{n}.png").write_bytes(picture(n))
        more = {"_id": {"$oid": f"{n:024x}"}, "_media_type": "image", "metadata": {"width": 5}, "tags": tags}
        truth = {"_cls": "Classification", "label": "ok"}
        samples.append({"filepath": f"data/{n}.png", "caption": f"plate {n}", "ground_truth": truth, **more})
    (tmp_path / "samples.json").write_text(json.dumps({"samples": samples}))
    (tmp_path / "metadata.json").write_text(json.dumps({"name": "plates", "default_classes": ["ok", "ng"]}))
    catalog = open_catalog(tmp_path)
    assert list(catalog.keys) == [f"{n:024x}" for n in range(4)]
    assert catalog.table["split"].to_pylist() == ["train", "val", None, None]
    assert catalog.table["label"].to_pylist() == ["ok"] * 4
    # The same by columns that the user names, as in an export without the form's marks.
    for sample in samples:
        del sample["_media_type"]
    path = tmp_path / "samples.json"
    path.write_text(json.dumps({"samples": samples}))
    catalog = open_catalog(path, label_columns=["ground_truth"], split_column="tags", key_column="_id")
    assert list(catalog.keys) == [f"{n:024x}" for n in (0, 3)]
    assert catalog.table["split"].to_pylist() == ["train", None]
    assert "a list of 2 values (odd, validation)" in catalog.rejects["reason"][0].as_py()
