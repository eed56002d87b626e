"""The one door to open_clip: models, tokenizers and weights come and go through here."""

import json
import logging
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transformer import text_global_pool
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from clipc.errors import UserError, unknown_name

CONFIG_FILE: Final = "open_clip_config.json"
WEIGHTS_FILE: Final = "open_clip_model.safetensors"
Config = dict[str, Any]


def built_in_models() -> list[str]:
    """The small configurations that ship with clipc, for small images and CPUs."""
    folder = resources.files("clipc.train") / "models"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def model_config(name: str, image_size: int | None = None) -> Config:
    """The open_clip configuration of a model.

    Args:
        name: A configuration that ships with clipc, a name that open_clip knows (``ViT-B-32``), or the
            path of a JSON file in open_clip's format.
        image_size: Replaces the configuration's own image size, in pixels.

    Raises:
        UserError: No such model, or the file is no configuration.
    """
    if name in built_in_models():
        text = (resources.files("clipc.train") / "models" / f"{name}.json").read_text("utf-8")
        config: Config = json.loads(text)
    elif name.endswith(".json"):
        config = _config_file(Path(name))
    else:
        found = open_clip.get_model_config(name)
        if found is None:
            raise unknown_name("model", name, [*built_in_models(), *open_clip.list_models()])
        config = deepcopy(found)
    if image_size is not None:
        config["vision_cfg"]["image_size"] = image_size
    return config


def _config_file(path: Path) -> Config:
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"the model configuration {path} cannot be read: {error}.") from error
    config = config.get("model_cfg", config) if isinstance(config, dict) else {}
    missing = [k for k in ("embed_dim", "vision_cfg", "text_cfg") if k not in config]
    if missing:
        raise UserError(f"{path} is no open_clip model configuration: {', '.join(missing)} is missing.")
    return config


