"""Models start from everything that open_clip starts from, and give the features that it gives."""

import json
import pickle
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import open_clip
import open_clip.pretrained
import pytest
import torch

from clipc.errors import UserError
from clipc.models import model as module
from clipc.models.model import ClipModel
from clipc.models.tokenizer import load_tokenizer, local_tokenizer
from clipc.models.vocabulary import learn_vocabulary, save_vocabulary

from .starts import (
    CONFIGS,
    HALVES,
    TEXTS,
    features,
    fresh,
    in_hub_cache,
    model_of,
    own_features,
    save_weights,
    write_config,
)


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small models under open_clip's own names: tiny-clip, tiny-quick, ..."""
    factory = open_clip.factory
    monkeypatch.setattr(factory, "_MODEL_CONFIG_PATHS", [*factory._MODEL_CONFIG_PATHS])
    monkeypatch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
    folder = tmp_path / "configs"
    folder.mkdir()
    for kind, config in CONFIGS.items():
        (folder / f"tiny-{kind}.json").write_text(json.dumps({"embed_dim": 16, **config}), "utf-8")
    open_clip.add_model_config(folder)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network, and an empty cache of Hugging Face's."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def assert_same(
    ours: ClipModel, theirs: torch.nn.Module, preprocess: Any, name: str | None = None, atol: float = 1e-6
) -> None:
    tokens = open_clip.get_tokenizer(name or "ViT-B-32", context_length=32)(TEXTS)
    for own, reference in zip(own_features(ours), features(theirs, preprocess, tokens), strict=True):
        torch.testing.assert_close(own, reference, atol=atol, rtol=0)


def test_fresh_weights_hang_on_the_seed_alone(tiny_model: str) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = (ClipModel.create(tiny_model, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one.clip.visual.proj, same.clip.visual.proj)  # pyright: ignore
    assert not torch.equal(one.clip.visual.proj, other.clip.visual.proj)  # pyright: ignore


@pytest.mark.parametrize("kind", list(CONFIGS))
@pytest.mark.usefixtures("registered")
def test_no_fresh_weight_is_what_the_memory_held(kind: str) -> None:
    torch.use_deterministic_algorithms(True)  # PyTorch then fills memory that nobody has written to with NaN.
    try:
        weights = ClipModel.create(f"tiny-{kind}").state_dict()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *((kind, "plain") for kind in CONFIGS),
        *((kind, form) for kind in ("clip", "custom") for form in ("open_clip_train", "safetensors")),
    ],
)
@pytest.mark.usefixtures("registered")
def test_a_file_gives_the_features_that_open_clip_gives(kind: str, form: str, tmp_path: Path) -> None:
    weights = save_weights(fresh(tmp_path / "made", kind), tmp_path / "weights", form)
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"tiny-{kind}", pretrained=str(weights))
    ours = ClipModel.create(f"tiny-{kind}", pretrained=str(weights))
    assert_same(ours, theirs, preprocess)
    ours.save(tmp_path / "saved")
    again = ClipModel.load(tmp_path / "saved")
    assert_equal_weights(again.clip, theirs)
    local, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'saved'}")
    assert_same(again, local, preprocess)


def assert_equal_weights(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    one, other = ours.state_dict(), theirs.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["clip", "sigmoid", "coca"])
def test_a_folder_brings_its_weights_and_its_mean(kind: str, tmp_path: Path) -> None:
    folder = model_of(tmp_path / "start", kind, HALVES)
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    for name in (str(folder), f"local-dir:{folder}"):
        ours = ClipModel.create(name)
        assert ours.preprocess["mean"] == HALVES["mean"]
        assert_same(ours, theirs, preprocess)
    ours.save(tmp_path / "run" / "model")
    saved, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'run' / 'model'}")
    assert {k: saved.visual.preprocess_cfg[k] for k in HALVES} == HALVES
    assert_same(ClipModel.create(str(tmp_path / "run")), saved, preprocess)


