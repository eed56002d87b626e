"""Checkpoints, written atomically."""

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

MAX_CHECKPOINTS: Final = 2
"""How many checkpoints stay on disk."""
_DAMAGED: Final = (
    *(ValueError, KeyError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError),
    *(FileNotFoundError, NotADirectoryError, IsADirectoryError),
)
"""Errors of json, safetensors and ``torch.load`` for a damaged or missing file."""


@dataclass(frozen=True)
class State:
    """The state from which a run resumes; random streams need none, because they depend on the step's number alone.

    Attributes:
        step: The number of steps done.
        model: The model's ``state_dict``.
        optimizer: The optimizer's ``state_dict``.
        progress: Further state of the loop, as JSON values.
    """

    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    progress: dict[str, Any]


def save_checkpoint(folder: Path, state: State) -> None:
    """Writes ``folder/step-N`` atomically, then removes the oldest checkpoints beyond :data:`MAX_CHECKPOINTS`.

    Raises:
        UserError: The disk is full or cannot be written; earlier checkpoints are untouched.
    """
    advice = "make room and start the same command again: it goes on from the last good one"
    with whole_folder(folder / f"step-{state.step}", advice) as new:
        save_file({k: v.detach().cpu().contiguous() for k, v in state.model.items()}, new / "model.safetensors")
        torch.save(state.optimizer, new / "optimizer.pt")
        (new / "progress.json").write_text(json.dumps({"step": state.step, **state.progress}), "utf-8")
    for step in checkpoint_steps(folder)[:-MAX_CHECKPOINTS]:
        old = folder / f".step-{step}.partial"  # A partly removed one must not look complete.
        with suppress(OSError):
            (folder / f"step-{step}").rename(old)
        shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path) -> State | None:
    """The newest checkpoint that can be read, or None if there are no checkpoints.

    Nothing in a checkpoint is executed: tensors are read by safetensors and by ``torch.load`` with ``weights_only``.

    Args:
        folder: The run's folder of checkpoints.

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
        for newer, reason in damaged.items():
            logger.warning(
                "the checkpoint of step %s in %s is damaged (%s); the run goes on from the older one of step %s.",
                *(f"{newer:,}", folder, reason, f"{step:,}"),
            )
        return state
    if damaged:
        step, reason = next(iter(damaged.items()))
        raise UserError(
            f"no checkpoint in {folder} can be read (step {step}: {reason}); "
            "remove that folder, and the same command begins the run anew."
        )
    return None


def clean_checkpoints(folder: Path, step: int) -> None:
    """Removes partial checkpoints, and renames damaged ones: those later than the one that was loaded.

    Args:
        folder: The run's folder of checkpoints.
        step: The step of the checkpoint that was loaded.
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
    steps = (path.name.removeprefix("step-") for path in folder.glob("step-*"))
    return sorted(int(step) for step in steps if step.isdigit())


def _load(checkpoint: Path) -> State:
    progress = json.loads((checkpoint / "progress.json").read_text("utf-8"))
    if not isinstance(progress, dict):
        raise ValueError("progress.json holds no table")
    return State(
        step=progress.pop("step"),
        model=load_file(checkpoint / "model.safetensors"),
        optimizer=torch.load(checkpoint / "optimizer.pt", weights_only=True, map_location="cpu"),
        progress=progress,
    )
