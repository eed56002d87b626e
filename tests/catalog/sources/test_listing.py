from pathlib import Path

import pytest

from clipc.catalog.sources.listing import list_files


def test_hidden_files_are_left_out_and_paths_are_relative(tmp_path: Path) -> None:
    hidden = (
        ".git/3.jpg",
        "__MACOSX/4.jpg",
        "a/.5.jpg",
        "a/@eaDir/2.jpg/THUMB.jpg",
        "$RECYCLE.BIN/6.jpg",
        "#recycle/7.jpg",
    )
    for name in ("a/b/1.jpg", "a/2.jpg", *hidden):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    listing = list_files(tmp_path)
    assert sorted(listing.files) == ["a/2.jpg", "a/b/1.jpg"]
    assert listing.folders == [".", "a", "a/b"]
    assert (listing.missing, listing.repeated) == ([], [])


def test_linked_folders_are_followed_once_and_never_out_of_the_allowed_folder(tmp_path: Path) -> None:
    root, share = tmp_path / "root", tmp_path / "share"
    for folder in (root / "a", root / ".store", share):
        folder.mkdir(parents=True)
        (folder / "1.jpg").write_bytes(b"")
    (root / "linked").symlink_to(".store")
    (root / "shared").symlink_to(share)
    (root / "again").symlink_to("a")
    (root / "a" / "loop").symlink_to(root)
    (root / "gone").symlink_to(tmp_path / "unmounted")
    listing = list_files(root)
    assert sorted(listing.files) == ["a/1.jpg", "linked/1.jpg"]
    assert sorted(listing.repeated) == ["a/loop", "again"]
    (gone, why_gone), (shared, why_shared) = listing.missing
    assert gone == "gone"
    assert "does not exist" in why_gone
    assert shared == "shared"
    assert "leads out of" in why_shared
    assert "--images" in why_shared
    listing = list_files(root, tmp_path)
    assert sorted(listing.files) == ["a/1.jpg", "linked/1.jpg", "shared/1.jpg"]
    assert [name for name, _ in listing.missing] == ["gone"]


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list_files(tmp_path / "none")
