"""Small models of every kind that open_clip builds, and the forms in which their weights come."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from safetensors.torch import save_file

from clipc.models.model import ClipModel
from clipc.models.vocabulary import learn_vocabulary, save_vocabulary

VISION: Final = {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
TEXT: Final = {"context_length": 32, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
POOLED: Final = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
COCA_TEXT: Final = {**TEXT, "embed_cls": True, "output_tokens": True}
TIMM: Final = {"timm_pool": "avg", "timm_proj": "linear"}
CONFIGS: Final[dict[str, dict[str, Any]]] = {
    "clip": {"vision_cfg": VISION, "text_cfg": TEXT},
    "quick": {"vision_cfg": VISION, "text_cfg": TEXT, "quick_gelu": True},
    "custom": {"vision_cfg": VISION, "text_cfg": TEXT, "custom_text": True},
    "sigmoid": {
        "vision_cfg": VISION,
        "text_cfg": {**TEXT, "no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
        "custom_text": True,
        "init_logit_bias": -10,
    },
    "coca": {
        "vision_cfg": {**VISION, **POOLED},
        "text_cfg": COCA_TEXT,
        "custom_text": True,
        "multimodal_cfg": {**TEXT, "attn_pooler_heads": 2},
    },
    "resnet": {"vision_cfg": {"timm_model_name": "test_resnet", "image_size": 32, **TIMM}, "text_cfg": TEXT},
    "timm-vit": {"vision_cfg": {"timm_model_name": "test_vit", "image_size": 160, **TIMM}, "text_cfg": TEXT},
    "modified-resnet": {"vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32}, "text_cfg": TEXT},
}
HALVES: Final = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear", "resize_mode": "squash"}
TEXTS: Final = ["a dog", "a cat and a tree", "x"]


def write_config(folder: Path, kind: str, preprocess: dict[str, Any] | None = None) -> Path:
    """A folder with open_clip's configuration of one of these models, and no weights."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"model_cfg": {"embed_dim": 16, **CONFIGS[kind]}, "preprocess_cfg": preprocess or {}}
    (folder / "open_clip_config.json").write_text(json.dumps(whole), "utf-8")
    return folder


def fresh(folder: Path, kind: str, seed: int = 0) -> torch.nn.Module:
    """What open_clip builds of it, every weight away from what it begins as."""
    logging.disable(logging.WARNING)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(f"local-dir:{write_config(folder, kind)}")
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name == "text_decoder.text_projection":
                    weight.zero_()  # open_clip leaves it as the memory was found.
                weight.add_(torch.randn_like(weight) * 0.02)
    logging.disable(logging.NOTSET)
    return model.eval()


def save_weights(model: torch.nn.Module, file: Path, form: str) -> Path:
    """Weights as a plain ``state_dict``, as ``open_clip_train`` leaves them, or as safetensors."""
    weights = model.state_dict()
    if form == "plain":
        torch.save(weights, file.with_suffix(".pt"))
        return file.with_suffix(".pt")
    if form == "open_clip_train":
        wrapped = {f"module.{name}": tensor for name, tensor in weights.items()}
        optimizer = torch.optim.AdamW(model.parameters())
        torch.save(
            {"epoch": 3, "name": "x", "state_dict": wrapped, "optimizer": optimizer.state_dict()},
            file.with_suffix(".pt"),
        )
        return file.with_suffix(".pt")
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, file.with_suffix(".safetensors"))
    return file.with_suffix(".safetensors")


def model_of(folder: Path, kind: str, preprocess: dict[str, Any] | None = None) -> Path:
    """A folder as open_clip's ``local-dir:`` and the Hugging Face Hub have it."""
    model = fresh(folder, kind)
    write_config(folder, kind, preprocess)
    save_weights(model, folder / "open_clip_model", "safetensors")
    return folder


def hugging_face_model(folder: Path, kind: str = "bert", **text: Any) -> Path:
    """A configuration whose text tower is a small one of transformers, which lies with its tokenizer in a folder."""
    tower = folder / "tower"
    tower.mkdir(parents=True)
    save_vocabulary(learn_vocabulary(TEXTS * 2, 128), tower)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    rest = {"model_type": kind, "vocab_size": 128, "max_position_embeddings": 64, "pad_token_id": 0}
    (tower / "config.json").write_text(json.dumps({**sizes, **rest}), "utf-8")
    names = {"hf_model_name": str(tower), "hf_tokenizer_name": str(tower), "hf_model_pretrained": False}
    config = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": {"context_length": 32, **names, **text}}
    (folder / "model.json").write_text(json.dumps(config), "utf-8")
    return folder / "model.json"


def in_hub_cache(cache: Path, repository: str, folder: Path) -> None:
    """Puts a folder where huggingface_hub keeps what it has fetched."""
    place = cache / f"models--{repository.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    snapshot = place / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    # transformers looks for more files than open_clip's repositories have, and what it did not find is kept too.
    missing = place / ".no_exist" / commit
    missing.mkdir(parents=True)
    for name in ("config.json", "added_tokens.json", "special_tokens_map.json", "chat_template.jinja"):
        if not (folder / name).is_file():
            (missing / name).touch()


def features(model: torch.nn.Module, preprocess: Any, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What open_clip makes of some images and tokens."""
    from PIL import Image

    pixels = torch.stack([preprocess(Image.fromarray(image.numpy())) for image in sample_images(model)])
    with torch.inference_mode():
        images = model.eval().encode_image(pixels, normalize=True)  # pyright: ignore
        return images, model.encode_text(tokens, normalize=True)  # pyright: ignore


def own_features(model: ClipModel) -> tuple[torch.Tensor, torch.Tensor]:
    """What clipc makes of the same."""
    with torch.inference_mode():
        return model.eval().encode_image(sample_images(model.clip)), model.encode_text(TEXTS)


def sample_images(model: torch.nn.Module) -> torch.Tensor:
    """Three images of noise of the size that a model takes."""
    size = model.visual.image_size  # pyright: ignore
    side = size if isinstance(size, int) else size[0]
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8, generator=generator)
