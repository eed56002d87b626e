"""Checkpoints: complete or not there at all."""

import json
import logging
import pickle
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from clipc.errors import UserError
from clipc.files import whole_folder

logger = logging.getLogger(__name__)

KEPT: Final = 2
"""How many checkpoints stay on disk."""
_DAMAGED: Final = (
    *(ValueError, KeyError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError),
    *(FileNotFoundError, NotADirectoryError, IsADirectoryError),
)
"""What json, safetensors and ``torch.load`` raise on a damaged file, or one that is not there."""


@dataclass(frozen=True)
class State:
    """What a run needs to go on as if it had never stopped; all chance comes from the step's number.

    Attributes:
        step: Steps done.
        model: The model's tensors.
        optimizer: The optimizer's ``state_dict``.
        progress: Small facts that the loop carries along, as JSON values.
    """

    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    progress: dict[str, Any]


def save_checkpoint(folder: Path, state: State) -> None:
    """Writes ``folder/step-N`` whole.

    Older checkpoints beyond :data:`KEPT` are removed once the new one is safe.

    Raises:
        UserError: The disk is full or cannot be written; earlier checkpoints are untouched.
    """
    advice = "make room and start the same command again: it goes on from the last good one"
    with whole_folder(folder / f"step-{state.step}", advice) as new:
        save_file({k: v.detach().cpu().contiguous() for k, v in state.model.items()}, new / "model.safetensors")
        torch.save(state.optimizer, new / "optimizer.pt")
        (new / "progress.json").write_text(json.dumps({"step": state.step, **state.progress}), "utf-8")
    for step in checkpoint_steps(folder)[:-KEPT]:
        old = folder / f".step-{step}.partial"  # Half removed, it must not look whole.
        with suppress(OSError):
            (folder / f"step-{step}").rename(old)
        shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path) -> State | None:
    """The newest checkpoint that can be read, or None where there is none at all.

    Nothing in a checkpoint is executed: tensors come from safetensors and from ``torch.load`` with
    ``weights_only``.

    Args:
        folder: That of the run's checkpoints.

    Raises:
        UserError: There are checkpoints, but none of them can be read, or the disk fails.
    """
    damaged: dict[int, str] = {}
    for step in reversed(checkpoint_steps(folder)):
        try:
            state = _load(folder / f"step-{step}")
        except _DAMAGED as error:
            damaged[step] = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            continue
        except OSError as error:
            raise UserError(
                f"the checkpoint of step {step} in {folder} cannot be read now ({error}); it may be whole: see to the "
                "disk and start the same command again."
            ) from error
        for worse, why in damaged.items():
            logger.warning(
                "the checkpoint of step %s in %s is damaged (%s); the run goes on from the older one of step %s.",
                *(f"{worse:,}", folder, why, f"{step:,}"),
            )
        return state
    if damaged:
        step, why = next(iter(damaged.items()))
        raise UserError(
            f"no checkpoint in {folder} can be read (step {step}: {why}); "
            "remove that folder, and the same command begins the run anew."
        )
    return None


def settle_checkpoints(folder: Path, step: int) -> None:
    """Removes what was never finished, and sets aside what could not be read: checkpoints of later steps.

    Args:
        folder: That of the run's checkpoints.
        step: The one that the run goes on from.
    """
    for partial in folder.glob(".step-*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
    for later in checkpoint_steps(folder):
        if later > step:
            aside = folder / f".step-{later}.damaged"
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(OSError):
                (folder / f"step-{later}").rename(aside)


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps of the complete checkpoints in a folder, ascending."""
    found = (p.name.removeprefix("step-") for p in folder.glob("step-*"))
    return sorted(int(n) for n in found if n.isdigit())


def _load(place: Path) -> State:
    progress = json.loads((place / "progress.json").read_text("utf-8"))
    if not isinstance(progress, dict):
        raise ValueError("progress.json holds no table")
    return State(
        step=progress.pop("step"),
        model=load_file(place / "model.safetensors"),
        optimizer=torch.load(place / "optimizer.pt", weights_only=True, map_location="cpu"),
        progress=progress,
    )