def test_a_repository_loads_from_the_cache(tmp_path: Path, offline: Path) -> None:
    in_hub_cache(offline, "org/name", model_of(tmp_path / "start", "sigmoid", HALVES))
    theirs, _, preprocess = open_clip.create_model_and_transforms("hf-hub:org/name")
    ours = ClipModel.create("hf-hub:org/name")
    assert ours.preprocess["std"] == HALVES["std"]
    assert_same(ours, theirs, preprocess, "hf-hub:org/name")


@pytest.mark.usefixtures("registered")
def test_a_tag_brings_its_mean_and_its_gelu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = save_weights(fresh(tmp_path / "made", "clip"), tmp_path / "weights", "plain")
    tag = {**open_clip.pretrained._slpcfg(), "quick_gelu": True, "file": str(weights)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", {"mine_2": tag})
    ours = ClipModel.create("tiny-clip", pretrained="mine-2")
    theirs, _, preprocess = open_clip.create_model_and_transforms("tiny-clip", "mine_2", force_quick_gelu=True)
    assert list(ours.preprocess["mean"]) == HALVES["mean"]
    assert_same(ours, theirs, preprocess)
    ours.save(tmp_path / "saved")
    saved, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'saved'}")
    assert_same(ours, saved, preprocess)


@pytest.mark.parametrize("kind", ["clip", "sigmoid", "coca"])
def test_another_image_size_resizes_the_positional_embedding(kind: str, tmp_path: Path) -> None:
    folder = model_of(tmp_path / "start", kind)
    ours = ClipModel.create(str(folder), image_size=40)
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", force_image_size=40)
    assert_same(ours, theirs, preprocess)
    ours.save(tmp_path / "saved")
    assert ClipModel.load(tmp_path / "saved").image_size == 40


def test_a_tower_of_one_size_says_so(tmp_path: Path) -> None:
    folder = model_of(tmp_path / "start", "timm-vit")
    with pytest.raises(UserError, match=r"images of 160 px only, not of 96; set image_size=160"):
        ClipModel.create(str(folder), image_size=96)


def test_what_is_saved_again_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    start = model_of(tmp_path / "start", "clip")
    ClipModel.load(start).save(tmp_path / "saved")
    assert_equal_weights(ClipModel.load(tmp_path / "saved").clip, ClipModel.load(start).clip)


def test_other_weights_can_be_saved_in_the_modules_place(tiny_model: str, tmp_path: Path) -> None:
    model, other = (ClipModel.create(tiny_model, seed=seed) for seed in (1, 2))
    model.save(tmp_path / "saved", other.clip.state_dict())
    assert_equal_weights(ClipModel.load(tmp_path / "saved").clip, other.clip)


def test_saving_replaces_a_model_and_nothing_else(tiny_model: str, tmp_path: Path) -> None:
    one, other = (ClipModel.create(tiny_model, seed=seed) for seed in (1, 2))
    one.save(tmp_path / "saved")
    other.save(tmp_path / "saved")
    assert_equal_weights(ClipModel.load(tmp_path / "saved").clip, other.clip)
    (tmp_path / "saved" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes.txt, which is no part of this model"):
        one.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "notes.txt").read_text() == "mine"
    assert_equal_weights(ClipModel.load(tmp_path / "saved").clip, other.clip)


def test_a_full_disk_leaves_the_older_model(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (ClipModel.create(tiny_model, seed=seed) for seed in (1, 2))
    one.save(tmp_path / "saved")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_weights", full)
    with pytest.raises(UserError, match=r"saved could not be written .*No space left.*make room"):
        other.save(tmp_path / "saved")
    assert_equal_weights(ClipModel.load(tmp_path / "saved").clip, one.clip)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_forward_is_both_encoders_and_what_scores_are_made_with(tiny_model: str) -> None:
    model = ClipModel.create(tiny_model)
    images, tokens = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8), model.tokenizer(TEXTS)
    image_features, text_features, scale = model(images, tokens)
    assert len(ClipModel.create(tiny_model, sigmoid=True)(images, tokens)) == 4
    assert torch.equal(image_features, model.encode_image(images))
    assert torch.equal(text_features, model.encode_tokens(tokens))
    assert torch.equal(scale, model.logit_scale.exp())
    (image_features @ text_features.T * scale).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1/0",)


