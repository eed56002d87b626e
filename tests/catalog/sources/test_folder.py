import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.errors import UserError


def test_captions_beside_images(tmp_path: Path, picture) -> None:
    (tmp_path / "sub").mkdir()
    for n, name in enumerate(["img10", "img2", "sub/img2", "alone"]):
        (tmp_path / f"{name}.jpg").write_bytes(picture(n))
        if name != "alone":
            (tmp_path / f"{name}.txt").write_text(f"caption of {name}", encoding="utf-8")
    catalog = open_catalog(tmp_path)
    assert catalog.keys == ["img2", "img10", "sub/img2"]
    assert catalog.captions(1) == ["caption of img10"]
    assert not catalog.about.class_captions
    (reject,) = catalog.rejects.to_pylist()
    assert reject["file"] == "alone.jpg"
    assert ".txt" in reject["reason"]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
def test_japanese_captions_in_any_encoding(tmp_path: Path, picture, codec: str) -> None:
    for n, text in enumerate(["表面に傷がある歯車", "良品のナット", "能面"]):
        (tmp_path / f"部品ガ{n}.jpg").write_bytes(picture(n))
        (tmp_path / f"{unicodedata.normalize('NFD', '部品ガ')}{n}.txt").write_bytes(text.encode(codec))
    catalog = open_catalog(tmp_path)
    assert [catalog.captions(n)[0] for n in range(3)] == ["表面に傷がある歯車", "良品のナット", "能面"]


def test_class_folders_with_splits(tmp_path: Path, picture) -> None:
    n = 0
    for split in ("train", "valid", "test"):
        for label in ("pitted_surface", "inclusion"):
            (tmp_path / split / label).mkdir(parents=True)
            for _ in range(2):
                (tmp_path / split / label / f"{n}.png").write_bytes(picture(n, format="PNG"))
                n += 1
    catalog = open_catalog(tmp_path)
    assert catalog.splits == {"train": 4, "val": 4, "test": 4}
    assert set(catalog.column("label")) == {"pitted_surface", "inclusion"}
    assert {catalog.captions(row)[0] for row in range(12)} == {"photo of pitted surface", "photo of inclusion"}
    assert catalog.about.class_captions
    assert open_catalog(tmp_path).about.class_captions  # from the cache
    assert open_catalog(tmp_path, lang="ja").captions(0) == ["photo of inclusion"]
    (tmp_path / "classes.json").write_text('{"inclusion": "slag inclusion"}', encoding="utf-8")
    assert open_catalog(tmp_path).captions(0) == ["photo of slag inclusion"]
    (tmp_path / "classes.json").write_text('{"inclusion": "介在物"}', encoding="utf-8")
    assert open_catalog(tmp_path, lang="ja").captions(0) == ["介在物の写真"]


def test_an_image_changed_in_place_is_noticed(tmp_path: Path, picture) -> None:
    for n in range(2):
        (tmp_path / f"{n}.png").write_bytes(picture(n, format="PNG"))
        (tmp_path / f"{n}.txt").write_text("words", encoding="utf-8")
    before = open_catalog(tmp_path)
    (tmp_path / "1.png").write_bytes(picture(7, size=(40, 40), format="PNG"))
    after = open_catalog(tmp_path)
    assert after.fingerprint != before.fingerprint
    assert after.sizes[1].tolist() == [40, 40]
    (tmp_path / "1.txt").write_text("other words", encoding="utf-8")
    assert open_catalog(tmp_path).captions(1) == ["other words"]


def test_links_out_of_the_folder_are_refused(tmp_path: Path, picture) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("secret words", encoding="utf-8")
    (tmp_path / "secret.jpg").write_bytes(picture(5))
    for name in ("a", "b", "c"):
        (root / f"{name}.jpg").write_bytes(picture(1))
        (root / f"{name}.txt").write_text("words", encoding="utf-8")
    (root / "b.txt").unlink()
    (root / "b.txt").symlink_to(tmp_path / "secret.txt")
    (root / "c.jpg").unlink()
    (root / "c.jpg").symlink_to(tmp_path / "secret.jpg")
    catalog = open_catalog(root)
    assert catalog.keys == ["a"]
    assert all("out of" in reason for reason in catalog.rejects["reason"].to_pylist())


def test_flat_folder_of_images_without_captions_is_an_error(tmp_path: Path, picture) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(0))
    with pytest.raises(UserError, match="no class folder"):
        open_catalog(tmp_path)


