import gzip
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clipc.catalog.open import open_catalog
from clipc.errors import UserError


def test_pairs_labels_splits_and_metadata(tmp_path: Path, write_tar, samples) -> None:
    write_tar(tmp_path / "train-00000.tar", samples(4))
    write_tar(tmp_path / "val-00000.tar", samples(2, start=4))
    write_tar(tmp_path / "more.tar", samples(1, start=6, split="validation"))
    catalog = open_catalog(tmp_path)
    assert sorted(catalog.keys) == [f"{n:06d}" for n in range(7)]
    assert catalog.splits == {"train": 4, "val": 3}
    row = catalog.keys.index("000003")
    assert catalog.captions(row) == ["picture 3", "number 3"]
    assert catalog.column("label")[row] == "b"
    assert catalog.column("n")[row] == 3
    assert catalog.about.label_columns == ("label",)
    assert catalog.image(row).shape == (16, 24, 3)
    assert catalog.sizes.tolist() == [[24, 16]] * 7
    assert catalog.rejects.num_rows == 0


def test_metadata_columns_have_one_type_each(tmp_path: Path, write_tar, picture) -> None:
    values = [
        {"i": 1, "f": 1, "b": True, "m": 1, "s": "x", "nested": {"a": 1}, "width": 5},
        {"i": -2, "f": 2.5, "b": False, "m": "one", "s": None, "nested": [[1]]},
        {"i": None, "f": None, "m": True, "big": 1 << 70},
    ]
    members = []
    for n, value in enumerate(values):
        members += [(f"{n}.jpg", picture(n)), (f"{n}.json", json.dumps({"caption": f"cap {n}", **value}).encode())]
    table = open_catalog(write_tar(tmp_path / "a.tar", members)).table
    assert table.schema.field("i").type == pa.int64()
    assert table.schema.field("f").type == pa.float64()
    assert table.schema.field("b").type == pa.bool_()
    assert table["m"].to_pylist() == ["1", "one", "true"]
    assert table["big"].to_pylist() == [None, None, str(1 << 70)]
    assert table["source_width"].to_pylist() == [5, None, None]
    assert "nested" not in table.column_names


def test_what_is_wrong_is_rejected_with_its_reason_and_the_rest_is_kept(tmp_path: Path, write_tar, picture) -> None:
    members = [
        ("good.jpg", picture(1)), ("good.txt", b"a good one"),
        ("empty.jpg", picture(2)), ("empty.txt", b" . "),
        ("none.jpg", picture(3)),
        ("bad.jpg", picture(4)), ("bad.txt", b"caf\xe9 au lait"),
        ("broken.jpg", picture(5)[:200]), ("broken.txt", b"half"),
        ("zero.jpg", b""), ("zero.txt", b"nothing"),
        ("textonly.txt", b"no picture"),
        ("json.jpg", picture(6)), ("json.json", b'{"captions": ["x"'),
        ("good.JPG", picture(7)), ("good.Txt", b"the key again"),
    ]  # fmt: skip
    catalog = open_catalog(write_tar(tmp_path / "a.tar", members))
    assert catalog.keys == ["good"]
    assert catalog.captions(0) == ["a good one"]
    reasons = {row["key"]: row["reason"] for row in catalog.rejects.to_pylist()}
    for key, word in {
        "empty": "empty", "none": "no caption", "bad": "UTF-8", "broken": "damaged", "zero": "empty",
        "textonly": "no image", "json": ".json", "good": "same key",
    }.items():  # fmt: skip
        assert word in reasons[key], (key, reasons[key])
    assert catalog.rejects["file"].to_pylist() == ["a.tar"] * 8
    assert catalog.rejects_file is not None
    assert "textonly" in catalog.rejects_file.read_text(encoding="utf-8-sig")


def test_nothing_accepted_says_how_many_and_why(tmp_path: Path, write_tar, picture) -> None:
    members = [(f"{n}.{kind}", data) for n in range(3) for kind, data in (("jpg", picture(n)), ("txt", b"..."))]
    with pytest.raises(UserError, match=r"3 were refused, 3 times: the caption is empty \(first in a.tar, key '0'\)"):
        open_catalog(write_tar(tmp_path / "a.tar", members))


