from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.rows import SourceInfo
from clipc.catalog.sources.paths.finder import Finder
from clipc.errors import UserError


def make(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    "written",
    [
        "C:\\data\\set\\train\\傷 1.jpg",
        "\\\\server\\share\\train\\傷 1.jpg",
        "/mnt/old/set/train/傷 1.jpg",
        "file:///mnt/old/train/%E5%82%B7%201.jpg",
        "file:///C:/old/train/傷 1.jpg",
        "/data/local-files/?d=set/train/%E5%82%B7%201.jpg",
        "/data/upload/12/傷 1.jpg",
        "/data/upload/12/1f0e2d3c-傷 1.jpg",
        "../set/train/傷 1.jpg",
        "proj/set/train/傷 1.jpg",
        "set\\TRAIN\\傷 1.JPG",
        "傷 1.jpg",
        "傷 1",
    ],
)
def test_paths_of_other_places(tmp_path: Path, written: str) -> None:
    root = make(tmp_path / "proj" / "set", "train/傷 1.jpg", "train/傷 2.jpg", "val/3.jpg")
    finder = Finder(root)
    assert finder.find(written) == "train/傷 1.jpg"
    assert not finder.is_doubtful("train/傷 1.jpg")
    info = SourceInfo()
    finder.describe(info)
    assert "1 image paths name another place" in info.notes[0]


@pytest.mark.parametrize(
    "written",
    [
        "train/1.jpg",  # the folder exists, so the file is missing
        "/old/set/train/1.jpg",
        "C:\\set\\train\\1.jpg",
        "/old/test/3.jpg",  # another split
        "/old/set/7.png",  # images and masks share names
        "7.png",
        "val/2.jpg",  # a relative path whose folder is not there
        "/data/upload/1/nothing.jpg",
        "/data/local-files/?d=",
        "file:",
        "C:\\",
        "..",
        "",
    ],
)
def test_a_missing_file_is_never_replaced_by_one_of_its_name(tmp_path: Path, written: str) -> None:
    files = [f"{folder}/{n}.png" for folder in ("images", "masks") for n in range(7)]
    root = make(tmp_path / "set", *files, "images/7.png", "test/1.jpg", "train/2.jpg", "train/3.jpg")
    assert Finder(root).find(written) is None
    reason = "shares names" if written == "7.png" else "there is no such image file"
    assert reason in Finder(root).reason(written) or written in ("", "..")


