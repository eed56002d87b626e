"""Weights files, as clipc, open_clip and other programs save them, into a model; no code in them is ever run."""

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import open_clip
import torch
from open_clip import convert, factory, model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from clipc.errors import UserError, first_names

Weights = dict[str, torch.Tensor]

_CONTAINERS: Final = ("state_dict", "model_state_dict", "model")
"""The keys under which training programs store weights beside the optimizer's state and other things."""
_PREFIXES: Final = ("module.", "_orig_mod.", "model.")
"""The prefixes of all names in the weights of DistributedDataParallel, of torch.compile, and of Lightning."""
_JIT_CONSTANTS: Final = ("input_resolution", "context_length", "vocab_size")
"""Entries of OpenAI's files that are no weights."""
_CHECKSUM: Final = "clipc_crc32"
_SAVE_ANEW: Final = "where it was made, save its weights alone: torch.save(model.state_dict(), 'weights.pt')"


def load_weights(clip: nn.Module, file: Path, name: str) -> None:
    """Loads a weights file into an open_clip model.

    The file is a ``state_dict`` of any precision, as safetensors or as torch saves it, alone or beside other things
    (under ``state_dict``, ``model_state_dict`` or ``model``); prefixes that all names share (``module.``,
    ``_orig_mod.``, ``model.``) are removed. Formats that open_clip converts are converted, and positional embeddings
    are resized.

    Args:
        clip: The model, changed in place.
        file: The file.
        name: The model's name, for messages.

    Raises:
        UserError: The file is damaged, holds code, or holds weights of another model.
    """
    if file.suffix in (".npz", ".npy"):  # weights of big_vision
        try:
            open_clip.load_checkpoint(clip, str(file))  # pyright: ignore
        except Exception as error:
            raise _unfit(file, name, _first_line(error)) from error
        return
    weights, reason = _strip_prefixes(_find_weights(_read(file), file), clip), ""
    try:
        weights = _for_model(weights, clip)
    except Exception as error:  # open_clip's conversions raise errors of many types for weights of another model.
        reason = _first_line(error)
    if reasons := "; ".join(_differences(weights, clip)) or reason:
        raise _unfit(file, name, reasons)
    clip.load_state_dict(weights)


def save_weights(weights: Mapping[str, torch.Tensor], file: Path) -> None:
    """Writes a weights file (safetensors) with the checksum of all tensors in its header, where others ignore it."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    save_file(tensors, file, {_CHECKSUM: _checksum(tensors)})


def _checksum(weights: Mapping[str, torch.Tensor]) -> str:
    crc = 0
    for name, tensor in sorted(weights.items()):
        crc = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), crc)
        crc = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, crc)
    return f"{crc:08x}"


def _read_safetensors(file: Path) -> Weights:
    with safe_open(file, "pt") as opened:
        expected = (opened.metadata() or {}).get(_CHECKSUM)
    weights = load_file(file)
    if expected is not None and _checksum(weights) != expected:
        raise UserError(f"the weights file {file} is damaged (its checksum differs); fetch it again, or train anew.")
    return weights


def _read(file: Path) -> Any:
    """The content of a file, without running code in it."""
    try:
        if file.suffix == ".safetensors":
            return _read_safetensors(file)
        if _is_torchscript(file):
            raise UserError(
                f"the weights file {file} is a TorchScript archive, which holds a program; where it was made, save its "
                f"weights alone: torch.save(torch.jit.load('{file.name}').state_dict(), 'weights.pt')."
            )
        # Training programs store metrics beside the weights, often as numpy's numbers.
        with torch.serialization.safe_globals(_numpy_numbers()):
            return torch.load(file, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"the weights file {file} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # Readers raise errors of many types for a damaged file.
        if held := re.search(r"GLOBAL ([\w.]+)", str(error)):
            reason, remedy = f"holds more than tensors, {held[1]}, which could run code", ""
        else:
            reason, remedy = "is damaged, or holds more than tensors, which could run code", "fetch it again, or "
        raise UserError(f"the weights file {file} {reason}; {remedy}{_SAVE_ANEW}.") from error


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _numpy_numbers() -> list[Any]:
    """What numpy's numbers need to be unpickled; none of it runs code."""
    scalar = np.float64().__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]}
    return [np.dtype, *kinds, *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core"))]


def _find_weights(content: Any, file: Path) -> Weights:
    """The tensors in a file, or in a part of it under one of :data:`_CONTAINERS`."""
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        raise UserError(f"the weights file {file} holds no weights, but a {type(content).__name__}; {_SAVE_ANEW}.")
    weights = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if not weights:
        there = first_names(list(content)) or "nothing"
        raise UserError(f"the weights file {file} holds no weights, but {there}; {_SAVE_ANEW}.")
    return weights


def _strip_prefixes(weights: Weights, clip: nn.Module) -> Weights:
    """The weights without the prefixes that all of their names share, and none of the model's."""
    prefixes = [prefix for prefix in _PREFIXES if not any(name.startswith(prefix) for name in clip.state_dict())]
    while prefix := next((p for p in prefixes if all(name.startswith(p) for name in weights)), None):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def _for_model(weights: Weights, clip: Any) -> Weights:
    """The weights as open_clip's own ``load_checkpoint`` changes them, which reads files only."""
    own = clip.state_dict()
    weights = {name: tensor for name, tensor in weights.items() if name not in _JIT_CONSTANTS or name in own}
    weights = convert.convert_state_dict(clip, weights)
    if "positional_embedding" in weights and not hasattr(clip, "positional_embedding"):
        weights = model.convert_to_custom_text_state_dict(weights)
    for name in ("logit_scale", "logit_bias"):  # numbers, or lists of one number
        if name in weights and name in own and weights[name].numel() == 1:
            weights[name] = weights[name].reshape(own[name].shape)
    if "logit_bias" in own and "logit_bias" not in weights:  # a model trained with the other loss
        weights["logit_bias"] = torch.zeros_like(own["logit_bias"])
    if (unused := "text.transformer.embeddings.position_ids") not in own:  # as older versions of transformers saved it
        weights.pop(unused, None)
    factory.resize_pos_embed(weights, clip)
    factory.resize_text_pos_embed(weights, clip)
    return weights


def _differences(weights: Weights, clip: nn.Module) -> Iterator[str]:
    """What keeps weights from fitting a model: names that only one of both has, and shapes that differ."""
    own = clip.state_dict()
    if missing := [key for key in own if key not in weights]:
        yield f"it lacks {first_names(missing, 3)}"
    if unexpected := [key for key in weights if key not in own]:
        yield f"the model has no {first_names(unexpected, 3)}"
    shapes = {key: (tuple(weights[key].shape), tuple(own[key].shape)) for key in own if key in weights}
    if others := {key: pair for key, pair in shapes.items() if pair[0] != pair[1]}:
        listed = [f"{key} is {there} instead of {here}" for key, (there, here) in others.items()]
        yield "; ".join(listed[:3]) + (f" and {len(listed) - 3:,} more differ" if len(listed) > 3 else "")


def _unfit(file: Path, name: str, reason: str) -> UserError:
    return UserError(
        f"the weights {file} do not fit the model {name}: {reason}; name the model that they were made for."
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 else lines[0] if lines else type(error).__name__)[:160].rstrip(".")
