"""The commands of a model in use, and training that goes on from an earlier run."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from clipc.catalog.options import SourceOptions
from clipc.cli import main
from clipc.export.export import export_model
from clipc.inference.used_model import UsedModel
from clipc.recipe.recipe import recipe_of_run


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_search(capsys: pytest.CaptureFixture[str], tiny_run: Path, tiny_source: Path, tmp_path: Path) -> None:
    code, out, _ = run(capsys, "search", tiny_run, tiny_source, "a red plate", "--count", 3, "--json")
    assert code == 0
    assert [hit["label"] for hit in json.loads(out)["hits"]] == ["red"] * 3
    page = tmp_path / "red.html"
    image = tiny_source.parent / "03.png"
    code, out, _ = run(capsys, "search", tiny_run, tiny_source, "--image", image, "--out", page)
    assert code == 0
    assert "most similar to the image 03.png" in out
    assert page.read_text("utf-8").count("<h1>") == 1
    assert page.with_suffix(".ja.html").is_file()


def test_images_without_captions_are_searched_and_classified(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tiny_source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for file in sorted(tiny_source.parent.glob("*.png"))[:30]:
        shutil.copy(file, folder)
    (tmp_path / "new.csv").write_text("image\n" + "".join(f"new/{file.name}\n" for file in folder.iterdir()), "utf-8")
    for source in (folder, tmp_path / "new.csv"):
        code, out, err = run(capsys, "search", tiny_run, source, "a red plate", "--count", 3)
        assert code == 0
        assert "30 images have no caption" in err
        assert "too few pairs with captions" in out
        code, out, _ = run(capsys, "classify", tiny_run, source, "--classes", "red,blue,green,white", "--json")
        assert code == 0
        assert len(json.loads(out)["rows"]) == 30
        code, _, err = run(capsys, "doctor", source)
        assert code == 2
        assert "caption" in err


def test_equal_captions_say_nothing_of_a_score(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tiny_source: Path, tmp_path: Path
) -> None:
    rows = "".join(f"{file},photo\n" for file in sorted(tiny_source.parent.glob("*.png")))
    (tmp_path / "equal.csv").write_text(f"image,caption\n{rows}", "utf-8")
    words = ("search", tiny_run, tmp_path / "equal.csv", "a red plate", "--images", tiny_source.parent, "--json")
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert all(hit["typical"] is None for hit in json.loads(out)["hits"])


def test_the_runs_own_source_is_read_as_in_training(tiny_run: Path, tiny_source: Path) -> None:
    used, said = UsedModel.open(str(tiny_run)), SourceOptions(key_column="name")
    recipe = recipe_of_run(tiny_run)
    assert used.source_options(str(tiny_source), said).key_column == "name"
    assert used.source_options(str(tiny_source), SourceOptions()).label_columns == recipe.data.label_columns
    assert used.source_options("other.csv", said) is said


@pytest.mark.parametrize("words", [(), ("a plate", "--image", "x.png")])
def test_a_search_is_by_a_sentence_or_an_image(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tiny_source: Path, words: tuple[str, ...]
) -> None:
    code, _, err = run(capsys, "search", tiny_run, tiny_source, *words)
    assert code == 2
    assert "give a sentence" in err


def test_an_image_file_that_is_none(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tiny_source: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.png").write_text("no image", "utf-8")
    for file in (tmp_path / "x.png", tmp_path / "missing.png", tmp_path):
        code, _, err = run(capsys, "search", tiny_run, tiny_source, "--image", file)
        assert code == 2
        assert "cannot be read" in err


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
@pytest.mark.parametrize("command", [("serve", "RUN", "SOURCE"), ("review", "SOURCE", "--by", "Mori")])
def test_a_page_without_its_packages_says_what_installs_them(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tiny_run: Path,
    tiny_source: Path,
    command: tuple[str, ...],
    package: str,
) -> None:
    for name in [*sys.modules]:
        if name.startswith((f"{package}.", "clipc.web", "clipc.inference.serve", "clipc.review.app")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    places = {"RUN": str(tiny_run), "SOURCE": str(tiny_source)}
    code, _, err = run(capsys, *(places.get(word, word) for word in command))
    assert code == 2
    assert "the local page needs Starlette and uvicorn: " in err
    assert "[serve]'" in err
    assert "Traceback" not in err


def test_training_goes_on_and_the_card_keeps_the_line(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tmp_path: Path
) -> None:
    code, out, err = run(capsys, "train", "--from", tiny_run, "epochs=2", "--out", tmp_path / "next", "--json")
    assert code == 0, err
    assert json.loads(out)["run"] == str(tmp_path / "next")
    recipe = (tmp_path / "next" / "recipe.yaml").read_text("utf-8")
    assert f"model: {tiny_run}" in recipe
    assert "learning_rate: 0.0002" in recipe
    assert "epochs: 2" in recipe
    card = (export_model(tmp_path / "next", tmp_path / "card") / "README.md").read_text("utf-8")
    assert "It goes on from earlier runs" in card
    assert f"- {tiny_run.name}, trained on" in card
    assert str(tiny_run) not in card
    assert UsedModel.open(str(tmp_path / "next")).fingerprint != UsedModel.open(str(tiny_run)).fingerprint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "nowhere"), "holds no finished run"),
        (("nano", "pairs.csv", "--from", "RUN"), "leave the recipe out"),
    ],
)
def test_what_training_cannot_go_on_from(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, words: tuple[str, ...], message: str
) -> None:
    code, _, err = run(capsys, "train", *(str(tiny_run) if word == "RUN" else word for word in words))
    assert code == 2
    assert message in err