def write(root: Path, picture: Callable[..., bytes], images: str = "", **texts: str) -> None:
    """Writes images, named in one string, and texts by name, in which ``__`` is ``/`` and ``_`` before the ending."""
    for number, name in enumerate(images.split()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(number, format="PNG" if name.endswith(".png") else "JPEG"))
    for name, text in texts.items():
        folder, _, ending = name.replace("__", "/").rpartition("_")
        path = root / f"{folder}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def captions(catalog: Catalog) -> dict[str, list[str]]:
    return {key: catalog.captions(row) for row, key in enumerate(catalog.keys)}


def test_captions_in_a_parallel_folder(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "images/p1.jpg images/p2.jpg masks/p1.png", text__p1_txt="a gear", text__p2_txt="a nut")
    catalog = open_catalog(tmp_path)
    assert captions(catalog) == {"images/p1": ["a gear"], "images/p2": ["a nut"]}
    assert any("images were passed over in masks (1)" in warning for warning in catalog.about.warnings)


def test_parallel_folders_of_splits(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "images/train/1.jpg images/val/1.jpg", text__train__1_txt="a", text__val__1_txt="b")
    catalog = open_catalog(tmp_path)
    assert captions(catalog) == {"images/train/1": ["a"], "images/val/1": ["b"]}
    assert catalog.splits == {"train": 1, "val": 1}


BOXES = "0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.1\n"


def test_boxes_are_never_captions(tmp_path: Path, picture) -> None:
    beside, apart = tmp_path / "beside", tmp_path / "apart"
    write(beside, picture, "1.jpg 2.jpg", **{"1_txt": BOXES, "2_txt": ""}, classes_txt="scratch\ndent\n")
    write(apart, picture, "images/1.jpg images/2.jpg", labels__1_txt=BOXES, labels__2_txt=BOXES)
    for folder, words in ((beside, "the texts beside the images"), (apart, "the texts in labels")):
        with pytest.raises(UserError, match=words + " hold numbers .boxes"):
            open_catalog(folder)
    classes = tmp_path / "classes"
    write(classes, picture, "a/1.jpg b/1.jpg", a__1_txt=BOXES, b__1_txt=BOXES)
    catalog = open_catalog(classes)
    assert catalog.column("label") == ["a", "b"]
    assert any("hold numbers" in note for note in catalog.about.notes)
    mixed = tmp_path / "mixed"
    write(mixed, picture, "1.jpg 2.jpg 3.jpg", **{"1_txt": "a gear", "2_txt": "a nut", "3_txt": BOXES})
    catalog = open_catalog(mixed)
    assert catalog.keys == ["1", "2"]
    assert "holds numbers" in catalog.rejects["reason"].to_pylist()[0]


def test_pascal_voc_is_named(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "JPEGImages/1.jpg JPEGImages/2.jpg", Annotations__1_xml="<annotation/>")
    with pytest.raises(UserError, match=r"\.xml files hold boxes \(as Pascal VOC's\)"):
        open_catalog(tmp_path)


@pytest.mark.parametrize("images", ["images/1.jpg images/2.jpg", "gear/1.jpg gear/2.jpg", "train/a.jpg test/b.jpg"])
def test_one_class_and_no_captions_is_refused(tmp_path: Path, picture, images: str) -> None:
    write(tmp_path, picture, images)
    with pytest.raises(UserError, match=r"in no class folders \(but in .*\): put a \.txt"):
        open_catalog(tmp_path)


def test_masks_of_mvtec_are_passed_over(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "train/good/0.png test/good/0.png test/bent/0.png ground_truth/bent/0_mask.png")
    catalog = open_catalog(tmp_path)
    assert catalog.keys == ["test/bent/0", "test/good/0", "train/good/0"]
    assert catalog.column("label") == ["bent", "good", "good"]
    assert catalog.splits == {"test": 2, "train": 1}
    assert any("images were passed over in ground_truth/bent (1): masks" in note for note in catalog.about.notes)


def test_a_folder_beside_those_of_splits_is_passed_over_and_named(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "train/car/1.jpg train/bus/2.jpg val/car/3.jpg val/bus/4.jpg extra/car/5.jpg extra/6.jpg")
    catalog = open_catalog(tmp_path)
    assert catalog.splits == {"train": 2, "val": 2}
    assert {*catalog.column("label")} == {"bus", "car"}
    (warning,) = (warning for warning in catalog.about.warnings if "extra" in warning)
    assert "2 images were passed over in extra, extra/car, beside the folders of splits" in warning
    assert catalog.rejects.num_rows == 0


def test_if_no_class_is_left_the_folder_that_was_passed_over_is_named(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "train/car/1.jpg val/car/2.jpg extra/bus/3.jpg")
    with pytest.raises(UserError, match="1 images were passed over in extra/bus"):
        open_catalog(tmp_path)


