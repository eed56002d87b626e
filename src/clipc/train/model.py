"""The door to open_clip's models: they and their weights come and go through here."""

import json
import logging
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from clipc.errors import UserError
from clipc.train.model_config import CONFIG_FILE, Config, model_config, read_config
from clipc.train.text_tower import text_features
from clipc.train.tokenizer import Tokenizer, load_tokenizer

WEIGHTS_FILE: Final = "open_clip_model.safetensors"


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
        """A model, in evaluation mode, from a folder that :func:`model_folder` finds one in.

        Raises:
            UserError: The folder holds no such model.
        """
        folder = model_folder(folder)
        with torch.random.fork_rng(devices=[]):
            return cls(read_config(folder / CONFIG_FILE), folder, load_tokenizer(str(folder))).eval()

    def save(self, folder: Path) -> None:
        """Writes configuration and weights as ``open_clip.create_model("local-dir:FOLDER")`` reads them."""
        folder.mkdir(parents=True, exist_ok=True)
        _write_config(folder, self.config)
        self.tokenizer.save(folder)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.clip.state_dict().items()}
        save_file(weights, folder / WEIGHTS_FILE)

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
        """Token ids to unit vectors, by no more padding than their tower needs (see :func:`text_features`).

        Args:
            tokens: ``int64``, shape (B, context length).

        Returns:
            ``float32``, shape (B, D), each of length 1.
        """
        return F.normalize(text_features(self.clip, tokens, self.device).float(), dim=-1)


def model_folder(named: str | Path) -> Path:
    """Where a model lies: the folder itself, as open_clip's ``local-dir:`` takes it, or ``model`` in a run's folder.

    Raises:
        UserError: Neither holds a model.
    """
    for folder in (Path(named), Path(named) / "model"):
        if (folder / CONFIG_FILE).is_file():
            return folder
    raise UserError(f"{named} holds no model: {CONFIG_FILE} is missing there; name a run's folder, or a model's.")


@contextmanager
def _quiet() -> Generator[None]:
    """Without open_clip's warnings that a fresh model has no weights: that is what was asked for."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


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
