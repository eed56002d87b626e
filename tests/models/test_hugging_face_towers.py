"""Text towers of transformers: their folders load anywhere, without a network, and padding has no effect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch

from clipc.errors import UserError
from clipc.models.layers import tower_layers
from clipc.models.model import ClipModel
from clipc.models.text_tower import computed_tokens, padding_id, text_features

from .starts import TEXTS, hugging_face_model

pytest.importorskip("transformers")
CPU = torch.device("cpu")
ELSEWHERE = """
import json, socket, sys
from pathlib import Path

def refuse(*args, **kwargs):
    print("the network was tried")
    raise OSError("refused")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse

import open_clip
import torch
from clipc.models import starter
from clipc.models.model import ClipModel

starter.find_spec = lambda name: None  # The starter's packages are not on the other machine.
folder, texts = sys.argv[1], json.loads(sys.argv[2])
text = json.loads((Path(folder) / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
text |= {"hf_model_name": folder, "hf_model_pretrained": False}
theirs, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}", text_cfg=text)
tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
with torch.inference_mode():
    ours = ClipModel.load(folder).encode_text(texts)
    reference = theirs.eval().encode_text(tokenizer(texts), normalize=True)
torch.testing.assert_close(ours, reference, atol=1e-5, rtol=0)
print(json.dumps(ours.tolist()))
"""


def features_elsewhere(folder: Path, home: Path) -> torch.Tensor:
    """What a model gives in another process, which has an empty home and no network, through clipc and open_clip."""
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
    command = [sys.executable, "-c", ELSEWHERE, str(folder), json.dumps(TEXTS)]
    result = subprocess.run(
        command, env={**kept, "HOME": str(home)}, cwd=home, check=True, capture_output=True, text=True
    )
    assert "the network was tried" not in result.stdout
    return torch.tensor(json.loads(result.stdout.splitlines()[-1]))


def test_a_moved_folder_loads_without_a_network(tmp_path: Path) -> None:
    model = ClipModel.create(str(hugging_face_model(tmp_path / "start"))).eval()
    model.save(tmp_path / "saved")
    (tmp_path / "start").rename(tmp_path / "gone")
    assert str(tmp_path) not in (tmp_path / "saved" / "open_clip_config.json").read_text()
    assert str(tmp_path) not in (tmp_path / "saved" / "config.json").read_text()
    (tmp_path / "saved").rename(tmp_path / "moved")
    with torch.inference_mode():
        expected = model.encode_text(TEXTS)
    torch.testing.assert_close(features_elsewhere(tmp_path / "moved", tmp_path / "home"), expected, atol=1e-5, rtol=0)
    again = ClipModel.load(tmp_path / "moved")
    again.save(tmp_path / "again")
    for file in (tmp_path / "moved").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


def test_a_folder_without_the_towers_configuration_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    ClipModel.create(str(hugging_face_model(tmp_path / "start"))).save(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").unlink()
    config = json.loads((tmp_path / "saved" / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_model_name"] = "nobody/nothing"
    (tmp_path / "saved" / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="cannot be fetched"):
        ClipModel.load(tmp_path / "saved")


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("pooler", ["mean_pooler", "cls_last_hidden_state_pooler"])
def test_padding_is_masked_and_needs_no_computation(kind: str, pooler: str, tmp_path: Path) -> None:
    config = hugging_face_model(tmp_path, kind, hf_pooler_type=pooler)
    model = ClipModel.create(str(config)).eval()
    assert padding_id(model.clip) == 0
    tokens = model.tokenizer(["a dog", "a cat and a tree " * 4, "", "x"] * 8)
    with torch.inference_mode():
        reference = model.clip.encode_text(tokens)  # pyright: ignore
        short = model.clip.encode_text(tokens[:1, :8])  # pyright: ignore
        torch.testing.assert_close(short, reference[:1], atol=1e-5, rtol=0)
        torch.testing.assert_close(text_features(model.clip, tokens, CPU), reference, atol=1e-5, rtol=0)
    assert computed_tokens(model.clip, tokens) < tokens.shape[1]


def test_layers_and_their_order(tmp_path: Path) -> None:
    layers = tower_layers(ClipModel.create(str(hugging_face_model(tmp_path))).clip, "text")
    assert len(layers) == 4
    assert all("embeddings" in name for name in layers[0])
    assert all(f"encoder.layer.{place - 1}." in name for place in (1, 2) for name in layers[place])
    assert all(name.startswith("text.proj.") for name in layers[3])


def test_stock_open_clip_from_within_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ClipModel.create(str(hugging_face_model(tmp_path / "start"))).eval()
    model.save(tmp_path / "saved")
    monkeypatch.chdir(tmp_path / "saved")
    theirs = open_clip.create_model("local-dir:.").eval()
    with torch.inference_mode():
        reference = theirs.encode_text(open_clip.get_tokenizer("local-dir:.")(TEXTS), normalize=True)
        torch.testing.assert_close(model.encode_text(TEXTS), reference, atol=1e-5, rtol=0)
