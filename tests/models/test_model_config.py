"""Names of models, and one sentence for each that means nothing."""

import json
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import open_clip
import pytest

from clipc.errors import UserError
from clipc.models.model_config import (
    WEIGHTS_FILE,
    built_in_models,
    find_start,
    is_folder,
    model_config,
    model_folder,
)

from .starts import HALVES, write_config


def test_names_of_open_clip_and_of_files(tiny_model: str) -> None:
    assert model_config("ViT-S-16", image_size=96)["vision_cfg"]["image_size"] == 96
    assert model_config("ViT-S-16")["vision_cfg"]["image_size"] == 224
    assert model_config(tiny_model)["embed_dim"] == 16
    assert {"nano", "small"} <= set(built_in_models())


def test_a_configuration_alone_has_no_weights(tmp_path: Path, tiny_model: str) -> None:
    for name in ("nano", "ViT-B-32", tiny_model):
        assert find_start(name).weights is None
    start = find_start(str(write_config(tmp_path, "clip", HALVES) / "open_clip_config.json"))
    assert start.weights is None
    assert start.preprocess == HALVES


@pytest.mark.parametrize(("name", "hint"), [("ViT-S16", "did you mean 'ViT-S-16'"), ("smal", "did you mean 'small'")])
def test_a_wrong_name_is_answered_by_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        model_config(name)


def test_a_wrong_file_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"embed_dim": 3}')
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_text("[1]")
    with pytest.raises(UserError, match="vision_cfg is missing"):
        model_config(str(tmp_path / "a.json"))
    with pytest.raises(UserError, match="cannot be read"):
        model_config(str(tmp_path / "b.json"))
    with pytest.raises(UserError, match="it holds no JSON object"):
        model_config(str(tmp_path / "c.json"))


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"vision_cfg": 3}, "vision_cfg must hold keys with values, not 3"),
        ({"text_cfg": None}, "text_cfg must hold keys with values, not None"),
        ({"model_cfg": 3}, "model_cfg must hold keys with values"),
        ({"preprocess_cfg": [1]}, "preprocess_cfg must hold keys with values"),
    ],
)
def test_a_part_that_is_no_table_is_named(change: dict[str, Any], hint: str, tmp_path: Path, tiny_model: str) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps({**json.loads(Path(tiny_model).read_text("utf-8")), **change}))
    with pytest.raises(UserError, match=hint):
        model_config(str(file), image_size=32)


@pytest.mark.parametrize(
    ("name", "pretrained", "hint"),
    [
        ("ViT-B-32", "laion2b_s34b_b79", "did you mean 'laion2b_s34b_b79k'"),
        ("ViT-B-32", "laion2b_s34b_b79k.pt", "there is no weights file laion2b_s34b_b79k.pt"),
        ("ViT-B-32", "models/none", "there is no weights file models/none"),
        ("small", "openai", "there is no weights file openai"),
        ("runs/none", None, "there is no model folder runs/none; .* write hf-hub:runs/none"),
        ("local-dir:runs/none", None, "runs/none holds no model"),
    ],
)
def test_what_is_not_there(name: str, pretrained: str | None, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        find_start(name, pretrained)


def test_a_folder_is_found_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_config(tmp_path / "run" / "model", "clip")
    for name in (tmp_path / "run", model, f"local-dir:{model}", f"local-dir:{tmp_path / 'run'}"):
        assert model_folder(name) == model
    with pytest.raises(UserError, match="configuration but no weights"):
        find_start(str(model))
    with pytest.raises(UserError, match="brings its own weights, so pretrained=openai has no place"):
        find_start(str(model), "openai")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    assert is_folder("run")
    assert not is_folder("small")
    assert is_folder("./small")
    assert not is_folder("hf-hub:org/name")


def test_of_several_weights_those_are_taken_that_open_clip_takes(tmp_path: Path) -> None:
    folder = write_config(tmp_path, "clip")
    for name in (
        "zz.bin",
        "a.pth",
        "b.safetensors",
        "model.pth",
        "pytorch_model.bin",
        "model.safetensors",
        WEIGHTS_FILE,
    ):
        (folder / name).write_bytes(b"")
        chosen = open_clip.factory._find_checkpoint_in_dir(folder)
        assert str(find_start(str(folder)).weights) == chosen


@pytest.mark.parametrize(
    ("name", "pretrained", "what"),
    [
        ("ViT-B-32", "laion2b_s34b_b79k", r"weights 'laion2b_s34b_b79k' of ViT-B-32 \(laion/CLIP-ViT-B-32.*\)"),
        ("hf-hub:org/none", None, "the open_clip_config.json of hf-hub:org/none"),
    ],
)
def test_without_network_one_sentence_says_what_to_do(
    name: str, pretrained: str | None, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=what + " cannot be fetched: HF_HUB_OFFLINE .*give a weights file") as told:
        find_start(name, pretrained)
    assert "\n" not in str(told.value)


def test_a_name_that_is_no_repositorys_says_so() -> None:
    with pytest.raises(UserError, match="no repository's name; write org/name"):
        find_start("hf-hub:a/b/c")


def test_what_surrounds_a_configuration_is_optional(tmp_path: Path, tiny_model: str) -> None:
    bare = json.loads(Path(tiny_model).read_text("utf-8"))
    (tmp_path / "whole.json").write_text(json.dumps({"model_cfg": bare, "preprocess_cfg": HALVES}))
    start = find_start(str(tmp_path / "whole.json"))
    assert (start.config, start.preprocess) == (bare, HALVES)