def test_folders_within_class_folders_are_a_column(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "scratch/line_1/1.jpg scratch/line_2/1.jpg intact/line_1/1.jpg")
    catalog = open_catalog(tmp_path)
    assert catalog.column("label") == ["intact", "scratch", "scratch"]
    assert catalog.column("folder") == ["line_1", "line_1", "line_2"]


def test_folders_of_image_generators(tmp_path: Path, picture) -> None:
    write(tmp_path / "classes", picture, "10_gear/1.png 5_nut/1.png")
    assert open_catalog(tmp_path / "classes").column("label") == ["nut", "gear"]
    write(
        tmp_path / "texts", picture, "10_gear/1.png", **{"10_gear__1_caption": "a gear", "10_gear__1_txt": "gear, red"}
    )
    catalog = open_catalog(tmp_path / "texts")
    assert captions(catalog) == {"10_gear/1": ["a gear"]}
    assert any(
        "texts that are no image's caption were passed over (1): 10_gear/1.txt" in note for note in catalog.about.notes
    )


def test_images_that_share_a_text_are_refused(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "1.jpg 1.png 2.jpg", **{"1_txt": "one", "2_txt": "two"})
    catalog = open_catalog(tmp_path)
    assert catalog.keys == ["2"]
    assert "2 images share its caption 1.txt; name the caption 1.jpg.txt" in catalog.rejects["reason"].to_pylist()
    (tmp_path / "1.txt").rename(tmp_path / "1.jpg.txt")
    (tmp_path / "1.png.txt").write_text("png", encoding="utf-8")
    assert captions(open_catalog(tmp_path)) == {"1.jpg": ["one"], "1.png": ["png"], "2": ["two"]}


def test_several_captions_one_a_line(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "1.jpg 2.jpg", **{"1_txt": "a gear\na red gear\n", "2_txt": "a nut\n\nan M6 nut here"})
    catalog = open_catalog(tmp_path)
    assert captions(catalog) == {"1": ["a gear", "a red gear"], "2": ["a nut", "an M6 nut here"]}
    assert any("each line of a text is read as a caption" in note for note in catalog.about.notes)


def test_what_is_passed_over_is_counted(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "1.jpg", **{"1_txt": "a gear", "2_psd": "", "3_psd": "", "notes_md": "", "4_xml": ""})
    about = open_catalog(tmp_path).about
    assert any("(2 .psd)" in warning for warning in about.warnings)
    assert any("1 .md, 1 .xml" in note or "1 .xml, 1 .md" in note for note in about.notes)


def test_bare_numbers_and_folders_of_single_images_are_doubted(tmp_path: Path, picture) -> None:
    write(tmp_path / "numbers", picture, "0/a.jpg 1/b.jpg")
    assert "named by numbers (0, 1)" in open_catalog(tmp_path / "numbers").about.warnings[0]
    (tmp_path / "numbers" / "classes.json").write_text('{"0": "gear", "1": "nut"}', encoding="utf-8")
    assert open_catalog(tmp_path / "numbers").about.warnings == ()
    write(tmp_path / "parts", picture, " ".join(f"part{n}/1.jpg" for n in range(12)))
    assert "12 classes for 12 images" in open_catalog(tmp_path / "parts").about.warnings[0]
    write(tmp_path / "dates", picture, " ".join(f"day{n}/1.jpg" for n in range(24)))
    catalog = open_catalog(tmp_path / "dates")
    assert catalog.about.label_columns == ()
    assert any("--label-columns label" in warning for warning in catalog.about.warnings)
    assert open_catalog(tmp_path / "dates", label_columns=("label",)).about.label_columns == ("label",)


def test_links_are_followed_where_allowed_and_named_where_not(tmp_path: Path, picture) -> None:
    root, share = tmp_path / "root", tmp_path / "share"
    write(root, picture, "a/1.jpg b/1.jpg")
    write(share, picture, "c/1.jpg c/2.jpg")
    (root / "c").symlink_to(share / "c")
    (root / "a" / "out.jpg").symlink_to(share / "c" / "1.jpg")
    (root / "a" / "gone.jpg").symlink_to(share / "gone.jpg")
    catalog = open_catalog(root)
    assert catalog.column("label") == ["a", "b"]
    reasons = {reject["file"]: reject["reason"] for reject in catalog.rejects.to_pylist()}
    assert "leads out of" in reasons["c"]
    assert reasons["a/out.jpg"] == "is a link that leads out of the source's folder"
    assert reasons["a/gone.jpg"].startswith("there is no such image file: it is a link to")
    assert "folders or files were not read (c)" in catalog.about.warnings[0]
    catalog = open_catalog(root, images=tmp_path)
    assert catalog.keys == ["a/1", "a/out", "b/1", "c/1", "c/2"]
    assert catalog.column("label") == ["a", "a", "b", "c", "c"]
    assert catalog.image(3).shape == (16, 24, 3)
    with pytest.raises(UserError, match="--images must name a folder that holds it"):
        open_catalog(root, images=share)