class Tokenizer:
    """An open_clip tokenizer with the two calls that clipc needs (see ``render.batch.Tokenizer``).

    Attributes:
        context_length: The largest number of tokens the model takes, start and end included.
        text_config: What a model's configuration of its text tower must say for this tokenizer; empty for a
            tokenizer that came with its model.
    """

    def __init__(self, tokenizer: Any, context_length: int, text_config: Config | None = None) -> None:
        """Wraps an open_clip tokenizer for a model of this context length."""
        self._tokenizer = tokenizer
        self.context_length = context_length
        self.text_config: Config = text_config or {}
        # Captions come again in every epoch, and CLIP's own tokenizer is plain Python.
        self._ids = lru_cache(maxsize=1 << 17)(self._encode)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self._tokenizer, self.context_length, self.text_config)

    def _encode(self, text: str) -> tuple[int, ...]:
        if isinstance(self._tokenizer, SimpleTokenizer):
            return tuple(self._tokenizer.encode(text))
        cleaned = getattr(self._tokenizer, "clean_fn", str)(text)
        return tuple(self._tokenizer.tokenizer(cleaned, add_special_tokens=False)["input_ids"])

    def count(self, text: str) -> int:
        """The number of tokens of a text, without start and end tokens."""
        return len(self._ids(text))

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """Token ids, ``int64``, shape (len(texts), context_length)."""
        if not isinstance(self._tokenizer, SimpleTokenizer):
            return self._tokenizer(texts, context_length=self.context_length)
        packed = torch.zeros(len(texts), self.context_length, dtype=torch.int64)
        for row, text in zip(packed, texts, strict=True):
            ids = self._ids(text)[: self.context_length - 2]
            row[: len(ids) + 2] = torch.tensor([self._tokenizer.sot_token_id, *ids, self._tokenizer.eot_token_id])
        return packed

    def save(self, folder: Path) -> None:
        """Writes the files that open_clip needs to load a tokenizer that is not CLIP's own."""
        if isinstance(self._tokenizer, HFTokenizer):
            self._tokenizer.save_pretrained(folder)
            # transformers 5 has a new name for the class, which older ones do not know.
            file = folder / "tokenizer_config.json"
            file.write_text(file.read_text("utf-8").replace("TokenizersBackend", "PreTrainedTokenizerFast"), "utf-8")


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a model, without the model.

    Args:
        name: As for :func:`model_config`, or a folder that :meth:`ClipModel.load` takes.
    """
    if Path(name).is_dir():
        return _tokenizer(f"local-dir:{name}", _config_file(Path(name) / CONFIG_FILE))
    # open_clip finds some tokenizers by the model's name; every other configuration names one or has CLIP's own.
    return _tokenizer(name if open_clip.get_model_config(name) else "", model_config(name))


def local_tokenizer(folder: Path, context_length: int) -> Tokenizer:
    """A tokenizer in Hugging Face's format that no model has been built for yet.

    Args:
        folder: Holds ``tokenizer.json`` and what else ``AutoTokenizer`` reads; padding is 0 and the end token has
            the largest id.
        context_length: The model's, start and end included.
    """
    tokenizer = HFTokenizer(str(folder), context_length=context_length)
    inner = tokenizer.tokenizer
    text_config = {"vocab_size": len(inner), "pad_id": inner.pad_token_id, "eos_id": inner.eos_token_id}
    # open_clip takes any name for a sign that the tokenizer lies beside the weights.
    return Tokenizer(tokenizer, context_length, {**text_config, "hf_tokenizer_name": "learnt"})


def _tokenizer(place: str, config: Config) -> Tokenizer:
    text_config = config["text_cfg"]
    length, name = text_config.get("context_length", 77), text_config.get("hf_tokenizer_name")
    try:
        if name and not place:
            mode, options = text_config.get("tokenizer_mode"), text_config.get("tokenizer_kwargs") or {}
            return Tokenizer(HFTokenizer(name, length, tokenizer_mode=mode, **options), length)
        return Tokenizer(open_clip.get_tokenizer(place, context_length=length), length)
    except Exception as error:
        # What goes wrong below transformers (network, cache, missing packages) is of many kinds.
        why = next(filter(None, str(error).splitlines()), type(error).__name__).rstrip(".")
        if place.startswith("local-dir:"):
            raise UserError(f"the tokenizer in {place.removeprefix('local-dir:')} cannot be read: {why}.") from error
        raise UserError(
            f"the tokenizer {name or place!r} cannot be loaded ({why}); connect to the network once so that it is "
            "kept, or name a model with CLIP's own tokenizer."
        ) from error


class ClipModel(nn.Module):
    """An open_clip model that takes raw pictures and captions and gives unit vectors.

    Attributes:
        config: The open_clip configuration it was built from.
        clip: The open_clip module itself.
        image_size: The side S of the pictures it takes, in pixels.
        tokenizer: Its tokenizer.
    """

    _mean: torch.Tensor
    _std: torch.Tensor

    def __init__(self, config: Config, folder: Path, tokenizer: Tokenizer) -> None:
        """Builds the model from a folder that holds its configuration, and its weights if there are any."""
        super().__init__()
        self.config = config
        with _quiet():
            self.clip: nn.Module = open_clip.create_model(f"local-dir:{folder}")
        self.image_size = _side(config["vision_cfg"]["image_size"])
        self.tokenizer = tokenizer
        self.register_buffer("_mean", torch.tensor(OPENAI_DATASET_MEAN) * 255, persistent=False)
        self.register_buffer("_std", torch.tensor(OPENAI_DATASET_STD) * 255, persistent=False)
        self.to(memory_format=torch.channels_last)
        self._short_text = _ignores_padding(self.clip)

    @classmethod
    def create(
        cls, name: str, *, image_size: int | None = None, seed: int = 0, tokenizer: Tokenizer | None = None
    ) -> "ClipModel":
        """A model with fresh weights, the same for the same seed.

        Args:
            name: As for :func:`model_config`.
            image_size: Replaces the configuration's own, in pixels.
            seed: For the weights; PyTorch's global generator is left as it was.
            tokenizer: Replaces the model's own, as from :func:`local_tokenizer`; the text tower is built for it.

        Raises:
            UserError: There is no such model, or it cannot be built.
        """
        config, tokenizer = model_config(name, image_size), tokenizer or load_tokenizer(name)
        if tokenizer.text_config:
            config = _with_tokenizer(config, tokenizer, name)
        with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _write_config(Path(folder), config)
            try:
                return cls(config, Path(folder), tokenizer)
            except (TypeError, ValueError, RuntimeError, KeyError, AssertionError) as error:
                raise UserError(f"the model {name!r} cannot be built: {error}.") from error

    @classmethod
    def load(cls, folder: str | Path) -> "ClipModel":
        """A model, in evaluation mode, from a folder that :meth:`save` wrote or that open_clip's ``local-dir:`` takes.

        Raises:
            UserError: The folder holds no such model.
        """
        folder = Path(folder)
        config_file = folder / CONFIG_FILE
        if not config_file.is_file():
            raise UserError(f"{folder} holds no model: {CONFIG_FILE} is missing there; name a run's model folder.")
        with torch.random.fork_rng(devices=[]):
            return cls(_config_file(config_file), folder, load_tokenizer(str(folder))).eval()

    def save(self, folder: Path) -> None:
        """Writes configuration and weights as ``open_clip.create_model("local-dir:FOLDER")`` reads them."""
        folder.mkdir(parents=True, exist_ok=True)
        _write_config(folder, self.config)
        self.tokenizer.save(folder)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.clip.state_dict().items()}
        save_file(weights, folder / WEIGHTS_FILE)

    def load_weights(self, file: Path) -> None:
        """Replaces the weights by those of a safetensors file."""
        self.clip.load_state_dict(load_file(file))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._mean.device

    @property
    def logit_scale(self) -> nn.Parameter:
        """The logarithm of the inverse temperature, a learnable scalar."""
        scale = self.clip.logit_scale
        assert isinstance(scale, nn.Parameter)
        return scale

    @property
    def parameter_count(self) -> int:
        """The number of learnable numbers."""
        return sum(p.numel() for p in self.parameters())

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures to unit vectors.

        Args:
            images: RGB ``uint8``, shape (B, S, S, 3); normalised here, on the model's device.

        Returns:
            ``float32``, shape (B, D), each of length 1.
        """
        pixels = (images.to(self.device).float() - self._mean) / self._std
        features = self.clip.visual(pixels.permute(0, 3, 1, 2))  # pyright: ignore
        return F.normalize(features.float(), dim=-1)

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        """Captions to unit vectors, ``float32``, shape (B, D)."""
        return self.encode_tokens(self.tokenizer(texts))

    def encode_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids to unit vectors.

        Where the text tower is causal and pools at the end token, padding changes nothing, so only the
        longest caption's length (rounded up to 8) is computed.

        Args:
            tokens: ``int64``, shape (B, context length).

        Returns:
            ``float32``, shape (B, D), each of length 1.
        """
        if not self._short_text:
            features: torch.Tensor = self.clip.encode_text(tokens.to(self.device))  # pyright: ignore
            return F.normalize(features.float(), dim=-1)
        longest = int((tokens != 0).sum(dim=1).max())
        length = min(tokens.shape[1], -(-longest // 8) * 8)
        return F.normalize(self._text_features(tokens[:, :length].to(self.device)).float(), dim=-1)

    def _text_features(self, tokens: torch.Tensor) -> torch.Tensor:
        clip: Any = self.clip
        length = tokens.shape[1]
        dtype = clip.transformer.get_cast_dtype()
        x = clip.token_embedding(tokens).to(dtype) + clip.positional_embedding[:length].to(dtype)
        x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
        pooled = text_global_pool(clip.ln_final(x), tokens, clip.text_pool_type, eos_token_id=clip.text_eos_id)
        if clip.text_projection is None:
            return pooled
        if isinstance(clip.text_projection, nn.Linear):
            return clip.text_projection(pooled)
        return pooled @ clip.text_projection


@contextmanager
def _quiet() -> Generator[None]:
    """Without open_clip's warnings that a fresh model has no weights: that is what was asked for."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _ignores_padding(clip: nn.Module) -> bool:
    """Whether what follows the end token cannot change the text features."""
    causal = getattr(clip, "attn_mask", None) is not None
    return isinstance(clip, open_clip.CLIP) and causal and clip.text_pool_type in ("argmax", "eos")


def _with_tokenizer(config: Config, tokenizer: Tokenizer, name: str) -> Config:
    if "multimodal_cfg" in config or config["text_cfg"].get("hf_model_name"):
        raise UserError(
            f"the text tower of {name!r} is bound to its own tokenizer; leave vocabulary out, or name another model."
        )
    text_config = {k: v for k, v in config["text_cfg"].items() if k not in ("tokenizer_mode", "tokenizer_kwargs")}
    return {**config, "text_cfg": {**text_config, **tokenizer.text_config}}


def _side(size: int | tuple[int, int]) -> int:
    if isinstance(size, int):
        return size
    if size[0] != size[1]:
        raise UserError(f"pictures are square here, but the model's image_size is {tuple(size)}.")
    return size[0]


def _write_config(folder: Path, config: Config) -> None:
    preprocess = {"mean": list(OPENAI_DATASET_MEAN), "std": list(OPENAI_DATASET_STD)}
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2)
    (folder / CONFIG_FILE).write_text(text, "utf-8")
