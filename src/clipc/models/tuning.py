"""Which parameters of a model are trained: whole towers, their last layers, or low-rank adapters."""

from types import MethodType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from torch import nn

from clipc.errors import UserError
from clipc.identity import Neutral
from clipc.models.layers import Tower, tower_layers, tower_parameters
from clipc.models.lora import add_lora


def _learns(value: Any) -> Any:
    if value in ("all", "locked") or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError(f"write all, locked, or how many of the last layers learn (1 or more), not {value!r}")


Learns = Annotated[Literal["all", "locked"] | int, BeforeValidator(_learns)]
"""What of a tower learns: ``"all"``, ``"locked"`` (nothing), or the number of layers that do, from the end."""


class Tuning(BaseModel):
    """What of a model learns, and how fast: the recipe's ``tune``. The defaults train all of it alike."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    image: Annotated[Learns, Neutral("all")] = "all"
    """What learns of the image tower: all, locked (LiT), or a number of layers counted from the end: 1 is the
    projection, 2 the last block too.
    """
    text: Annotated[Learns, Neutral("all")] = "all"
    """What learns of the text tower, in the same words."""
    layer_decay: Annotated[float, Neutral(1.0)] = Field(default=1.0, gt=0, le=1)
    """A layer learns at so much of the rate of the layer after it; 0.6 to 0.9 is usual, 1 is off."""
    lora: Annotated[int | None, Neutral(None)] = Field(default=None, ge=1)
    """Rank of the adapters that learn in place of the towers (LoRA), in the attention of all layers; none if null."""
    lora_alpha: Annotated[float | None, Neutral(None)] = Field(default=None, gt=0)
    """The adapters count lora_alpha / lora times; as much as lora if null."""

    @model_validator(mode="after")
    def _makes_sense(self) -> "Tuning":
        if self.image == self.text == "locked":
            raise ValueError("with both towers locked nothing is left to learn; unlock image or text")
        if self.lora is None and self.lora_alpha is not None:
            raise ValueError("lora_alpha means nothing without lora; give lora a rank, such as lora: 8")
        if self.lora is not None and (isinstance(self.image, int) or isinstance(self.text, int)):
            raise ValueError(
                "adapters take the place of the last layers; with lora set image and text to all or locked"
            )
        if self.lora is not None and self.layer_decay < 1:
            raise ValueError("adapters all learn at one rate; leave out layer_decay or lora")
        return self


def prepare(clip: nn.Module, tuning: Tuning, seed: int = 0) -> None:
    """Locks what does not learn and adds adapters, in place; the temperature always learns.

    Modules of which nothing learns stay in evaluation mode, also after ``train()``: batch norms keep and use the
    statistics that they came with, and nothing in them is dropped at random.

    Args:
        clip: An open_clip model.
        tuning: What is to learn.
        seed: For the adapters' weights; PyTorch's global generator is left as it was.

    Raises:
        UserError: A tower does not support the tuning: it has fewer layers, no separable layers, or no
            attention for adapters; or peft is missing.
    """
    learns: dict[Tower, Learns] = {"image": tuning.image, "text": tuning.text}
    if tuning.lora is not None:
        towers: list[Tower] = [tower for tower in learns if learns[tower] != "locked"]
        add_lora(clip, tuning.lora, tuning.lora_alpha or tuning.lora, seed, towers)
    else:
        for tower in learns:
            _lock(clip, tower, learns[tower])
    if tuning != Tuning():
        _freeze_mode(clip)


def _lock(clip: nn.Module, tower: Tower, learns: Learns) -> None:
    if learns == "all":
        return
    locked = tower_parameters(clip, tower)
    if learns != "locked":
        layers = tower_layers(clip, tower)
        if learns > len(layers):
            raise UserError(
                f"tune.{tower} is {learns}, but the {tower} tower has {len(layers)} layers; "
                f"set it to {len(layers)} at most, or to all."
            )
        locked = [name for layer in layers[: len(layers) - learns] for name in layer]
    for name in locked:
        clip.get_parameter(name).requires_grad_(False)


def _freeze_mode(module: nn.Module) -> None:
    """Keeps the modules without trainable parameters in evaluation mode."""
    trainable = [parameter.requires_grad for parameter in module.parameters()]
    if trainable and not any(trainable):
        module.eval()
        module.train = MethodType(_ignore_mode, module)
        return
    for child in module.children():
        _freeze_mode(child)


def _ignore_mode(self: nn.Module, mode: bool = True) -> nn.Module:
    return self