WORDS = st.text(st.sampled_from("abc 歯車ガé"), min_size=1, max_size=12).map(lambda text: f"x{text.strip()}")
PAIRS = st.dictionaries(st.from_regex(r"[ab][0-9]{1,2}", fullmatch=True), WORDS, min_size=1, max_size=6)
FORMS: dict[str, Callable[[str], tuple[str, str]]] = {
    "beside": lambda key: (f"{key}.jpg", f"{key}.txt"),
    "upper case": lambda key: (f"{key}.JPG", f"{key}.TXT"),
    "whole name": lambda key: (f"{key}.jpg", f"{key}.jpg.txt"),
    "caption": lambda key: (f"{key}.jpg", f"{key}.caption"),
    "parallel": lambda key: (f"images/{key}.jpg", f"text/{key}.txt"),
    "below": lambda key: (f"{key}.jpg", f"captions/{key}.txt"),
    "split": lambda key: (f"test/images/{key}.jpg", f"test/text/{key}.txt"),
}


@settings(max_examples=30, deadline=None)
@given(pairs=PAIRS, form=st.sampled_from(sorted(FORMS)))
def test_pairs_are_the_same_in_every_form(picture, pairs: dict[str, str], form: str) -> None:
    with TemporaryDirectory() as name:
        for number, (key, caption) in enumerate(pairs.items()):
            image, text = (Path(name) / file for file in FORMS[form](key))
            for path, data in ((image, picture(number)), (text, caption.encode())):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        catalog = open_catalog(name)
        found = {key.rpartition("/")[2]: value for key, value in captions(catalog).items()}
        assert found == {key: [" ".join(caption.split())] for key, caption in pairs.items()}
        assert catalog.splits == {"test" if form == "split" else "train": len(pairs)}


