"""One true table of pairs, written in every form that docs/data.md names, is read back to the pixel."""

import base64
import csv
import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clipc.catalog.open import open_catalog
from clipc.errors import UserError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "data.md"


class Pair(NamedTuple):
    """One row of the true table; ``png`` is the image."""

    number: int
    png: bytes
    captions: list[str]
    label: str
    split: str

    @property
    def file(self) -> str:
        return f"{self.number:04d}.png"


Write = Callable[[Path, list[Pair]], Path | None]


def write_images(folder: Path, pairs: Iterable[Pair]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for pair in pairs:
        (folder / pair.file).write_bytes(pair.png)


def write_csv(path: Path, rows: Iterable[Iterable[str]], encoding: str = "utf-8", **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, **how).writerows(rows)


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")


def write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


def by_split(pairs: list[Pair]) -> dict[str, list[Pair]]:
    return {split: [p for p in pairs if p.split == split] for split in dict.fromkeys(p.split for p in pairs)}


def records(pairs: list[Pair], folder: str = "images/") -> list[dict[str, Any]]:
    return [
        {"image": folder + p.file, "captions": p.captions, "label": p.label, "split": p.split, "key": f"k{p.number}"}
        for p in pairs
    ]


def wide_rows(pairs: list[Pair], heading: Iterable[str]) -> list[list[str]]:
    """Rows with two columns of captions."""
    rows = [[f"images/{p.file}", *p.captions, *[""] * (2 - len(p.captions)), p.label, p.split] for p in pairs]
    return [list(heading), *rows]


HEADING = ["image", "caption_1", "caption_2", "label", "split"]


def csv_table(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "images", pairs)
    write_csv(folder / "pairs.csv", wide_rows(pairs, HEADING))


def tsv_table(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    write_csv(folder / "pairs.tsv", wide_rows(pairs, HEADING), delimiter="\t")
    return folder / "pairs.tsv"


def excel_table(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "images", pairs)
    heading = ["画像", "キャプション1", "キャプション2", "分類", "分割"]
    write_csv(folder / "部品.csv", [["sep=;"], *wide_rows(pairs, heading)], "utf-16", delimiter=";")


def one_row_a_caption(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "images", pairs)
    rows = [[f"images/{p.file}", caption, p.label, p.split] for p in pairs for caption in p.captions]
    write_csv(folder / "pairs.csv", [["image", "caption", "label", "split"], *rows])


def windows_paths(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "set" / "images", pairs)
    lines = [{**record, "image": rf"D:\export\set\images\{p.file}"} for p, record in zip(pairs, records(pairs))]  # noqa: B905
    write_lines(folder / "pairs.jsonl", lines)


def json_lines(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "images", pairs)
    write_lines(folder / "pairs.jsonl", records(pairs))


def parquet(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "images", pairs)
    pq.write_table(pa.Table.from_pylist(records(pairs)), folder / "pairs.parquet")


def parquet_shards(folder: Path, pairs: list[Pair]) -> None:
    (folder / "data").mkdir(parents=True)
    for split, part in by_split(pairs).items():
        rows = [{"image": {"bytes": p.png, "path": p.file}, "text": p.captions, "label": p.label} for p in part]
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{split}-00000-of-00001.parquet")


def split_tables(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "images", pairs)
    for split, part in by_split(pairs).items():
        write_csv(folder / f"{split}.csv", [row[:4] for row in wide_rows(part, HEADING)])


def tables_beside(folder: Path, pairs: list[Pair]) -> None:
    for split, part in by_split(pairs).items():
        write_images(folder / split, part)
        rows = [[p.file, *p.captions, *[""] * (2 - len(p.captions)), p.label] for p in part]
        write_csv(folder / split / "captions.csv", [HEADING[:4], *rows])


def fiftyone(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "data", pairs)
    write_json(folder / "metadata.json", {"name": "set", "media_type": "image", "sample_fields": [{"name": "id"}]})
    samples = [
        {
            "_id": {"$oid": f"{p.number:024x}"},
            "filepath": f"data/{p.file}",
            "tags": ["checked", p.split],
            "_media_type": "image",
            "caption": p.captions[0],
            "ground_truth": {"_cls": "Classification", "tags": [], "label": p.label},
        }
        for p in pairs
    ]
    write_json(folder / "samples.json", {"samples": samples})


def kohya(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "img", pairs)
    write_json(folder / "meta_cap.json", {f"D:\\img\\{p.number:04d}": {"caption": p.captions[0]} for p in pairs})


def image_folder(folder: Path, pairs: list[Pair]) -> None:
    for split, part in by_split(pairs).items():
        write_images(folder / split, part)
        lines = [{"file_name": p.file, "text": p.captions, "label": p.label} for p in part]
        write_lines(folder / split / "metadata.jsonl", lines)


def coco(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    annotations = [{"image_id": p.number, "caption": caption} for p in pairs for caption in p.captions]
    images = [{"id": p.number, "file_name": p.file} for p in pairs]
    write_json(
        folder / "captions_all.json",
        {"info": {}, "images": images, "annotations": [{"id": n, **a} for n, a in enumerate(annotations)]},
    )
    return folder / "captions_all.json"


def karpathy(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    images = [
        {
            "filename": p.file,
            "split": p.split,
            "imgid": p.number,
            "sentences": [{"raw": caption, "tokens": caption.split()} for caption in p.captions],
        }
        for p in pairs
    ]
    write_json(folder / "dataset.json", {"dataset": "own", "images": images})
    return folder / "dataset.json"


def label_studio(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    tasks: list[dict[str, Any]] = []
    for p in pairs:
        text = {"type": "textarea", "from_name": "text", "to_name": "image", "value": {"text": p.captions}}
        choice = {"type": "choices", "from_name": "kind", "to_name": "image", "value": {"choices": [p.label]}}
        data = {"image": f"/data/upload/3/{p.number + 0xA0000000:08x}-{p.file}"}
        tasks.append({"id": p.number, "data": data, "annotations": [{"id": p.number, "result": [text, choice]}]})
    write_json(folder / "export.json", tasks)
    return folder / "export.json"


def llava(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    question = {"from": "human", "value": "<image>\nDescribe it."}
    chats = [
        {"id": str(p.number), "image": p.file, "conversations": [question, {"from": "gpt", "value": p.captions[0]}]}
        for p in pairs
    ]
    write_json(folder / "chat.json", chats)
    return folder / "chat.json"


def captions_by_file(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    write_json(folder / "captions.json", {s: {p.file: p.captions for p in ps} for s, ps in by_split(pairs).items()})
    return folder / "captions.json"


def token(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    lines = [f"{p.file}#{n}\t{caption}\n" for p in pairs for n, caption in enumerate(p.captions)]
    (folder / "results.token").write_text("".join(lines), "utf-8")
    return folder / "results.token"


def beside(folder: Path, pairs: list[Pair]) -> None:
    for split, part in by_split(pairs).items():
        write_images(folder / split, part)
        for p in part:
            (folder / split / f"{p.number:04d}.txt").write_text(p.captions[0], "utf-8")


def caption_endings(folder: Path, pairs: list[Pair]) -> None:
    for split, part in by_split(pairs).items():
        write_images(folder / split, part)
        for p in part:
            (folder / split / f"{p.file}.caption").write_text(p.captions[0], "utf-16")


def parallel(folder: Path, pairs: list[Pair]) -> None:
    for split, part in by_split(pairs).items():
        write_images(folder / "images" / split, part)
        (folder / "text" / split).mkdir(parents=True)
        for p in part:
            (folder / "text" / split / f"{p.number:04d}.txt").write_text(p.captions[0], "utf-8")


def classes(folder: Path, pairs: list[Pair]) -> None:
    for p in pairs:
        write_images(folder / p.split / p.label, [p])


def classes_outside(folder: Path, pairs: list[Pair]) -> None:
    for p in pairs:
        write_images(folder / p.label / p.split / "camera 1", [p])


def img2dataset_files(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "00000", pairs)
    for p in pairs:
        (folder / "00000" / f"{p.number:04d}.txt").write_text(p.captions[0], "utf-8")
        write_json(folder / "00000" / f"{p.number:04d}.json", {"caption": p.captions[0], "status": "success"})
    log = [{"key": f"{p.number:04d}", "url": "x", "caption": p.captions[0], "status": "success"} for p in pairs]
    pq.write_table(pa.Table.from_pylist(log), folder / "00000.parquet")


def records_beside(folder: Path, pairs: list[Pair]) -> None:
    for p in pairs:
        write_images(folder, [p])
        record = {"captions": p.captions, "label": p.label, "split": p.split}
        write_json(folder / f"{p.number:04d}.json", record)


def hub_card(folder: Path, pairs: list[Pair]) -> None:
    write_images(folder / "data", pairs)
    files = ""
    for split, part in by_split(pairs).items():
        lines = [{"file_name": p.file, "text": p.captions, "label": p.label} for p in part]
        write_lines(folder / "data" / f"part-{split[::-1]}.jsonl", lines)
        files += f"  - split: {split}\n    path: data/part-{split[::-1]}.jsonl\n"
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n# Gears\n"
    (folder / "README.md").write_text(card, "utf-8")


def table_of_something_else(folder: Path, pairs: list[Pair]) -> None:
    beside(folder, pairs)
    write_csv(folder / "log.csv", [["epoch", "loss"], ["1", "0.5"], ["2", "0.4"]])


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def tars(folder: Path, pairs: list[Pair]) -> None:
    for split, part in by_split(pairs).items():
        members: list[tuple[str, bytes]] = []
        for p in part:
            record = json.dumps({"captions": p.captions, "label": p.label}).encode()
            members += [(f"{p.number:04d}.png", p.png), (f"{p.number:04d}.json", record)]
        write_tar(folder / f"{split}-00000.tar", members)


def tar_of_kinds(folder: Path, pairs: list[Pair]) -> Path:
    members: list[tuple[str, bytes]] = []
    for p in pairs:
        name = f"22.05/{p.number:04d}"
        members += [(f"{name}.image.png", p.png), (f"{name}.caption.txt", p.captions[0].encode())]
        members.append((f"{name}.cls.txt", p.label.encode()))
    write_tar(folder / "test-bench.tar", members)
    return folder / "test-bench.tar"


def tar_of_folders(folder: Path, pairs: list[Pair]) -> None:
    images = [(f"images/{p.number:04d}.v1.PNG", p.png) for p in pairs]
    texts = [(f"captions/{p.number:04d}.v1.TXT", p.captions[0].encode()) for p in pairs]
    write_tar(folder / "photos.tar", [*texts, *images])


def compressed(folder: Path, pairs: list[Pair]) -> Path:
    tars(folder, pairs)
    (file,) = list(folder.glob("train-*.tar"))
    file.with_name("set.tar.gz").write_bytes(gzip.compress(file.read_bytes()))
    return folder / "set.tar.gz"


def images_as_text(folder: Path, pairs: list[Pair]) -> Path:
    rows = [[base64.b64encode(p.png).decode(), p.captions[0]] for p in pairs]
    write_csv(folder / "pairs.csv", [["image", "caption"], *rows])
    return folder / "pairs.csv"


def pointers(folder: Path, pairs: list[Pair]) -> None:
    csv_table(folder, pairs)
    for p in pairs:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{p.number:064x}\nsize {len(p.png)}\n"
        (folder / "images" / p.file).write_text(pointer)


def lists_of_splits(folder: Path, pairs: list[Pair]) -> None:
    write_csv(folder / "captions.txt", [["image", "caption"], *([p.file, c] for p in pairs for c in p.captions)])
    write_images(folder / "Images", pairs)
    for split, part in by_split(pairs).items():
        (folder / f"{split}Images.txt").write_text("".join(f"{p.file}\n" for p in part), "utf-8")


def lists_beside_classes(folder: Path, pairs: list[Pair]) -> None:
    for p in pairs:
        write_images(folder / "images" / p.label, [p])
    for split, part in by_split(pairs).items():
        (folder / "meta").mkdir(exist_ok=True)
        names = "".join(f"{p.label}/{p.number:04d}\n" for p in part)
        (folder / "meta" / f"{split}.txt").write_text(names, "utf-8")


def with_masks(folder: Path, pairs: list[Pair]) -> None:
    classes(folder, pairs)
    for p in pairs:
        write_images(folder / "ground_truth" / p.label, [p])


def with_boxes(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    (folder / "labels").mkdir()
    for p in pairs:
        (folder / "labels" / f"{p.number:04d}.txt").write_text("0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.2 0.2\n", "utf-8")
    return folder


def spreadsheet(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    (folder / "pairs.xlsx").write_bytes(b"PK\x03\x04")
    return folder / "pairs.xlsx"


def hugging_face(folder: Path, pairs: list[Pair]) -> Path | None:
    datasets = pytest.importorskip("datasets")
    parts = {
        split: datasets.Dataset.from_list(
            [{"image": {"bytes": p.png, "path": None}, "text": p.captions, "label": p.label} for p in part]
        ).cast_column("image", datasets.Image())
        for split, part in by_split(pairs).items()
    }
    datasets.DatasetDict(parts).save_to_disk(str(folder))
    return folder


def no_captions(folder: Path, pairs: list[Pair]) -> Path:
    write_images(folder / "images", pairs)
    rows = [[f"images/{p.file}", f"gear {p.number % 2}", p.label, p.split] for p in pairs]
    write_csv(folder / "export.csv", [["image", "part", "defect", "split"], *rows])
    return folder / "export.csv"


ALL = frozenset({"captions", "label", "split"})
# The beginning of the row of docs/data.md, how the form is written, and what of the true table it carries; in place of
# that the refusal.
FORMS: list[tuple[str, Write, frozenset[str] | str]] = [
    ("`pairs.csv`", csv_table, ALL),
    ("`pairs.csv`", tsv_table, ALL),
    ("`pairs.csv`", one_row_a_caption, ALL),
    ("`pairs.csv`", windows_paths, ALL),
    ("`pairs.csv`", json_lines, ALL),
    ("`pairs.csv`", parquet, ALL),
    ("a CSV with `sep=;`", excel_table, ALL),
    ("a table without captions", no_captions, r'--caption-template "a \{part\} with \{defect\}"'),
    ("COCO", coco, frozenset({"captions"})),
    ("Karpathy", karpathy, frozenset({"captions", "split"})),
    ("Label Studio", label_studio, frozenset({"captions", "label"})),
    ("LLaVA", llava, frozenset({"first caption"})),
    ("FiftyOne", fiftyone, frozenset({"first caption", "label", "split"})),
    ('`{"a.jpg"', kohya, frozenset({"first caption"})),
    ('`{"a.jpg"', captions_by_file, frozenset({"captions", "split"})),
    ("Flickr's `.token`", token, frozenset({"captions"})),
    ("images with `.txt`", beside, frozenset({"first caption", "split"})),
    ("images with `.txt`", caption_endings, frozenset({"first caption", "split"})),
    ("`images/17.jpg`", parallel, frozenset({"first caption", "split"})),
    ("class folders", classes, frozenset({"label", "split"})),
    ("class folders", classes_outside, frozenset({"label", "split"})),
    ("Hugging Face ImageFolder", image_folder, ALL),
    ("`train.csv` and `test.csv`", split_tables, ALL),
    ("`train.csv` and `test.csv`", parquet_shards, ALL),
    ("`train.csv` and `test.csv`", tables_beside, ALL),
    ("`train.txt` and `test.txt`", lists_of_splits, frozenset({"captions", "split"})),
    ("`train.txt` and `test.txt`", lists_beside_classes, frozenset({"label", "split"})),
    ("img2dataset", img2dataset_files, frozenset({"first caption"})),
    ("images with `.json`", records_beside, ALL),
    ("a cloned repository", hub_card, ALL),
    ("`log.csv`", table_of_something_else, frozenset({"first caption", "split"})),
    ("WebDataset tars", tars, ALL),
    ("WebDataset tars", tar_of_kinds, frozenset({"first caption", "label"})),
    ("WebDataset tars", tar_of_folders, frozenset({"first caption"})),
    ("a dataset of `datasets`", hugging_face, ALL),
    ("MVTec", with_masks, frozenset({"label", "split"})),
    ("YOLO", with_boxes, r"boxes"),
    ("images as text", images_as_text, r"base64"),
    ("`.tar.gz`", compressed, r"unpack"),
    ("Git LFS", pointers, r"git lfs pull"),
    ("`.xlsx`", spreadsheet, r"save .* as CSV"),
]


def png(number: int) -> bytes:
    """An image of its own for every number, 8 x 6 pixels."""
    noise = np.random.Generator(np.random.Philox(number)).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


WORDS = st.text(st.sampled_from("abc 歯車ガé,;'\"#"), max_size=10).map(lambda text: " ".join(f"a {text} x".split()))
ROWS = st.lists(
    st.tuples(
        st.lists(WORDS, min_size=1, max_size=2, unique=True),
        st.sampled_from(["scratched", "傷 あり"]),
        st.sampled_from(["train", "val", "test"]),
    ),
    max_size=6,
)


@settings(max_examples=6)
@given(rows=ROWS)
@pytest.mark.parametrize(("row", "write", "carried"), FORMS, ids=[write.__name__ for _, write, _ in FORMS])
def test_the_true_table_is_read_back(
    row: str, write: Write, carried: frozenset[str] | str, rows: list[tuple[list[str], str, str]]
) -> None:
    # Two classes and two splits at least, so that a form is what its name says.
    rows = [
        (["a gear"], "scratched", "train"),
        (["a bent gear", "a gear, bent"], "傷 あり", "test"),
        (["a clean gear"], "scratched", "test"),
        (["a long gear"], "傷 あり", "train"),
        *rows,
    ]
    pairs = [Pair(n, png(n), *values) for n, values in enumerate(rows)]
    with TemporaryDirectory() as name:
        folder = Path(name) / "set"
        source = write(folder, pairs) or folder
        if isinstance(carried, str):
            with pytest.raises(UserError, match=carried):
                open_catalog(source)
            return
        catalog = open_catalog(source)
        assert not len(catalog.rejects), catalog.rejects.to_pylist()
        by_pixels = {np.asarray(Image.open(io.BytesIO(p.png))).tobytes(): p for p in pairs}
        labels, splits = catalog.column("label"), catalog.split_names
        read = {by_pixels[catalog.image(i).tobytes()].number: i for i in range(len(catalog))}
        assert sorted(read) == [p.number for p in pairs]
        for pair in pairs:
            i = read[pair.number]
            if "captions" in carried:
                assert catalog.captions(i) == pair.captions
            if "first caption" in carried:
                assert catalog.captions(i) == pair.captions[:1]
            assert labels[i] == (pair.label if "label" in carried else None)
            assert splits[i] == (pair.split if "split" in carried else "train")


def test_every_row_of_the_document_has_a_form() -> None:
    table = DOCUMENT.read_text("utf-8").split("| what it looks like |")[1].split("\n\n")[0]
    rows = [cells[1].strip() for line in table.splitlines()[2:] if (cells := re.split(r"(?<!\\)\|", line))]
    for row in rows:
        assert any(row.startswith(begin) for begin, _, _ in FORMS), row
    for begin, _, _ in FORMS:
        assert any(row.startswith(begin) for row in rows), begin