def test_an_existing_file_elsewhere_is_taken_only_where_images_are_named(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a/1.jpg")
    old = str(make(tmp_path / "old", "a/1.jpg") / "a" / "1.jpg")
    for written in (old, "../old/a/1.jpg"):
        assert Finder(root).find(written) is None
        assert "leads out" in Finder(root).reason(written)
        assert Finder(root, rerooted=True).find(written) == "a/1.jpg"


def test_different_paths_with_one_end_are_doubtful(tmp_path: Path) -> None:
    finder = Finder(make(tmp_path, "a/1.jpg", "a/2.jpg"))
    assert [finder.find(f"/old/{name}") for name in ("x/a/1.jpg", "y/a/1.jpg", "x/a/2.jpg")] == [
        "a/1.jpg",
        "a/1.jpg",
        "a/2.jpg",
    ]
    assert finder.is_doubtful("a/1.jpg")
    assert not finder.is_doubtful("a/2.jpg")
    assert finder.find("a/2.jpg") == "a/2.jpg"
    assert finder.is_doubtful("a/2.jpg")


def test_several_files_with_one_end_are_ambiguous(tmp_path: Path) -> None:
    finder = Finder(make(tmp_path, "a/images/1.jpg", "b/images/1.jpg"))
    assert finder.find("/old/images/1.jpg") is None
    assert "several" in finder.reason("/old/images/1.jpg")
    assert finder.find("/old/b/images/1.jpg") == "b/images/1.jpg"


def test_numbers_and_names_without_ending(tmp_path: Path) -> None:
    finder = Finder(make(tmp_path, "0007.jpg", "0007.json", "12.png", "0012.png", "b.jpg", "b.txt"))
    assert finder.find("7") == "0007.jpg"
    assert finder.find("0007") == "0007.jpg"
    assert finder.find("12") == "12.png"
    assert finder.find("012") is None
    assert finder.find("B") == "b.jpg"


def test_images_in_several_folders_need_a_name(tmp_path: Path) -> None:
    finder = Finder(make(tmp_path, "gt/1.png", "images/1.png", "other/2.png"))
    assert finder.choose_prefix(["1.png"]) == 1
    assert finder.prefix == "images"
    make(tmp_path, "aux/2.png")
    with pytest.raises(UserError, match=r"several folders.*aux 1, other 1"):
        finder.choose_prefix(["2.png"])


def test_images_spread_over_folders(tmp_path: Path) -> None:
    root = make(tmp_path / "parts", "part1/images/1.png", "part2/images/2.png", "part2/images/3.png")
    finder = Finder(root)
    assert finder.choose_prefix(["1.png", "2.png"]) == 2
    assert [finder.find(f"{n}.png") for n in (1, 2, 3, 4)] == [
        "part1/images/1.png",
        "part2/images/2.png",
        "part2/images/3.png",
        None,
    ]
    finder = Finder(make(tmp_path / "splits", "train/1.png", "val/2.png", "masks/3.png"))
    assert finder.choose_prefix(["1.png"]) == 1
    assert [finder.find(f"{n}.png") for n in (1, 2, 3)] == ["train/1.png", "val/2.png", None]


def test_more_masks_than_images(tmp_path: Path) -> None:
    masks = [f"gt/{n}.png" for n in range(20)]
    finder = Finder(make(tmp_path, *masks, *(f"JPEGImages/{n}.png" for n in range(19))))
    assert finder.choose_prefix([f"{n}.png" for n in range(20)]) == 19
    assert finder.prefix == "JPEGImages"
    assert finder.find("19.png") is None


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.tuples(st.sampled_from(["a", "b", "a/b", "b/a", "train", "test"]), st.integers(0, 4)), min_size=1),
    st.data(),
    st.sampled_from(["/old/", "C:\\old\\", "../old/", "", "file:///old/"]),
)
def test_a_path_leads_to_its_own_file_or_to_none(
    tmp_path_factory: pytest.TempPathFactory, files: set[tuple[str, int]], data: st.DataObject, start: str
) -> None:
    every = sorted(f"{folder}/{n}.jpg" for folder, n in files)
    there = data.draw(st.lists(st.sampled_from(every), unique=True))
    finder = Finder(make(tmp_path_factory.mktemp("root"), *there))
    found = {file: finder.find(start + file) for file in every}
    for file, match in found.items():
        assert match in (None, file) or finder.is_doubtful(match)
        # What is there is found, unless other paths end like it.
        assert file not in there or match == file


def test_names_that_folders_of_splits_share_need_the_folder(tmp_path: Path) -> None:
    train, test = ([f"{split}/{n}.png" for n in range(count)] for split, count in (("train", 60), ("test", 5)))
    finder = Finder(make(tmp_path, *train, *test))
    with pytest.raises(UserError, match=r"several folders.*test 5, train 50.*write the folders into the paths"):
        finder.choose_prefix([f"{n}.png" for n in range(60)])
    assert finder.choose_prefix(train) == 50


@pytest.mark.parametrize(("split", "chosen"), [("train", "train_images"), ("test", "test_images"), (None, None)])
def test_of_folders_of_splits_that_of_the_table_is_meant_however_few_files_it_holds(
    tmp_path: Path, split: str | None, chosen: str | None
) -> None:
    names = [f"{n}.png" for n in range(20)]
    files = [f"train_images/{name}" for name in names[:10]] + [f"test_images/{name}" for name in names]
    finder = Finder(make(tmp_path, *files), split=split)
    if chosen is None:
        with pytest.raises(UserError, match=r"of the first 20 names test_images 20, train_images 10"):
            finder.choose_prefix(names)
        return
    finder.choose_prefix(names)
    assert finder.prefix == chosen
    assert finder.find("19.png") == ("test_images/19.png" if split == "test" else None)