def test_a_cut_tar_keeps_the_pairs_before_the_cut(tmp_path: Path, write_tar, samples) -> None:
    path = write_tar(tmp_path / "a.tar", samples(10))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    catalog = open_catalog(path)
    assert 3 <= len(catalog) <= 6
    assert any("cut short" in reason for reason in catalog.rejects["reason"].to_pylist())
    for row in range(len(catalog)):
        catalog.image(row)


def test_folders_in_tars_and_dots_in_names(tmp_path: Path, write_tar, picture) -> None:
    members = [
        ("./x/a.jpg", picture(0)), ("./x/a.txt", b"first"),
        ("y/a.jpg", picture(1)), ("y/a.txt", b"second"),
        ("IMG_1.5mm.jpg", picture(2)), ("IMG_1.5mm.txt", b"third"),
        ("IMG_1.7mm.JPG", picture(3)), ("IMG_1.7mm.txt", b"fourth"),
        ("b.seg.png", picture(4, format="PNG")), ("b.jpg", picture(5)), ("b.txt", b"fifth"),
        ("x/._a.jpg", b"resource fork"),
    ]  # fmt: skip
    catalog = open_catalog(write_tar(tmp_path / "a.tar", members))
    assert set(catalog.keys) == {"x/a", "y/a", "IMG_1.5mm", "IMG_1.7mm", "b"}
    assert catalog.rejects.num_rows == 0
    row = catalog.keys.index("b")
    assert catalog.encoded(row) == picture(5)


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_japanese_names(tmp_path: Path, picture, format: int) -> None:
    import io

    name = "部品/" + "長い名前" * 40
    with tarfile.open(tmp_path / "a.tar", "w", format=format) as tar:
        for kind, data in (("jpg", picture(0)), ("txt", "傷のある歯車".encode())):
            info = tarfile.TarInfo(f"{name}.{kind}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    catalog = open_catalog(tmp_path / "a.tar")
    assert catalog.keys == [name]
    assert catalog.captions(0) == ["傷のある歯車"]


def test_clip_benchmark_layout(tmp_path: Path, write_tar, picture) -> None:
    (tmp_path / "classnames.txt").write_text("cat\naeroplane\n", encoding="utf-8")
    for split in ("train", "test"):
        members = []
        for n in range(4):
            members += [(f"s{n:07d}.webp", picture(n, format="WEBP")), (f"s{n:07d}.cls", str(n % 2).encode())]
        write_tar(tmp_path / split / "0.tar", members)
        (tmp_path / split / "nshards.txt").write_text("1")
    catalog = open_catalog(tmp_path)
    assert catalog.splits == {"test": 4, "train": 4}
    assert catalog.about.class_names["label"] == {"0": "cat", "1": "aeroplane"}
    assert catalog.captions(1) == ["photo of aeroplane"]
    assert any("made from class names" in note for note in catalog.about.notes)
    assert catalog.about.class_captions


def test_class_numbers_with_zeros_and_beyond_the_names(tmp_path: Path, write_tar, picture) -> None:
    (tmp_path / "classnames.txt").write_text("cat\naeroplane\n", encoding="utf-8")
    members = [(f"{n}.jpg", picture(n)) for n in range(3)] + [(f"{n}.cls", f"00{n}".encode()) for n in range(3)]
    about = open_catalog(write_tar(tmp_path / "a.tar", members)).about
    assert about.class_names["label"] == {"0": "cat", "1": "aeroplane", "000": "cat", "001": "aeroplane"}
    assert "classnames.txt has 2 names, so the last is that of class 1" in about.warnings[0]
    assert "(002)" in about.warnings[0]


def test_nearly_unique_labels_in_tars_are_no_classes(tmp_path: Path, write_tar, samples) -> None:
    members = [member for n in range(30) for member in samples(1, start=n, label=f"S{n // 2}")]
    path = write_tar(tmp_path / "a.tar", members)
    assert open_catalog(path).about.label_columns == ("label",)  # fewer than 20 rare ones
    members = [member for n in range(30) for member in samples(1, start=n, label=f"S{n}")]
    catalog = open_catalog(write_tar(tmp_path / "b.tar", members))
    assert catalog.about.label_columns == ()
    assert "--label-columns label" in catalog.about.warnings[0]
    assert open_catalog(tmp_path / "b.tar", label_columns=("label",)).about.label_columns == ("label",)


def test_clip_benchmark_captions_are_lines(tmp_path: Path, write_tar, picture) -> None:
    (tmp_path / "nshards.txt").write_text("1")
    catalog = open_catalog(write_tar(tmp_path / "0.tar", [("a.jpg", picture(0)), ("a.txt", b"one\ntwo\n")]))
    assert catalog.captions(0) == ["one", "two"]


def test_class_names_beside_the_tars(tmp_path: Path, write_tar, samples) -> None:
    path = write_tar(tmp_path / "a.tar", samples(4, state="ok"))
    (tmp_path / "classes.json").write_text('{"a": "apple", "b": "bee"}', encoding="utf-8")
    assert open_catalog(path).about.class_names == {"label": {"a": "apple", "b": "bee"}}
    nested = {"n": {"0": "none", "1": "one"}, "label": {"a": "apple"}, "state": {"ok": "in order"}, "absent": {}}
    (tmp_path / "classes.json").write_text(json.dumps(nested), encoding="utf-8")
    about = open_catalog(path).about
    assert about.label_columns == ("n", "label")  # one state is no class, an absent column none at all
    assert about.class_names["state"] == {"ok": "in order"}
    (tmp_path / "classes.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(UserError, match=r"classes\.json"):
        open_catalog(path)


def test_generated_sets_say_so(tmp_path: Path, write_tar, samples) -> None:
    assert open_catalog(write_tar(tmp_path / "a.tar", samples(3, generated=True))).about.generated
    mixed = samples(3, generated=True) + samples(1, start=9)
    assert not open_catalog(write_tar(tmp_path / "b.tar", mixed)).about.generated


@pytest.mark.parametrize(
    ("name", "pairs", "captions", "classes"),
    [
        ("covid-chestxray", 131, 262, 0),
        ("emoji", 1789, 4283, 0),
        ("neu-steel-defects", 1800, 7200, 6),
        ("ucm-captions", 2100, 10500, 21),
    ],
)
def test_real_sets_are_read_whole(shared_data: Path, name: str, pairs: int, captions: int, classes: int) -> None:
    catalog = open_catalog(shared_data / name)
    assert (len(catalog), int(catalog.caption_counts.sum())) == (pairs, captions)
    assert catalog.rejects.num_rows == 0
    assert len(catalog.about.class_names.get("label", {})) == classes
    assert set(catalog.splits) == {"train", "val", "test"}
    row = len(catalog) // 2
    assert np.array_equal(catalog.sizes[row], catalog.image(row).shape[1::-1])


def test_links_to_tars_are_followed_only_when_named(tmp_path: Path, write_tar, samples) -> None:
    write_tar(tmp_path / "store" / "a.tar", samples(2))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.tar").symlink_to(tmp_path / "store" / "a.tar")
    assert len(open_catalog(tmp_path / "set" / "a.tar")) == 2
    assert len(open_catalog(str(tmp_path / "set" / "*.tar"))) == 2
    with pytest.raises(UserError, match="leads out"):
        open_catalog(tmp_path / "set")
    (tmp_path / "linked").symlink_to(tmp_path / "store")
    assert len(open_catalog(tmp_path / "linked")) == 2


def test_a_pipe_named_like_a_tar_does_not_hang(tmp_path: Path, write_tar, samples) -> None:
    write_tar(tmp_path / "a.tar", samples(2))
    os.mkfifo(tmp_path / "b.tar")
    catalog = open_catalog(tmp_path)
    assert len(catalog) == 2
    assert "regular file" in catalog.rejects["reason"][0].as_py()


def test_captions_in_json_need_no_readable_text_file(tmp_path: Path, write_tar, picture) -> None:
    members = [("a.jpg", picture(0)), ("a.json", b'{"captions": ["fine"]}'), ("a.txt", b"\xff\xff")]
    assert open_catalog(write_tar(tmp_path / "a.tar", members)).captions(0) == ["fine"]


def test_captions_and_labels_of_other_forms(tmp_path: Path, picture, write_tar) -> None:
    records = [
        {"caption": {"en": "gear", "ja": "歯車"}, "label": ["ok", "old"]},
        {"captions": [{"raw": "two"}, {"raw": "words"}], "label": {"box": [1, 2]}},
        {"caption": {"box": 1}},
        {"caption": float("nan"), "label": "N/A"},
    ]
    members = []
    for n, record in enumerate(records):
        members += [(f"{n}.jpg", picture(n)), (f"{n}.json", json.dumps(record).encode())]
    path = write_tar(tmp_path / "a.tar", [*members, ("3.txt", b"from the text")])
    catalog = open_catalog(path)
    assert [catalog.captions(n) for n in range(3)] == [["gear"], ["two", "words"], ["from the text"]]
    assert open_catalog(path, lang="ja").captions(0) == ["歯車"]
    assert catalog.column("label") == ["ok", None, None]
    assert catalog.column("all_labels") == ["ok|old", None, None]
    (reject,) = catalog.rejects.to_pylist()
    assert reject["reason"] == "the caption is an object with the keys box: none is raw, caption, text or en"
    assert "1 samples whose label is an object" in catalog.about.warnings[0]


def test_names_before_the_last_dot_and_words_for_captions(tmp_path: Path, write_tar, picture) -> None:
    members = []
    for n in range(3):
        members += [(f"v.1/{n:04d}.image.jpg", picture(n)), (f"v.1/{n:04d}.caption.txt", f"gear {n}".encode())]
    catalog = open_catalog(write_tar(tmp_path / "words.tar", members))
    assert catalog.keys == ["v.1/0000", "v.1/0001", "v.1/0002"]
    assert catalog.captions(2) == ["gear 2"]
    assert any("v.1/0000.caption.txt belongs to v.1/0000.image.jpg" in note for note in catalog.about.notes)
    folders = [(f"images/{n}.jpg", picture(n)) for n in range(3)] + [(f"texts/{n}.txt", b"a gear") for n in range(3)]
    catalog = open_catalog(write_tar(tmp_path / "folders.tar", folders))
    assert catalog.keys == ["images/0", "images/1", "images/2"]
    two = [("1.jpg", picture(1)), ("1.png", picture(2, format="PNG")), ("1.txt", b"a gear")]
    with pytest.raises(
        UserError, match=r"2 were refused, 2 times: # images share its text|2 images share its text 1.txt"
    ):
        open_catalog(write_tar(tmp_path / "two.tar", two))


def test_texts_that_are_passed_over_are_named_where_nothing_is_left(tmp_path: Path, write_tar, picture) -> None:
    members = [("0.jpg", picture(0)), ("0.en.txt", b"a gear"), ("0.ja.txt", "歯車".encode())]
    with pytest.raises(UserError, match=r"there is no caption .*; members .* passed over: 1 \.en\.txt, 1 \.ja\.txt\.$"):
        open_catalog(write_tar(tmp_path / "a.tar", members))


def test_keys_that_each_tar_counts_anew(tmp_path: Path, write_tar, samples, picture) -> None:
    write_tar(tmp_path / "a.tar", [("0.jpg", picture(0)), ("0.txt", b"a gear"), ("1.jpg", picture(1)), ("1.txt", b"a")])
    write_tar(tmp_path / "b.tar", [("0.jpg", picture(2)), ("0.txt", b"a nut"), ("1.jpg", picture(1)), ("1.txt", b"a")])
    catalog = open_catalog(tmp_path)
    assert catalog.keys == ["0", "1", "b/0"]
    assert catalog.rejects["reason"].to_pylist() == ["an earlier row has the same key"]  # the same image again
    assert any("1 samples have the key of another image" in note for note in catalog.about.notes)


def test_what_failed_to_download_is_refused_with_its_reason(tmp_path: Path, write_tar, picture) -> None:
    failed = {"caption": "a gear", "status": "failed_to_download", "error_message": "HTTP Error 404"}
    members = [
        ("0.jpg", picture(0)), ("0.txt", b"a gear"), ("0.json", b'{"caption": null, "label": null}'),
        ("1.json", json.dumps(failed).encode()), ("1.txt", b"a gear"),
        ("2.jpg", picture(2)), ("2.txt", b""), ("2.json", b'{"caption": "  "}'),
        ("3.jpg", picture(3)), ("3.json", b'{"caption": "a nut", "__key__": "3"}'),
        ("4.jpg", picture(4)), ("4.txt", b"0 0.5 0.5 0.1 0.1"),
        ("5.jpg", picture(5)), ("5.json", b'["a gear", "a red gear"]'),
        ("6.jpg", picture(6)), ("6.json", b'{"text": "a bolt"}'),
        ("7.jpg", picture(7)), ("7.json", b"[1, 2]"),
        ("8.npy", b"x"), ("README", b"x"),
    ]  # fmt: skip
    catalog = open_catalog(write_tar(tmp_path / "a.tar", members))
    assert {key: catalog.captions(row) for row, key in enumerate(catalog.keys)} == {
        "0": ["a gear"], "3": ["a nut"], "5": ["a gear", "a red gear"], "6": ["a bolt"],
    }  # fmt: skip
    reasons = {row["key"]: row["reason"] for row in catalog.rejects.to_pylist()}
    assert reasons["1"] == "no image (its .json says failed_to_download: HTTP Error 404)"
    assert reasons["2"] == "the caption is empty"
    assert "holds numbers" in reasons["4"]
    assert reasons["7"] == "its .json holds no object"
    assert any("passed over: 1 without ending, 1 .npy" in note for note in catalog.about.notes)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("test-bench", "train"), ("train-station", "train"), ("validated", "train"), ("train-val", "train"),
        ("train-00000", "train"), ("set_val_003", "val"), ("test_images", "test"), ("val2017-00", "val"),
    ],
)  # fmt: skip
def test_splits_in_names(tmp_path: Path, write_tar, samples, name: str, split: str) -> None:
    assert open_catalog(write_tar(tmp_path / f"{name}.tar", samples(2))).splits == {split: 2}


