"""The door to open_clip's models: they and their weights come and go through here."""

import json
import logging
import math
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from clipc.errors import UserError
from clipc.files import whole_folder
from clipc.models.model_config import CONFIG_FILE, FOLDER, HUB, WEIGHTS_FILE, Config, find_start, model_folder, sized
from clipc.models.text_tower import text_features
from clipc.models.tokenizer import Tokenizer, load_tokenizer
from clipc.render.evaluation_view import Resizing

_PREPROCESSING: Final = ("mean", "std", "interpolation", "resize_mode", "fill_color")


class ClipModel(nn.Module):
    """An open_clip model from raw images and captions to unit vectors.

    Attributes:
        clip: The open_clip module itself.
        config: The open_clip configuration it was built from.
        preprocess: How its images are normalised (``mean`` and ``std``, in [0, 1]), and how those that it was
            trained on were resized, with the keys of open_clip's ``preprocess_cfg``.
        image_size: The side S of the images it takes, in pixels.
        resizing: How evaluation resizes images to squares, by ``preprocess``.
        tokenizer: Its tokenizer.
    """

    _mean: torch.Tensor
    _std: torch.Tensor

    def __init__(self, clip: nn.Module, config: Config, tokenizer: Tokenizer) -> None:
        """Wraps an open_clip model; :meth:`create` and :meth:`load` make one."""
        super().__init__()
        self.clip: nn.Module = clip
        self.config = config
        visual: Any = clip.visual
        self.preprocess: Config = {key: visual.preprocess_cfg[key] for key in _PREPROCESSING}
        self.image_size = _side(visual.image_size)
        self.resizing = Resizing.of(self.preprocess)
        self.tokenizer = tokenizer
        self.register_buffer("_mean", torch.tensor(self.preprocess["mean"]) * 255, persistent=False)
        self.register_buffer("_std", torch.tensor(self.preprocess["std"]) * 255, persistent=False)
        self.to(memory_format=torch.channels_last)

    @classmethod
    def create(
        cls,
        name: str,
        *,
        pretrained: str | None = None,
        image_size: int | None = None,
        seed: int = 0,
        tokenizer: Tokenizer | None = None,
        sigmoid: bool = False,
    ) -> "ClipModel":
        """A model to train: with fresh weights, the same for the same seed, or with those that it starts from.

        Weights are read without running any code that a file may hold. Where images are of another size than the
        weights were made for, open_clip resizes the positional embedding. Published weights that were trained with
        QuickGELU get it, whether or not the name says so.

        Args:
            name: As for :func:`find_start`.
            pretrained: As there.
            image_size: Replaces the configuration's own, in pixels.
            seed: For fresh weights; PyTorch's global generator is left as it was.
            tokenizer: Replaces the model's own, as from :func:`local_tokenizer`; the text tower is built for it.
            sigmoid: Whether it learns by SigLIP's loss, which reads a bias. A model that has none gets one, and begins
                at that paper's scale of 10 and bias of -10 (arXiv 2303.15343).

        Raises:
            UserError: There is no such model or weights, they cannot be fetched or do not fit, or the model cannot be
                built.
        """
        start = find_start(name, pretrained)
        tokenizer = tokenizer or load_tokenizer(name)
        config = sized(start.config, image_size)
        if tokenizer.text_config:
            if start.weights is not None:
                raise UserError(
                    f"the text tower that comes with the weights of {name} knows its own tokens only; leave vocabulary "
                    "out, or start from a configuration without weights."
                )
            config = _with_tokenizer(config, tokenizer, name)
        begins = sigmoid and config.get("init_logit_bias") is None
        if begins:
            config = {**config, "init_logit_scale": math.log(10), "init_logit_bias": -10.0}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            clip = _built(name, config, start.preprocess, fresh=start.weights is None)
        if start.weights is not None:
            _load_weights(clip, start.weights, name)
            if begins:
                with torch.no_grad():
                    clip.logit_scale.fill_(config["init_logit_scale"])  # pyright: ignore
                    clip.logit_bias.fill_(config["init_logit_bias"])  # pyright: ignore
        return cls(clip, config, tokenizer)

    @classmethod
    def load(cls, named: str | Path) -> "ClipModel":
        """A model with its weights, in evaluation mode.

        Args:
            named: A folder that :func:`model_folder` finds one in, ``hf-hub:org/name``, or a model and its weights as
                ``ViT-B-32:laion2b_s34b_b79k`` or ``ViT-B-32:FILE``.

        Raises:
            UserError: There is no such model, or its weights cannot be fetched.
        """
        name, _, weights = str(named).partition(":")
        if weights and not str(named).startswith((FOLDER, HUB)) and not Path(named).exists():
            return cls.create(name, pretrained=weights).eval()
        return cls.create(str(named) if str(named).startswith(HUB) else f"{FOLDER}{model_folder(named)}").eval()

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Writes configuration, tokenizer and weights as ``open_clip.create_model("local-dir:FOLDER")`` reads them.

        An older model in the folder is replaced as a whole (:func:`whole_folder`).

        Args:
            folder: New, empty, or with an older model of the same kind.
            weights: Replaces the module's own ``state_dict``, such as weights that adapters have been merged into.

        Raises:
            UserError: The folder holds something else too, or the disk is full; what was there before stays.
        """
        tensors = weights if weights is not None else self.clip.state_dict()
        with whole_folder(folder) as new:
            _write_config(new, self.config, self.preprocess)
            self.tokenizer.save(new)
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, new / WEIGHTS_FILE)
            # safetensors lets nobody else read it, whatever the user's umask says.
            (new / WEIGHTS_FILE).chmod((new / CONFIG_FILE).stat().st_mode)
            _refuse_other_files(folder, new)

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Both encoders and what scores are made with at once, which is what ``DistributedDataParallel`` needs to see.

        Args:
            images: As for :meth:`encode_image`.
            tokens: As for :meth:`encode_tokens`.

        Returns:
            Image features and text features, as from the two, and the inverse temperature, a scalar; where the model
            has a bias that too, a scalar, as open_clip's own.
        """
        outputs = self.encode_image(images), self.encode_tokens(tokens), self.logit_scale.exp()
        bias = getattr(self.clip, "logit_bias", None)
        return outputs if bias is None else (*outputs, bias.reshape(()))

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
        """The number of parameters."""
        return sum(p.numel() for p in self.parameters())

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Images to unit vectors.

        Args:
            images: RGB ``uint8``, shape (B, S, S, 3); normalised here, on the model's device.

        Returns:
            ``float32``, shape (B, D), each of length 1.
        """
        pixels = (images.to(self.device).float() - self._mean) / self._std
        features = self.clip.encode_image(pixels.permute(0, 3, 1, 2))  # pyright: ignore
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


def _built(name: str, config: Config, preprocess: Config, *, fresh: bool) -> nn.Module:
    """The module that open_clip builds, with weights from PyTorch's global generator."""
    with tempfile.TemporaryDirectory() as folder:
        _write_config(Path(folder), config, preprocess)
        # open_clip warns that a model has no weights yet, which is what was asked for.
        logging.disable(logging.WARNING)
        try:
            # Where all weights are about to come from a file, no tower's own need be fetched.
            clip = open_clip.create_model(f"{FOLDER}{folder}", pretrained_text=fresh)
        except (TypeError, ValueError, RuntimeError, KeyError, AssertionError) as error:
            raise UserError(f"the model {name!r} cannot be built: {error}.") from error
        finally:
            logging.disable(logging.NOTSET)
    projection = getattr(getattr(clip, "text_decoder", None), "text_projection", None)
    if projection is not None:
        # open_clip leaves this weight of CoCa's as the memory was found; drawn as it draws the text tower's own.
        nn.init.normal_(projection, std=projection.shape[0] ** -0.5)
    visual: Any = clip.visual
    trunk = getattr(getattr(visual, "trunk", None), "pretrained_cfg", {})
    size, only = _side(visual.image_size), trunk.get("input_size", (0,))[-1]
    if trunk.get("fixed_input_size") and size != only:
        # timm could resize it, but open_clip would not load what was saved.
        raise UserError(
            f"the image tower of {name} takes images of {only} px only, not of {size}; set image_size={only}, or "
            "name a model for the other size."
        )
    return clip