@pytest.mark.parametrize("folder", ["test_images", "data/test_images", "masks", "heatmaps", "gt", "depth_maps"])
def test_files_of_another_split_or_of_masks_are_no_images_even_where_nothing_else_is_there(
    tmp_path: Path, folder: str
) -> None:
    finder = Finder(make(tmp_path, *(f"{folder}/{n}.png" for n in range(9))), split="train")
    assert finder.choose_prefix([f"{n}.png" for n in range(9)]) == 0
    assert finder.find("1.png") is None
    assert f"there is only {folder}/1.png" in finder.reason("1.png")
    assert finder.find("/old/train_images/1.png") is None


@pytest.mark.parametrize("more", [1, 3, 10, 14, 18, 20])
def test_equal_names_in_two_folders_are_never_a_matter_of_counts(tmp_path: Path, more: int) -> None:
    names = [f"{n}.png" for n in range(20)]
    files = [f"left/{name}" for name in names] + [f"right/{name}" for name in names[:more]]
    with pytest.raises(UserError, match=rf"left 20, right {more}"):
        Finder(make(tmp_path, *files)).choose_prefix(names)


def test_equal_names_that_come_later_are_refused_by_row(tmp_path: Path) -> None:
    files = [f"left/{n}.png" for n in range(60)] + [f"right/{n}.png" for n in range(55, 70)]
    finder = Finder(make(tmp_path, *files, *(f"masks/{n}.png" for n in range(60))))
    finder.choose_prefix([f"{n}.png" for n in range(60)])
    assert finder.find("54.png") == "left/54.png"
    assert finder.find("55.png") is None
    assert "several files have this name: left/55.png, right/55.png" in finder.reason("55.png")


def test_equal_names_in_deeper_folders(tmp_path: Path) -> None:
    finder = Finder(
        make(tmp_path, *(f"data/train/{n}.png" for n in range(19)), *(f"data/x/{n}.png" for n in range(200)))
    )
    finder.choose_prefix(["1.png", "150.png"])
    assert finder.find("1.png") is None
    assert "several files have this name: data/train/1.png, data/x/1.png" in finder.reason("1.png")
    assert finder.find("150.png") is None
    assert "its folder shares names" in finder.reason("150.png")


@pytest.mark.parametrize("start", ["/mnt/nas/", "D:\\nas\\", "file:///mnt/"])
def test_the_folder_of_some_paths_is_not_that_of_others(tmp_path: Path, start: str) -> None:
    paths = [f"{start}{lot}/{n}.png" for lot in "ba" for n in range(3)]
    root = make(tmp_path, *(f"a/{n}.png" for n in range(5)))
    finder = Finder(root, every_path=lambda: paths)
    assert [finder.find(path) for path in paths] == [None] * 3 + [f"a/{n}.png" for n in range(3)]
    assert not any(finder.is_doubtful(f"a/{n}.png") for n in range(3))
    # A folder that no path names may be theirs.
    assert Finder(root, every_path=lambda: paths[:3]).find(paths[0]) == "a/0.png"


def test_the_same_inner_folder_of_another_is_not_meant(tmp_path: Path) -> None:
    paths = [f"/mnt/{lot}/images/{n}.png" for lot in "ab" for n in range(3)]
    finder = Finder(make(tmp_path, *(f"a/images/{n}.png" for n in range(3))), every_path=lambda: paths)
    assert [finder.find(path) for path in paths] == [f"a/images/{n}.png" for n in range(3)] + [None] * 3


def test_whole_numbers_with_a_decimal_point(tmp_path: Path) -> None:
    finder = Finder(make(tmp_path, "000007.png", "12.png", "3.0.png", "3.png"))
    assert [finder.find(name) for name in ("7.0", "12.0", "3.0", "12.5", "07.0")] == [
        "000007.png",
        "12.png",
        "3.0.png",
        None,
        None,
    ]
    assert "a spreadsheet has rounded" in finder.reason("1E+05")