@pytest.mark.parametrize("content", ["evil", "noise", "nothing", "tensors", "other", "list", "empty"])
def test_weights_that_are_none_are_told_in_a_sentence(content: str, tiny_model: str, tmp_path: Path) -> None:
    file = tmp_path / ("weights.safetensors" if content == "tensors" else "weights.pt")
    if content == "evil":
        torch.save({"state_dict": Evil()}, file)
    elif content in ("noise", "tensors", "nothing"):
        file.write_bytes(b"" if content == "nothing" else b"no weights at all")
    elif content == "other":
        save_weights(fresh(tmp_path / "made", "sigmoid"), file, "plain")
    else:
        torch.save([1, 2] if content == "list" else {}, file)
    hint = (
        "holds more than tensors, eval, which could run code"
        if content == "evil"
        else "damaged, or holds more than tensors"
        if content in ("noise", "nothing", "tensors")
        else "holds no weights"
        if content in ("list", "empty")
        else "do not fit the model"
    )
    with pytest.raises(UserError, match=hint) as told:
        ClipModel.create(tiny_model, pretrained=str(file))
    assert "\n" not in str(told.value)


def test_a_folders_pickle_runs_no_code(tmp_path: Path) -> None:
    write_config(tmp_path, "clip")
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(UserError, match="could run code"):
        ClipModel.load(tmp_path)


def test_a_learnt_vocabulary_fits_no_trained_text_tower(tmp_path: Path) -> None:
    folder, words = model_of(tmp_path / "start", "clip"), tmp_path / "words"
    words.mkdir()
    save_vocabulary(learn_vocabulary(["a red plate", "a blue plate"] * 3, 128), words)
    tokenizer = local_tokenizer(words, 32)
    with pytest.raises(UserError, match="leave vocabulary out"):
        ClipModel.create(str(folder), tokenizer=tokenizer)


def test_a_wrong_configuration_cannot_be_built(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"embed_dim": 3, "vision_cfg": {"image_size": 8, "odd": 1}, "text_cfg": {}}')
    with pytest.raises(UserError, match="cannot be built"):
        ClipModel.create(str(tmp_path / "c.json"))
    with pytest.raises(UserError, match="holds no model"):
        ClipModel.load(tmp_path)


def test_open_clip_reads_what_is_saved(tiny_model: str, tmp_path: Path) -> None:
    model = ClipModel.create(tiny_model)
    model.save(tmp_path / "saved")
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'saved'}")
    assert_equal_weights(theirs, model.clip)
    assert_same(model, theirs, preprocess, f"local-dir:{tmp_path / 'saved'}")


@pytest.mark.parametrize("name", ["nano", "small"])
def test_built_in_models_ignore_padding(name: str) -> None:
    model = ClipModel.create(name).eval()
    texts = ["a gear", "two " * 40]
    with torch.inference_mode():
        reference = model.clip.encode_text(model.tokenizer(texts), normalize=True)  # pyright: ignore
        torch.testing.assert_close(model.encode_text(texts), reference, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.encode_text(texts[:1]), reference[:1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["ViT-S-16", "small"])
def test_tokens_are_those_of_open_clip(name: str) -> None:
    ours = load_tokenizer(name)
    reference = open_clip.get_tokenizer("ViT-S-16")
    texts = ["A dog&amp;cat  runs.", "", "歯車の写真", "word " * 200, "it's 3.5 mm"]
    for _ in range(2):
        assert torch.equal(ours(texts), reference(texts, context_length=ours.context_length))


def test_token_counts_leave_out_start_and_end(tiny_model: str) -> None:
    tokenizer = load_tokenizer(tiny_model)
    assert tokenizer.context_length == 32
    assert tokenizer.count("a dog runs") == 3
    assert int((tokenizer(["a dog runs"]) != 0).sum()) == 5
