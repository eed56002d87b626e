"""What goes out comes in again, through open_clip, from a folder and from the Hub, to the last bit."""

import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import open_clip
import pytest
import torch
from PIL import Image

from clipc.cli import main
from clipc.errors import UserError
from clipc.export.export import MANIFEST, export_model, read_manifest
from clipc.models.fingerprints import folder_fingerprint
from clipc.models.model import ClipModel
from clipc.models.tokenizer import local_tokenizer
from clipc.models.vocabulary import learn_vocabulary, save_vocabulary
from clipc.recipe.recipe import make_recipe, write_recipe
from clipc.recipe.run import Run
from models.starts import HALVES, TEXTS, in_hub_cache, model_of

CAPTIONS = ["a red plate on a table", "赤い板が机の上にある", "a blue plate", "青い板"] * 3


def learnt_model(folder: Path, config: str) -> ClipModel:
    folder.mkdir()
    save_vocabulary(learn_vocabulary(CAPTIONS, 256), folder)
    return ClipModel.create(config, tokenizer=local_tokenizer(folder, 32))


def assert_round_trip(model: ClipModel, name: str, cache: Path | None = None) -> None:
    theirs, _, preprocess = open_clip.create_model_and_transforms(name, cache_dir=cache and str(cache))
    ours, reference = model.clip.state_dict(), theirs.state_dict()
    assert ours.keys() == reference.keys()
    assert all(torch.equal(ours[key], reference[key]) for key in ours)
    tokenizer = open_clip.get_tokenizer(name, cache_dir=cache and str(cache))
    texts = [*TEXTS, *CAPTIONS[:4], "word " * 60, ""]
    assert torch.equal(model.tokenizer(texts), tokenizer(texts))
    side = model.image_size
    pixels = torch.randint(0, 256, (side, side, 3), dtype=torch.uint8)
    with torch.inference_mode():
        own = model.eval().encode_image(pixels[None])
        other = theirs.eval().encode_image(preprocess(Image.fromarray(pixels.numpy()))[None], normalize=True)
    torch.testing.assert_close(own, other, atol=1e-6, rtol=0)
    preprocessing = {key: theirs.visual.preprocess_cfg[key] for key in model.preprocess}
    assert json.dumps(preprocessing) == json.dumps(model.preprocess)


@pytest.mark.parametrize("kind", ["clip", "sigmoid", "coca", "resnet", "timm-vit"])
def test_a_folder_goes_out_and_comes_in(kind: str, tmp_path: Path) -> None:
    start = model_of(tmp_path / "start", kind, HALVES)
    out = export_model(start, tmp_path / "out")
    assert_round_trip(ClipModel.load(start), f"local-dir:{out}")
    assert {path.name for path in out.iterdir()} == {
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "README.md",
        MANIFEST,
    }
    _, _, theirs = open_clip.create_model_and_transforms(f"local-dir:{start}")
    _, _, ours = open_clip.create_model_and_transforms(f"local-dir:{out}")
    assert str(ours) == str(theirs)


