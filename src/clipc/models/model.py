"""open_clip's models: building, loading and saving them, and encoding with them."""

import json
import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from open_clip.hf_model import HFTextEncoder
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from clipc.errors import UserError
from clipc.files import expand_home, whole_folder
from clipc.models.image_input import ImageInput, image_batch
from clipc.models.image_tower import image_pooled, project_image
from clipc.models.model_config import (
    CONFIG_FILE,
    HUB_PREFIX,
    LOCAL_DIR_PREFIX,
    TEXT_CONFIG_FILE,
    WEIGHTS_FILE,
    Config,
    Start,
    fetch_error,
    find_start,
    model_folder,
    with_image_size,
)
from clipc.models.starter import load_trunk
from clipc.models.text_tower import project_text, text_features, text_pooled
from clipc.models.tokenizer import LEARNT, Tokenizer, load_tokenizer
from clipc.models.weights import load_weights
from clipc.render.evaluation_view import Resizing

_PREPROCESS_KEYS: Final = ("mean", "std", "interpolation", "resize_mode", "fill_color")


class ClipModel(nn.Module):
    """An open_clip model with its tokenizer: encodes raw images and captions as unit vectors.

    Attributes:
        clip: The open_clip module itself.
        config: The open_clip configuration that the model was built from.
        preprocess: How images are normalised (``mean`` and ``std`` of channels in [0, 1]) and resized for evaluation,
            with the keys of open_clip's ``preprocess_cfg``.
        image_size: The side S of the input images, in pixels.
        resizing: How evaluation makes images square, as ``preprocess`` says.
        tokenizer: The tokenizer.
    """

    _mean: torch.Tensor
    _std: torch.Tensor

    def __init__(self, clip: nn.Module, config: Config, tokenizer: Tokenizer) -> None:
        """Wraps an open_clip model; :meth:`create` and :meth:`load` make one."""
        super().__init__()
        self.clip: nn.Module = clip
        self.config = config
        visual: Any = clip.visual
        self.preprocess: Config = {key: visual.preprocess_cfg[key] for key in _PREPROCESS_KEYS}
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
        """A model to train, with random weights (the same for the same seed) or with pretrained ones.

        Weights are read without running any code that a file may hold. If ``image_size`` differs from that of the
        weights, open_clip resizes the positional embedding. Published weights that were trained with QuickGELU get
        it, even if ``name`` lacks the suffix for it.

        Args:
            name: As for :func:`find_start`.
            pretrained: As for :func:`find_start`.
            image_size: Replaces the configuration's own, in pixels.
            seed: The seed of random weights; PyTorch's global generator is left as it was.
            tokenizer: Replaces the model's own, as from :func:`local_tokenizer`; the text tower is built for it.
            sigmoid: Whether the model will be trained with SigLIP's loss, which needs a bias. A model without a bias
                gets one, and starts with the paper's scale of 10 and bias of -10 (arXiv 2303.15343).

        Raises:
            UserError: There is no such model, there are no such weights, they cannot be fetched or do not fit, or the
                model cannot be built.
        """
        start = find_start(name, pretrained)
        tokenizer = tokenizer or load_tokenizer(name)
        config = with_image_size(start.config, image_size)
        if tokenizer.text_config:
            if start.weights is not None:
                raise UserError(
                    f"the pretrained text tower of {name} works only with its own tokens; leave vocabulary out, or "
                    "start from a configuration without weights."
                )
            config = _with_tokenizer(config, tokenizer, name)
        new_bias = sigmoid and config.get("init_logit_bias") is None
        if new_bias:
            config = {**config, "init_logit_scale": math.log(10), "init_logit_bias": -10.0}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            clip = _build(name, replace(start, config=config))
        for trunk in start.trunks:
            load_trunk(clip, trunk)
        if start.weights is not None:
            load_weights(clip, start.weights, name)
            if new_bias:
                with torch.no_grad():
                    clip.logit_scale.fill_(config["init_logit_scale"])  # pyright: ignore
                    clip.logit_bias.fill_(config["init_logit_bias"])  # pyright: ignore
        return cls(clip, config, tokenizer)

    @classmethod
    def load(cls, named: str | Path) -> "ClipModel":
        """A model with its weights, in evaluation mode.

        Args:
            named: A model's or a run's folder (see :func:`model_folder`), ``hf-hub:org/name``, or a configuration with
                its weights: ``ViT-B-32:laion2b_s34b_b79k`` or ``ViT-B-32:FILE``.

        Raises:
            UserError: There is no such model, or its weights cannot be fetched or do not fit.
        """
        name, _, weights = str(named).partition(":")
        if weights and not str(named).startswith((LOCAL_DIR_PREFIX, HUB_PREFIX)) and not Path(named).exists():
            return cls.create(name, pretrained=expand_home(weights)).eval()
        in_hub = str(named).startswith(HUB_PREFIX)
        return cls.create(str(named) if in_hub else f"{LOCAL_DIR_PREFIX}{model_folder(named)}").eval()

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Writes a folder that ``open_clip.create_model("local-dir:FOLDER")`` reads: configuration, tokenizer, weights.

        An older model in the folder is replaced as a whole (:func:`whole_folder`).

        Args:
            folder: A new or empty folder, or one with an older model that has the same files.
            weights: Replaces the module's own ``state_dict``, such as weights that adapters have been merged into.

        Raises:
            UserError: The folder holds other files too, or the disk is full; what was there before stays.
        """
        tensors = weights if weights is not None else self.clip.state_dict()
        with whole_folder(folder) as new:
            _write_config(new, _portable(self.config), self.preprocess)
            self.tokenizer.save(new)
            if isinstance(text_tower := getattr(self.clip, "text", None), HFTextEncoder):
                # Without this file the text tower could be built only where its own repository can be reached.
                text_config: Any = text_tower.config
                text = json.dumps(text_config.to_diff_dict(), indent=2, sort_keys=True)
                (new / TEXT_CONFIG_FILE).write_text(text + "\n", "utf-8")
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, new / WEIGHTS_FILE)
            # safetensors writes files that only their owner can read, whatever the umask.
            (new / WEIGHTS_FILE).chmod((new / CONFIG_FILE).stat().st_mode)
            _refuse_other_files(folder, new)

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Runs both encoders; all trained parameters take part in one call, as ``DistributedDataParallel`` requires.

        Args:
            images: As for :meth:`encode_image`.
            tokens: As for :meth:`encode_tokens`.

        Returns:
            Image features and text features, both ``float32``, shape (B, D), and the inverse temperature, a scalar;
            then the bias, a scalar, if the model has one.
        """
        outputs = self.encode_image(images), self.encode_tokens(tokens), self.logit_scale.exp()
        bias = getattr(self.clip, "logit_bias", None)
        return outputs if bias is None else (*outputs, bias.reshape(()))

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
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

    def encode_image(self, images: torch.Tensor | Sequence[ImageInput]) -> torch.Tensor:
        """Images to unit vectors.

        Args:
            images: Paths, PIL images or arrays of any size (:func:`~clipc.models.image_input.image_batch`). Or RGB
                ``uint8``, shape (B, S, S, 3); normalised here, on the model's device. Or the pooled output of the
                image tower's trunk (:meth:`pooled_images`), floating point, shape (B, width).

        Returns:
            ``float32``, shape (B, D), each of length 1.

        Raises:
            UserError: An image cannot be read.
        """
        if not isinstance(images, torch.Tensor):
            images = image_batch(images, self.image_size, self.resizing)
        if images.is_floating_point():
            features = project_image(self.clip, images.to(self.device).float())
        elif getattr(self.clip.visual, "head_dropout", 0.0):  # open_clip's own encoder has no dropout there
            features = project_image(self.clip, image_pooled(self.clip, self._pixels(images)))
        else:
            features = self.clip.encode_image(self._pixels(images))  # pyright: ignore
        return F.normalize(features.float(), dim=-1)

    def pooled_images(self, images: torch.Tensor) -> torch.Tensor:
        """The pooled output of the image tower's trunk.

        Args:
            images: RGB ``uint8``, shape (B, S, S, 3), or halves of images, shape (B, S, S / 2, 3) or (B, S / 2, S, 3)
                (:func:`~clipc.models.image_tower.check_halves`).

        Returns:
            ``float32``, shape (B, width).
        """
        return image_pooled(self.clip, self._pixels(images)).float()

    def pooled_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """The pooled output of the text tower's trunk, ``float32``, shape (B, width), for ``int64`` token ids."""
        return text_pooled(self.clip, tokens, self.device).float()

    def _pixels(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised ``uint8`` images, shape (B, H, W, 3), on the model's device, shape (B, 3, H, W)."""
        return ((images.to(self.device).float() - self._mean) / self._std).permute(0, 3, 1, 2)

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        """Captions to unit vectors, ``float32``, shape (B, D)."""
        return self.encode_tokens(self.tokenizer(texts))

    def encode_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids to unit vectors; needless padding is not computed (see :func:`text_features`).

        Args:
            tokens: ``int64``, shape (B, context length). Or the pooled output of the text tower's trunk
                (:meth:`pooled_tokens`), floating point, shape (B, width).

        Returns:
            ``float32``, shape (B, D), each of length 1.
        """
        if tokens.is_floating_point():
            return F.normalize(project_text(self.clip, tokens.to(self.device).float()).float(), dim=-1)
        return F.normalize(text_features(self.clip, tokens, self.device).float(), dim=-1)


def _build(name: str, start: Start) -> nn.Module:
    """Builds the open_clip module, with random weights from PyTorch's global generator.

    Weights of single trunks that no package brings are fetched by timm and transformers.
    """
    config = start.config
    if start.text_folder:
        config = {**config, "text_cfg": {**config["text_cfg"], "hf_model_name": str(start.text_folder)}}
    # Weights that will be loaded from a file need not be fetched.
    fetched = {"image", "text"} if start.weights is None else set[str]()
    fetched -= {trunk.tower for trunk in start.trunks}
    image = "image" in fetched and config["vision_cfg"].get("timm_model_pretrained") is True
    text = "text" in fetched and config["text_cfg"].get("hf_model_pretrained", True) is True
    with tempfile.TemporaryDirectory() as folder:
        _write_config(Path(folder), config, start.preprocess)
        # open_clip warns that the model has no weights, but here that is intended.
        logging.disable(logging.WARNING)
        try:
            clip = open_clip.create_model(f"{LOCAL_DIR_PREFIX}{folder}", pretrained_image=image, pretrained_text=text)
        except (TypeError, ValueError, RuntimeError, KeyError, AssertionError) as error:
            raise UserError(f"the model {name!r} cannot be built: {error}.") from error
        except OSError as error:
            raise fetch_error(f"what the towers of {name!r} start from", error) from error
        finally:
            logging.disable(logging.NOTSET)
    projection = getattr(getattr(clip, "text_decoder", None), "text_projection", None)
    if projection is not None:
        # open_clip does not initialise this weight of CoCa; it is drawn here as the text tower's projection is.
        nn.init.normal_(projection, std=projection.shape[0] ** -0.5)
    visual: Any = clip.visual
    trunk = getattr(getattr(visual, "trunk", None), "pretrained_cfg", {})
    size, fixed = _side(visual.image_size), trunk.get("input_size", (0,))[-1]
    if trunk.get("fixed_input_size") and size != fixed:
        # timm could resize the model, but open_clip could not load it after saving.
        raise UserError(
            f"the image tower of {name} takes images of {fixed} px only, not of {size}; set image_size={fixed}, or "
            "name a model for the other size."
        )
    return clip


def _portable(config: Config) -> Config:
    """The configuration without names of folders on this machine: text towers and tokenizers lie beside it."""
    names = {key: config["text_cfg"].get(key) for key in ("hf_model_name", "hf_tokenizer_name")}
    local = {key: "." for key, name in names.items() if name and name != LEARNT and Path(name).is_dir()}
    return {**config, "text_cfg": {**config["text_cfg"], **local}}


def _refuse_other_files(folder: Path, new: Path) -> None:
    names = {path.name for path in folder.iterdir() if path.name[0] != "."} if folder.is_dir() else set[str]()
    if others := sorted(names - {path.name for path in new.iterdir()}):
        raise UserError(f"{folder} holds {others[0]}, which is no part of this model; name a folder of its own.")


def _with_tokenizer(config: Config, tokenizer: Tokenizer, name: str) -> Config:
    if "multimodal_cfg" in config or config["text_cfg"].get("hf_model_name"):
        raise UserError(
            f"the text tower of {name!r} is bound to its own tokenizer; leave vocabulary out, or name a model "
            "with a fresh text tower, such as starter-image."
        )
    text_config = {k: v for k, v in config["text_cfg"].items() if k not in ("tokenizer_mode", "tokenizer_kwargs")}
    return {**config, "text_cfg": {**text_config, **tokenizer.text_config}}


def _side(size: int | tuple[int, int]) -> int:
    if isinstance(size, int):
        return size
    if size[0] != size[1]:
        raise UserError(f"the model's image_size {tuple(size)} is not square; choose a model for square images.")
    return size[0]


def _write_config(folder: Path, config: Config, preprocess: Config) -> None:
    preprocess = {key: preprocess[key] for key in _PREPROCESS_KEYS if key in preprocess}
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2)
    (folder / CONFIG_FILE).write_text(text, "utf-8")
