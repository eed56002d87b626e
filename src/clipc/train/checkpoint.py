"""Checkpoints, written atomically."""

import json
import logging
import pickle
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from clipc.checksums import DamageError, check_files, write_checksums
from clipc.errors import UserError, first_line
from clipc.files import whole_folder
from clipc.json_files import load_object
from clipc.train.validation import SELECTION_METRIC

logger = logging.getLogger(__name__)

MAX_CHECKPOINTS: Final = 2
"""The number of checkpoints kept on disk."""
_DAMAGE_ERRORS: Final = (
    *(ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, SafetensorError),
    *(pickle.UnpicklingError, FileNotFoundError, NotADirectoryError, IsADirectoryError),
)
"""Errors that readers raise for a damaged or missing file, and PyTorch for the state of another model."""


class Progress(BaseModel):
    """The schema of ``progress.json``: the step, and the further state of the loop."""

    model_config = ConfigDict(extra="allow")

    step: int = Field(ge=1)
    run: str | None = None
    precision: str | None = None
    best: dict[str, int | float] | None = None

    @field_validator("best")
    @classmethod
    def _check_best(cls, best: dict[str, int | float] | None) -> dict[str, int | float] | None:
        if best is not None and not best.keys() >= {"step", SELECTION_METRIC}:
            raise ValueError(f"holds no step or no {SELECTION_METRIC}")
        return best


@dataclass(frozen=True)
class State:
    """The state from which a run resumes.

    Random streams need no state, because they depend only on the seed and the number of the step.

    Attributes:
        step: The number of steps done.
        model: The model's ``state_dict``.
        optimizer: The optimizer's ``state_dict``.
        loop_state: Further state of the loop, as JSON values.
        average: The averaged weights by name; empty without an average.
    """

    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    loop_state: dict[str, Any]
    average: dict[str, torch.Tensor] = field(default_factory=dict)


def save_checkpoint(folder: Path, state: State) -> None:
    """Writes ``folder/step-N`` atomically, then removes the oldest checkpoints beyond :data:`MAX_CHECKPOINTS`.

    Raises:
        UserError: The disk is full or cannot be written; earlier checkpoints are unchanged.
    """
    advice = "free some space and start the same command again: it resumes from the last complete checkpoint"
    with whole_folder(folder / f"step-{state.step}", advice) as new:
        save_file({k: v.detach().cpu().contiguous() for k, v in state.model.items()}, new / "model.safetensors")
        if state.average:
            save_file({k: v.cpu().contiguous() for k, v in state.average.items()}, new / "average.safetensors")
        torch.save(state.optimizer, new / "optimizer.pt")
        (new / "progress.json").write_text(json.dumps({"step": state.step, **state.loop_state}), "utf-8")
        write_checksums(new)
    for step in checkpoint_steps(folder)[:-MAX_CHECKPOINTS]:
        partial = folder / f".step-{step}.partial"  # A partly removed checkpoint must not look complete.
        with suppress(OSError):
            (folder / f"step-{step}").rename(partial)
        shutil.rmtree(partial, ignore_errors=True)


def load_checkpoint(folder: Path, restore: Callable[[State], None] = lambda state: None) -> State | None:
    """Reads the newest checkpoint that is not damaged; None if there are no checkpoints.

    A checkpoint is damaged if a part of it is not what was written, as its checksums say, or belongs to another step.
    Nothing in a checkpoint is executed: tensors are read by safetensors and by ``torch.load`` with ``weights_only``.

    Args:
        folder: The run's folder of checkpoints.
        restore: Puts a state in place. Where it fails, the checkpoint is not one of this run, and counts as damaged.

    Raises:
        UserError: All checkpoints are damaged, or the disk fails.
    """
    damaged: dict[int, str] = {}
    for step in reversed(checkpoint_steps(folder)):
        try:
            state = _load(folder / f"step-{step}", step)
            restore(state)
        except _DAMAGE_ERRORS as error:
            damaged[step] = first_line(error)
            continue
        except OSError as error:
            raise UserError(
                f"the checkpoint of step {step} in {folder} cannot be read ({error}), but may be intact; check the "
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
            "remove that folder and start the same command again: the run starts from the beginning."
        )
    return None


def check_state(state: State, weights: Mapping[str, torch.Tensor], moment: Mapping[str, str]) -> None:
    """Checks that a state belongs to a run.

    Args:
        state: The state of a checkpoint.
        weights: The ``state_dict`` of the run's model, for its names, shapes and types.
        moment: What the run's checkpoints hold under the same names in ``loop_state``, such as its identity; those of
            earlier versions do not.

    Raises:
        DamageError: It belongs to another run or model.
    """
    for what, own in moment.items():
        if state.loop_state.get(what, own) != own:
            raise DamageError(f"its {what} is {state.loop_state[what]}, that of this run {own}")
    if _form(state.model) != _form(weights):
        raise DamageError("its weights are those of another model")


def _form(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def clean_checkpoints(folder: Path, step: int) -> None:
    """Removes partial checkpoints and sets damaged ones aside, which are those after the loaded one.

    Args:
        folder: The run's folder of checkpoints.
        step: The step of the loaded checkpoint; 0 if there was none.
    """
    for partial in folder.glob(".step-*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
    for later in checkpoint_steps(folder):
        if later > step:
            damaged = folder / f".step-{later}.damaged"
            shutil.rmtree(damaged, ignore_errors=True)
            with suppress(OSError):
                (folder / f"step-{later}").rename(damaged)


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps of the complete checkpoints in a folder, ascending."""
    steps = (path.name.removeprefix("step-") for path in folder.glob("step-*"))
    return sorted(int(step) for step in steps if step.isdigit())


def _load(checkpoint: Path, step: int) -> State:
    if not check_files(checkpoint):
        logger.warning("%s has no checksums, as those of earlier versions; its weights cannot be checked.", checkpoint)
    try:
        progress = load_object(checkpoint / "progress.json", Progress)
    except ValueError as error:
        raise DamageError(f"progress.json: {error}") from None
    if (own := progress.pop("step")) != step:
        raise DamageError(f"its progress.json is that of step {own:,}")
    average = checkpoint / "average.safetensors"
    return State(
        average=load_file(average) if average.is_file() else {},
        step=step,
        model=load_file(checkpoint / "model.safetensors"),
        optimizer=torch.load(checkpoint / "optimizer.pt", weights_only=True, map_location="cpu"),
        loop_state=progress,
    )