def test_tars_that_are_none(tmp_path: Path, write_tar, samples) -> None:
    (tmp_path / "a.tar").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=r"the tar is a Git LFS pointer.*git lfs pull.*a\.tar"):
        open_catalog(tmp_path / "a.tar")
    write_tar(tmp_path / "b.tar", samples(2))
    catalog = open_catalog(tmp_path)
    assert len(catalog) == 2
    assert "Git LFS" in catalog.rejects["reason"][0].as_py()
    (tmp_path / "c.tgz").write_bytes(gzip.compress((tmp_path / "b.tar").read_bytes()))
    assert any("compressed files were not read (c.tgz)" in w for w in open_catalog(tmp_path).about.warnings)
    with pytest.raises(UserError, match=r"c\.tgz is compressed; unpack it first"):
        open_catalog(tmp_path / "c.tgz")
    (tmp_path / "a.tar").write_bytes((tmp_path / "c.tgz").read_bytes())
    with pytest.raises(UserError, match="the tar is compressed; decompress it"):
        open_catalog(tmp_path / "a.tar")
    (tmp_path / "b.tar").unlink()
    (tmp_path / "a.tar").unlink()
    with pytest.raises(UserError, match=r"holds compressed files \(c\.tgz\); unpack"):
        open_catalog(tmp_path)


def test_of_members_with_one_name_the_last_counts_as_when_the_tar_is_unpacked(
    tmp_path: Path, write_tar, picture
) -> None:
    members = [(f"{n}.{kind}", data) for n in range(20) for kind, data in (("JPG", picture(n)), ("txt", b"tile"))]
    catalog = open_catalog(
        write_tar(
            tmp_path / "a.tar", [*members, ("3.txt", b"corrected"), ("./5.JPG", picture(99)), ("3.txt", b"again")]
        )
    )
    assert len(catalog) == 20
    assert not len(catalog.rejects)
    assert catalog.captions(catalog.keys.index("3")) == ["again"]
    write_tar(tmp_path / "b.tar", [("x.jpg", picture(99)), ("x.txt", b"tile")])
    other = open_catalog(tmp_path / "b.tar")
    assert np.array_equal(catalog.image(catalog.keys.index("5")), other.image(0))
    assert any("3 members were replaced" in note for note in catalog.about.notes)
    many = open_catalog(
        write_tar(tmp_path / "c.tar", [*members, *((name, b"new " + data) for name, data in members[1::2])])
    )
    assert "20 members were replaced" in many.about.warnings[0]