@settings(max_examples=30, deadline=None)
@given(
    rows=st.dictionaries(
        st.integers(0, 30), st.tuples(st.sampled_from(["train", "val"]), st.sampled_from(["gear", "傷"])), max_size=8
    ),
    form=st.sampled_from(["{split}/{label}/{key}", "{label}/{split}/{key}", "set/{split}/images/{label}/{key}"]),
)
def test_classes_and_splits_are_the_same_in_every_form(picture, rows: dict[int, tuple[str, str]], form: str) -> None:
    rows = {100: ("train", "gear"), 101: ("val", "傷"), **rows}
    with TemporaryDirectory() as name:
        for key, (split, label) in rows.items():
            path = Path(name) / (form.format(split=split, label=label, key=key) + ".jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(key))
        catalog = open_catalog(name)
        keys = [int(key.rpartition("/")[2]) for key in catalog.keys]
        found = dict(zip(keys, zip(catalog.column("split"), catalog.column("label"), strict=True), strict=True))
        assert found == rows


def test_records_beside_images(tmp_path: Path, picture) -> None:
    both, alone, log, boxes = (tmp_path / name for name in ("both", "alone", "log", "boxes"))
    write(alone, picture, "1.jpg 2.jpg 3.jpg 4.jpg")
    for name, record in (("1", {"caption": "a gear", "label": ["ok", "old"], "split": "test", "line": 3}),
                         ("2.jpg", {"captions": ["a nut", "an M6 nut"]}), ("3", {"caption": None})):  # fmt: skip
        (alone / f"{name}.json").write_text(json.dumps(record), encoding="utf-8-sig")
    catalog = open_catalog(alone)
    assert captions(catalog) == {"1": ["a gear"], "2": ["a nut", "an M6 nut"]}
    assert catalog.column("label") == ["ok", None]
    assert catalog.column("all_labels") == ["ok|old", None]
    assert catalog.column("line") == [3, None]
    assert catalog.splits == {"test": 1, "train": 1}
    assert {row["key"] for row in catalog.rejects.to_pylist()} == {"3", "4"}
    assert any(".json files of 3 images are read" in note for note in catalog.about.notes)
    (alone / "1.json").write_text('{"caption": "another"}', encoding="utf-8")
    assert open_catalog(alone).captions(0) == ["another"]

    write(both, picture, "1.jpg", **{"1_txt": "a gear", "1_json": '{"label": "ok"}'})
    catalog = open_catalog(both)
    assert (captions(catalog), catalog.column("label")) == ({"1": ["a gear"]}, ["ok"])
    write(
        log, picture, "1.jpg", **{"1_txt": "a gear", "1_json": '{"caption": "a gear", "status": "success", "width": 9}'}
    )
    catalog = open_catalog(log)
    assert "status" not in catalog.table.column_names
    assert any("passed over: 1 .json" in note for note in catalog.about.notes)
    write(boxes, picture, "a/1.jpg b/1.jpg", a__1_json='{"shapes": []}', b__1_json='{"shapes": []}')
    assert open_catalog(boxes).column("label") == ["a", "b"]
    write(tmp_path / "parallel", picture, "images/1.jpg", meta__1_json='{"caption": "a gear"}')
    assert captions(open_catalog(tmp_path / "parallel")) == {"images/1": ["a gear"]}
    write(tmp_path / "none", picture, "1.jpg", **{"1_json": '{"shapes": []}'})
    with pytest.raises(UserError, match=r"the \.json files hold no caption"):
        open_catalog(tmp_path / "none")


def test_images_that_share_a_record_are_refused(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "1.jpg 1.png 2.jpg", **{"1_json": '{"caption": "a"}', "2_json": '{"caption": "b"}'})
    catalog = open_catalog(tmp_path)
    assert catalog.keys == ["2"]
    assert "2 images share its caption 1.json; name the caption 1.jpg.json" in catalog.rejects["reason"].to_pylist()


def test_a_table_of_something_else_is_passed_over(tmp_path: Path, picture) -> None:
    write(tmp_path, picture, "1.jpg 2.jpg", **{"1_txt": "a gear", "2_txt": "a nut"})
    for name in ("log.csv", "results.tsv"):
        (tmp_path / name).write_text("step,loss\n1,0.5\n2,0.4\n", encoding="utf-8")
    catalog = open_catalog(tmp_path)
    assert captions(catalog) == {"1": ["a gear"], "2": ["a nut"]}
    assert "log.csv, results.tsv" in catalog.about.warnings[0]
    with pytest.raises(UserError):
        open_catalog(tmp_path, caption_columns=("loss",))


def test_git_lfs_pointers_are_named(tmp_path: Path, picture) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    write(tmp_path, picture, "1.jpg 2.jpg 3.jpg", **{"1_txt": "a gear", "2_txt": "a nut", "3_txt": pointer})
    (tmp_path / "2.jpg").write_text(pointer)
    catalog = open_catalog(tmp_path)
    assert catalog.keys == ["1"]
    assert all("Git LFS pointer" in reason for reason in catalog.rejects["reason"].to_pylist())
    for name in ("pairs.csv", "pairs.parquet"):
        (tmp_path / name).write_text(pointer)
        with pytest.raises(UserError, match=rf"{name} is a Git LFS pointer, .* run `git lfs pull`"):
            open_catalog(tmp_path / name)


def test_tables_in_class_folders_are_named_where_captions_are_made(tmp_path: Path, picture) -> None:
    for folder in ("gear", "washer"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(picture(len(folder)))
        (tmp_path / folder / "captions.csv").write_text(f"image,caption\na.jpg,a red {folder}\n")
    warnings = open_catalog(tmp_path).about.warnings
    assert "gear/captions.csv, washer/captions.csv are not read: if captions are there" in str(warnings)


@pytest.mark.parametrize(
    ("file", "said"),
    [("t.csv.gz", "unpack t.csv.gz"), ("in/_annotations.coco.json", "in/_annotations.coco.json is not read")],
)
def test_what_is_beside_images_without_captions_is_named(tmp_path: Path, picture, file: str, said: str) -> None:
    (tmp_path / "in").mkdir()
    for n in range(3):
        (tmp_path / "in" / f"{n}.jpg").write_bytes(picture(n))
    (tmp_path / file).write_bytes(b"{}")
    with pytest.raises(UserError, match=f"{said}; put a .txt"):
        open_catalog(tmp_path)


def test_the_refusal_of_a_folder_names_tables_that_lie_there(tmp_path: Path, picture) -> None:
    for split in ("train", "valid"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.rf.jpg").write_bytes(picture(len(split)))
        (tmp_path / split / "_classes.csv").write_text("filename, crack, dent\na.rf.jpg, 1, 0\n")
    with pytest.raises(UserError, match=r"_classes.csv: no column for the captions was found.*filename, crack, dent"):
        open_catalog(tmp_path)
    with pytest.raises(UserError, match=r"no column for the captions.*crack, dent"):
        open_catalog(tmp_path / "train" / "_classes.csv")