def _load_weights(clip: nn.Module, file: Path, name: str) -> None:
    try:
        open_clip.load_checkpoint(clip, str(file), weights_only=True)  # pyright: ignore
    except (pickle.UnpicklingError, SafetensorError, EOFError) as error:
        raise UserError(
            f"the weights file {file} is damaged, or holds more than tensors, which could run code; "
            "fetch it again, or save its state_dict anew, as .safetensors."
        ) from error
    except Exception as error:
        # A file of another kind can trip its readers in any way.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = (lines[1] if len(lines) > 1 else lines[0] if lines else type(error).__name__)[:160].rstrip(".")
        raise UserError(
            f"the weights {file} do not fit the model {name}: {why}; name the model that they were made for."
        ) from error


def _refuse_other_files(folder: Path, new: Path) -> None:
    names = {path.name for path in folder.iterdir() if path.name[0] != "."} if folder.is_dir() else set[str]()
    if others := sorted(names - {path.name for path in new.iterdir()}):
        raise UserError(f"{folder} holds {others[0]}, which is no part of this model; name a folder of its own.")


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
        raise UserError(f"images are square here, but the model's image_size is {tuple(size)}.")
    return size[0]


def _write_config(folder: Path, config: Config, preprocess: Config) -> None:
    preprocess = {key: preprocess[key] for key in _PREPROCESSING if key in preprocess}
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2)
    (folder / CONFIG_FILE).write_text(text, "utf-8")