@pytest.mark.parametrize("learnt", [False, True])
def test_pushed_as_it_is_it_comes_in_from_the_hub(
    learnt: bool, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    model = learnt_model(tmp_path / "words", tiny_model) if learnt else ClipModel.create(tiny_model)
    model.save(tmp_path / "run" / "model")
    out = export_model(tmp_path / "run", tmp_path / "out", hub_id="org/name")
    in_hub_cache(tmp_path / "hub", "org/name", out)
    assert_round_trip(model, "hf-hub:org/name", tmp_path / "hub")
    assert_round_trip(model, f"local-dir:{out}")
    again = ClipModel.create("hf-hub:org/name")
    assert torch.equal(again.tokenizer(TEXTS), model.tokenizer(TEXTS))


def test_a_learnt_vocabulary_goes_along_without_a_hub_id(tiny_model: str, tmp_path: Path) -> None:
    model = learnt_model(tmp_path / "words", tiny_model)
    model.save(tmp_path / "model")
    assert_round_trip(model, f"local-dir:{export_model(tmp_path / 'model', tmp_path / 'out')}")
    assert_round_trip(model, f"local-dir:{export_model(tmp_path / 'out', tmp_path / 'again')}")
    assert folder_fingerprint(tmp_path / "model") == folder_fingerprint(tmp_path / "again")
    assert "learnt from its training" in (tmp_path / "out" / "README.md").read_text("utf-8")


def run_of(tiny_model: str, folder: Path) -> Run:
    run = Run(folder)
    folder.mkdir()
    write_recipe(make_recipe({"model": tiny_model, "samples": 64}), folder / "recipe.yaml")
    run.write_json("environment.json", {"clipc": "1"})
    ClipModel.create(tiny_model, seed=1).save(run.model)
    ClipModel.create(tiny_model, seed=2).save(run.last_model)
    return run


def test_of_a_run_the_best_model_goes_out_with_its_card(tiny_model: str, tmp_path: Path) -> None:
    run = run_of(tiny_model, tmp_path / "mine")
    best, last = ClipModel.load(run.model), ClipModel.load(run.last_model)
    for source, model, of_run in ((run.folder, best, True), (run.model, best, True), (run.last_model, last, False)):
        out = export_model(source, tmp_path / "out")
        assert_round_trip(model, f"local-dir:{out}")
        card = (out / "README.md").read_text("utf-8")
        assert ("## Composition" in card) is of_run
        assert ("# mine\n" in card) is of_run


def test_only_an_export_that_nobody_changed_is_replaced(tiny_model: str, tmp_path: Path) -> None:
    run, out = run_of(tiny_model, tmp_path / "mine"), tmp_path / "out"
    with pytest.raises(UserError, match="model was not written by an export"):
        export_model(run.folder, run.model)
    export_model(run.folder, out)
    export_model(run.folder, out, license="mit")
    card = out / "README.md"
    assert "license: mit" in card.read_text("utf-8")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes.txt in .* is not as an export wrote it"):
        export_model(run.folder, out)
    (out / "notes.txt").unlink()
    card.write_text(card.read_text("utf-8") + "More.", "utf-8")
    with pytest.raises(UserError, match=r"README.md in .* is not as an export wrote it"):
        export_model(run.folder, out)
    assert card.read_text("utf-8").endswith("More.")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        export_model(run.folder, tmp_path / "file")


@pytest.mark.parametrize("text", ['{"files": {', "[]", '{"files": 3}'])
def test_an_export_with_a_damaged_list_of_files_is_not_replaced(tiny_model: str, tmp_path: Path, text: str) -> None:
    ClipModel.create(tiny_model).save(tmp_path / "model")
    out = export_model(tmp_path / "model", tmp_path / "out")
    (out / MANIFEST).write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"clipc-export\.json cannot be read .*; move the folder away"):
        export_model(tmp_path / "model", out)
    assert (out / MANIFEST).read_text("utf-8") == text


@pytest.mark.parametrize("wrong", [{"hub_id": "name"}, {"hub_id": 'a/b"\n'}, {"license": "MIT license"}])
def test_malformed_names(wrong: dict[str, str], tiny_model: str, tmp_path: Path) -> None:
    ClipModel.create(tiny_model).save(tmp_path / "model")
    with pytest.raises(UserError, match="cannot be used; write"):
        export_model(tmp_path / "model", tmp_path / "out", **wrong)  # pyright: ignore
    assert not (tmp_path / "out").exists()


def test_the_command(tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tiny_model, tmp_path / "mine")
    for words, code in ((["--json"], 0), (["--out", str(run.model)], 2)):
        with pytest.raises(SystemExit) as ended:
            main(["export", str(run.folder), *words])
        assert ended.value.code == code
    output = capsys.readouterr()
    assert json.loads(output.out) == {"folder": str(run.folder / "export"), "onnx": {}}
    assert "was not written by an export" in output.err
    assert "Traceback" not in output.err
    assert read_manifest(run.folder / "export")["files"].keys() == {
        "README.md",
        "open_clip_config.json",
        "open_clip_model.safetensors",
    }
    shutil.rmtree(run.model)
    with pytest.raises(UserError, match="holds no model"):
        export_model(run.folder, tmp_path / "out")
