"""Which parameters of a model are trained: whole towers, their last layers, or low-rank adapters."""

from types import MethodType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from torch import nn

from clipc.errors import UserError
from clipc.identity import Neutral
from clipc.models.layers import Tower, tower_layers, tower_parameters
from clipc.models.lora import add_lora


def _validate_trained(value: Any) -> Any:
    if value in ("all", "locked") or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError(f"write all, locked, or how many of the last layers learn (1 or more), not {value!r}")


Trained = Annotated[Literal["all", "locked"] | int, BeforeValidator(_validate_trained)]
"""The trained part of a tower: ``"all"``, ``"locked"`` (nothing), or the number of layers from the end."""


class Tuning(BaseModel):
    """Which parameters are trained, and how fast: the recipe's ``tune``. By default all are, at one learning rate."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    image: Annotated[Trained, Neutral("all")] = "all"
    """Trained part of the image tower: all, locked (LiT), or a number of layers counted from the end: 1 is the
    projection, 2 the last block too.
    """
    text: Annotated[Trained, Neutral("all")] = "all"
    """Trained part of the text tower, with the same values."""
    layer_decay: Annotated[float, Neutral(1.0)] = Field(default=1.0, gt=0, le=1)
    """A layer's learning rate divided by that of the layer after it; 0.6 to 0.9 is usual, 1 is off."""
    lora: Annotated[int | None, Neutral(None)] = Field(default=None, ge=1)
    """Rank of the adapters (LoRA) trained instead of the towers, in the attention of all layers; null for none."""
    lora_alpha: Annotated[float | None, Neutral(None)] = Field(default=None, gt=0)
    """Adapters are scaled by lora_alpha / lora; null for the value of lora."""

    @model_validator(mode="after")
    def _check_keys(self) -> "Tuning":
        if self.image == self.text == "locked":
            raise ValueError("with both towers locked nothing is left to learn; unlock image or text")
        if self.lora is None and self.lora_alpha is not None:
            raise ValueError("lora_alpha has no effect without lora; give lora a rank, such as lora: 8")
        if self.lora is not None and (isinstance(self.image, int) or isinstance(self.text, int)):
            raise ValueError(
                "adapters take the place of the last layers; with lora set image and text to all or locked"
            )
        if self.lora is not None and self.layer_decay < 1:
            raise ValueError("adapters all learn at one rate; leave out layer_decay or lora")
        return self


def apply_tuning(clip: nn.Module, tuning: Tuning, seed: int = 0) -> None:
    """Freezes the parameters that are not trained and adds adapters, in place; the temperature is always trained.

    Modules without trained parameters stay in evaluation mode, even after ``train()``: their batch norms keep and use
    their running statistics, and their dropout is off.

    Args:
        clip: An open_clip model.
        tuning: What is trained.
        seed: The seed of the adapters' weights; PyTorch's global generator is left as it was.

    Raises:
        UserError: A tower does not support the tuning: it has fewer layers, no separable layers, or no
            attention for adapters; or peft is missing.
    """
    trained: dict[Tower, Trained] = {"image": tuning.image, "text": tuning.text}
    if tuning.lora is not None:
        towers: list[Tower] = [tower for tower in trained if trained[tower] != "locked"]
        add_lora(clip, tuning.lora, tuning.lora_alpha or tuning.lora, seed, towers)
    else:
        for tower in trained:
            _lock(clip, tower, trained[tower])
    if tuning != Tuning():
        _fix_mode(clip)


def _lock(clip: nn.Module, tower: Tower, trained: Trained) -> None:
    if trained == "all":
        return
    locked = tower_parameters(clip, tower)
    if trained != "locked":
        layers = tower_layers(clip, tower)
        if trained > len(layers):
            raise UserError(
                f"tune.{tower} is {trained}, but the {tower} tower has {len(layers)} layers; "
                f"set it to {len(layers)} at most, or to all."
            )
        locked = [name for layer in layers[: len(layers) - trained] for name in layer]
    for name in locked:
        clip.get_parameter(name).requires_grad_(False)


def _fix_mode(module: nn.Module) -> None:
    """Keeps modules whose parameters are all frozen in evaluation mode."""
    trainable = [parameter.requires_grad for parameter in module.parameters()]
    if trainable and not any(trainable):
        module.eval()
        module.train = MethodType(_ignore_mode, module)
        return
    for child in module.children():
        _fix_mode(child)


def _ignore_mode(self: nn.Module, mode: bool = True) -> nn.Module:
    return self
