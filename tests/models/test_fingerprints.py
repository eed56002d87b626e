"""A start is named by what it holds, not by where it lies."""

import shutil
from pathlib import Path

import pytest

from clipc.errors import UserError
from clipc.models.fingerprints import folder_fingerprint, reference_fingerprint, weights_fingerprint
from clipc.recipe.recipe import read_recipe

from .starts import write_config


def test_a_moved_folder_is_the_same_start_and_a_changed_file_another(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "run" / "model", "clip")
    (folder / "open_clip_model.safetensors").write_bytes(b"weights")
    mark = weights_fingerprint(str(folder))
    assert mark == weights_fingerprint(f"local-dir:{tmp_path / 'run'}") == folder_fingerprint(folder)
    shutil.copytree(folder, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "README.md").write_text("a card")
    (tmp_path / "elsewhere" / ".note").write_text("hidden")
    assert weights_fingerprint(str(tmp_path / "elsewhere")) == mark
    (tmp_path / "elsewhere" / "open_clip_model.safetensors").write_bytes(b"other")
    assert weights_fingerprint(str(tmp_path / "elsewhere")) != mark


def test_a_file_counts_by_its_content(tmp_path: Path) -> None:
    for name, content in (("a.pt", b"1"), ("b.pt", b"1"), ("c.pt", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (weights_fingerprint("ViT-B-32", str(tmp_path / f"{name}.pt")) for name in "abc")
    assert a == b != c
    with pytest.raises(UserError, match="there is no weights file"):
        weights_fingerprint("ViT-B-32", str(tmp_path / "d.pt"))


def test_a_wrong_tag_is_answered_by_the_nearest_and_a_folder_brings_its_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown weights of ViT-B-32 .*did you mean 'laion2b_s34b_b79k'"):
        weights_fingerprint("ViT-B-32", "laion2b_s34b_b79")
    with pytest.raises(UserError, match="did you mean 'ViT-B-32'"):
        weights_fingerprint("ViT-B-3", "laion2b_s34b_b79k")
    (tmp_path / "x.pt").write_bytes(b"1")
    for name in (str(write_config(tmp_path / "model", "clip")), "hf-hub:org/name"):
        with pytest.raises(UserError, match=f"{name} brings its own weights, so pretrained=.*x.pt has no place"):
            weights_fingerprint(name, str(tmp_path / "x.pt"))


def test_what_comes_from_elsewhere_is_named_and_fresh_weights_are_not(tiny_model: str) -> None:
    assert weights_fingerprint("ViT-B-32", "laion2b_s34b_b79k") == "laion2b_s34b_b79k"
    assert weights_fingerprint("hf-hub:org/name") == "hf-hub:org/name"
    assert [weights_fingerprint(name) for name in ("small", "ViT-B-32", tiny_model)] == [None, None, None]


def test_a_model_that_chooses_partners_or_regions_counts_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_config(tmp_path / "run" / "model", "clip")
    (folder / "open_clip_model.safetensors").write_bytes(b"weights")
    shutil.copytree(folder, tmp_path / "elsewhere")
    by_neighbours = ["policy.partner=nearest", "policy.embedding={}"]
    by_regions = ["policy.layout=region", "policy.region=auto", "policy.reference={}"]

    def names(words: list[str], *places: Path | str) -> list[str]:
        return [read_recipe("small", [word.format(place) for word in words]).same_run("x") for place in places]

    for words in (by_neighbours, by_regions):
        here, moved = names(words, folder, tmp_path / "elsewhere")
        assert here == moved
    before = names(by_neighbours, folder) + names(by_regions, folder)
    (folder / "open_clip_model.safetensors").write_bytes(b"trained again")
    after = names(by_neighbours, folder) + names(by_regions, folder)
    assert all(a != b for a, b in zip(before, after, strict=True))
    # What is no folder is called as it is, whatever lies beside it.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "captions").mkdir()
    assert [reference_fingerprint(name) for name in (None, "captions", "column:vec", "gone")] == [
        None,
        "captions",
        "column:vec",
        "gone",
    ]
