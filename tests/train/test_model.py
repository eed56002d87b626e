from pathlib import Path

import open_clip
import pytest
import torch

from clipc.errors import UserError
from clipc.train.model import ClipModel
from clipc.train.model_config import built_in_models, model_config
from clipc.train.tokenizer import load_tokenizer


def test_names_of_open_clip_and_of_files(tiny_model: str) -> None:
    assert model_config("ViT-S-16", image_size=96)["vision_cfg"]["image_size"] == 96
    assert model_config("ViT-S-16")["vision_cfg"]["image_size"] == 224
    assert model_config(tiny_model)["embed_dim"] == 16
    assert {"nano", "small"} <= set(built_in_models())


@pytest.mark.parametrize(("name", "hint"), [("ViT-S16", "did you mean 'ViT-S-16'"), ("smal", "did you mean 'small'")])
def test_a_wrong_name_is_answered_by_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        model_config(name)


def test_a_wrong_file_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"embed_dim": 3}')
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(UserError, match="vision_cfg, text_cfg is missing"):
        model_config(str(tmp_path / "a.json"))
    with pytest.raises(UserError, match="cannot be read"):
        model_config(str(tmp_path / "b.json"))
    (tmp_path / "c.json").write_text('{"embed_dim": 3, "vision_cfg": {"image_size": 8, "odd": 1}, "text_cfg": {}}')
    with pytest.raises(UserError, match="cannot be built"):
        ClipModel.create(str(tmp_path / "c.json"))
    with pytest.raises(UserError, match="holds no model"):
        ClipModel.load(tmp_path)


def test_fresh_weights_hang_on_the_seed_alone(tiny_model: str) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = (ClipModel.create(tiny_model, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one.clip.visual.proj, same.clip.visual.proj)  # pyright: ignore
    assert not torch.equal(one.clip.visual.proj, other.clip.visual.proj)  # pyright: ignore


def test_open_clip_reads_what_is_saved(tiny_model: str, tmp_path: Path) -> None:
    model = ClipModel.create(tiny_model).eval()
    model.save(tmp_path)
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path}")
    images = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    texts = ["a dog", "a cat and a tree", "x"]
    from PIL import Image

    pixels = torch.stack([preprocess(Image.fromarray(i.numpy())) for i in images])
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_image(images), theirs.encode_image(pixels, normalize=True))
        ours, reference = model.encode_text(texts), theirs.encode_text(tokenizer(texts), normalize=True)
    torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-5)
    again = ClipModel.load(tmp_path)
    with torch.inference_mode():
        torch.testing.assert_close(again.encode_image(images), model.encode_image(images), atol=0, rtol=0)


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
