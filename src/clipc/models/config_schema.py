"""The schema of open_clip's model configurations, as far as a wrong value would fail late, hang or fill the memory."""

from math import prod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clipc.errors import UserError
from clipc.json_files import checked
from clipc.limits import MODEL_SIDE, PARAMETERS, PATCHES

_Width = Annotated[int, Field(ge=1, le=1 << 16)]
_Layers = Annotated[int, Field(ge=1, le=1_000)]
_Side = Annotated[int, Field(ge=1, le=MODEL_SIDE)]
_Sides = _Side | Annotated[list[_Side], Field(min_length=2, max_length=2)]
_Three = Annotated[list[float], Field(min_length=3, max_length=3)]
_Byte = Annotated[int, Field(ge=0, le=255)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False, protected_namespaces=())


class VisionConfig(_Part):
    """``vision_cfg``: the image tower."""

    image_size: _Sides = 224
    layers: _Layers | list[_Layers] = 12
    width: _Width = 768
    head_width: _Width = 64
    mlp_ratio: Annotated[float, Field(gt=0, le=100)] = 4.0
    patch_size: _Sides | None = 16
    timm_model_name: str | None = None

    @model_validator(mode="after")
    def _check_patches(self) -> "VisionConfig":
        if self.patches > PATCHES and not self.timm_model_name:
            raise ValueError(f"{self.patches:,} patches an image are more than {PATCHES:,}; make patch_size larger")
        return self

    @property
    def patches(self) -> int:
        """The number of patches of an image."""
        image, patch = (
            side if isinstance(side, list) else [side] * 2 for side in (self.image_size, self.patch_size or 16)
        )
        return prod(max(1, of // by) for of, by in zip(image, patch, strict=True))


class TextConfig(_Part):
    """``text_cfg``: the text tower."""

    # The start, one token and the end.
    context_length: Annotated[int, Field(ge=3, le=8192)] = 77
    vocab_size: Annotated[int, Field(ge=3, le=10_000_000)] = 49408
    width: _Width = 512
    heads: _Width = 8
    layers: _Layers = 12
    mlp_ratio: Annotated[float, Field(gt=0, le=100)] = 4.0
    hf_model_name: str | None = None
    hf_tokenizer_name: str | None = None
    tokenizer_kwargs: dict[str, Any] | None = None


class ModelConfig(_Part):
    """A model's configuration."""

    embed_dim: _Width
    vision_cfg: VisionConfig
    text_cfg: TextConfig
    init_logit_scale: float | None = None
    init_logit_bias: float | None = None

    @property
    def least_parameters(self) -> int:
        """The weights of the attention, the MLPs and the embeddings; 0 for towers of other libraries."""
        image, text, count = self.vision_cfg, self.text_cfg, 0
        if not image.timm_model_name and isinstance(image.layers, int):
            count += image.width * (image.layers * image.width * (4 + 2 * image.mlp_ratio) + image.patches)
        if not text.hf_model_name:
            count += text.width * (text.layers * text.width * (4 + 2 * text.mlp_ratio) + text.vocab_size)
        return int(count)


class Preprocess(_Part):
    """``preprocess_cfg``: how images are normalised and resized."""

    size: _Sides | None = None
    mode: str | None = None
    mean: _Three | None = None
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=3, max_length=3)] | None = None
    interpolation: Literal["bicubic", "bilinear", "random"] | None = None
    resize_mode: Literal["shortest", "longest", "squash"] | None = None
    fill_color: _Byte | Annotated[list[_Byte], Field(min_length=3, max_length=3)] | None = None


def check_config(config: Any, preprocess: Any, where: str, weights_bytes: int | None = None) -> None:
    """Checks a configuration before anything is built from it.

    Args:
        config: The model's configuration.
        preprocess: Its preprocessing.
        where: The file, for messages.
        weights_bytes: The size of the weights file; None without one.

    Raises:
        UserError: A value is missing, of another type or out of range, or the model is larger than its weights.
    """
    what, advice = f"{where} is no open_clip model configuration", "restore the file, or name another model"
    for name, table in (("model_cfg", config), ("preprocess_cfg", preprocess)):
        if not isinstance(table, dict):
            raise UserError(f"{what}: {name} must hold keys with values; {advice}.")
    checked(config, ModelConfig, what, advice)
    checked(preprocess, Preprocess, what, advice)
    count = ModelConfig.model_validate(config).least_parameters
    if count > PARAMETERS:
        raise UserError(f"{where} describes a model of {count:,} parameters, more than {PARAMETERS:,}; {advice}.")
    if weights_bytes is not None and count > weights_bytes:
        raise UserError(
            f"{where} describes a model of {count:,} parameters, but the weights beside it have "
            f"{weights_bytes:,} bytes; {advice}."
        )
