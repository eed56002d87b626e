"""A trial's figures as one small JSON file: all that tables need, so that a study goes on without its models."""

import base64
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.errors import UserError
from clipc.recipe.run import Run
from clipc.study.results import Outcome
from clipc.study.trials import Measuring, Trial
from clipc.train.loop import Diverged

POINTS: Final = 40
"""How many points of a loss curve are kept."""

_SUMMARY: Final = (
    *("steps", "samples", "epochs", "parameters", "image_size", "best", "composite_share", "pairs_per_second"),
    *("core_seconds", "validation_core_seconds", "treated", "shortened", "unreadable", "wise_ft", "forgetting"),
)
_CONTEXT: Final = ("split", "images", "captions", "distinct_captions", "chance", "not_measured")


def write_record(trial: Trial, measuring: Measuring, file: Path) -> None:
    """Writes the figures of a finished trial, whole: under a temporary name, then renamed.

    Captions and class names stay out of it.

    Raises:
        UserError: The trial is not finished.
    """
    outcome, run = Outcome.read(trial), Run(trial.folder)
    columns = outcome.context.get("columns", {})
    swaps = outcome.context.get("swaps")
    losses = [[r["step"], r["loss"]] for r in outcome.records if "loss" in r]
    value = {
        "trial": trial.folder.name,
        "recipe": trial.recipe.model_dump(mode="json", exclude={"data"}),
        "data": run.read_json("data.json"),
        "measuring": measuring.as_json(),
        "machine": outcome.machine,
        "summary": {name: outcome.summary[name] for name in _SUMMARY if name in outcome.summary},
        "metrics": outcome.metrics,
        "last_metrics": outcome.last_metrics,
        "context": {
            **{name: outcome.context[name] for name in _CONTEXT if name in outcome.context},
            "columns": {name: {k: v for k, v in c.items() if k != "classes"} for name, c in columns.items()},
            **({"swaps": {k: v for k, v in swaps.items() if k != "examples"}} if swaps else {}),
        },
        "evaluation_core_seconds": outcome.evaluation_core_seconds,
        "loss": losses[:: max(1, -(-len(losses) // POINTS))],
        "validation": [[r["step"], r["validation"]["mean_recall"]] for r in outcome.records if "validation" in r],
        "items": {name: _packed(values) for name, values in outcome.items.items() if _needed(name, outcome.metrics)},
    }
    _write(value, file)


def write_diverged(trial: Trial, measuring: Measuring, file: Path, error: Diverged) -> None:
    """Writes, in place of figures, at which step the loss of a trial stopped being a number.

    The same recipe would come to the same end, so that a study goes on without the trial.
    """
    run = Run(trial.folder)
    value = {
        "trial": trial.folder.name,
        "recipe": trial.recipe.model_dump(mode="json", exclude={"data"}),
        "data": run.read_json("data.json"),
        "measuring": measuring.as_json(),
        "machine": run.read_json("environment.json") or {},
        "diverged": {"step": error.step},
    }
    _write(value, file)


def read_diverged(measuring: Measuring, file: Path) -> int | None:
    """The step at which a trial's loss stopped being a number; None where it did not, or nothing is known yet.

    Raises:
        UserError: The file is no record.
    """
    value = _read(measuring, file)
    return None if value is None or "diverged" not in value else int(value["diverged"]["step"])


def read_record(trial: Trial, measuring: Measuring, file: Path) -> Outcome | None:
    """The figures of a trial; None where it diverged, there are none yet, or they were measured in another way.

    Raises:
        UserError: The file is no record.
    """
    value = _read(measuring, file)
    if value is None or "diverged" in value:
        return None
    try:
        return Outcome(
            trial=trial,
            summary=value["summary"],
            metrics=value["metrics"],
            last_metrics=value["last_metrics"],
            context=value["context"],
            items={name: _unpacked(packed) for name, packed in value["items"].items()},
            records=[
                *({"step": step, "loss": loss} for step, loss in value["loss"]),
                *({"step": step, "validation": {"mean_recall": found}} for step, found in value["validation"]),
            ],
            evaluation_core_seconds=value["evaluation_core_seconds"],
            machine=value["machine"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise _no_record(file, error) from error


def _write(value: Mapping[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.partial")
    temporary.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    temporary.replace(file)


def _read(measuring: Measuring, file: Path) -> dict[str, Any] | None:
    """What a record says, if there is one and it was measured in this way."""
    if not file.is_file():
        return None
    try:
        value = json.loads(file.read_text("utf-8"))
        return value if value["measuring"] == measuring.as_json() else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_record(file, error) from error


def _no_record(file: Path, error: Exception) -> UserError:
    return UserError(f"{file} is no record of a trial ({error}); remove it, and the trial is run again.")


def _needed(name: str, metrics: Mapping[str, float]) -> bool:
    """Owners group captions by image; of the rest, what is the mean of its items. Medians have no items to mean."""
    return name.endswith("/owner") or (name in metrics and not name.endswith("mean_per_class"))


def _packed(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Numbers as text: shares as ``float16`` (0 and 1 exactly, others to 0.0005), whole numbers as ``int32``."""
    kind = "<i4" if np.issubdtype(values.dtype, np.integer) else "<f2"
    data = zlib.compress(values.astype(kind).tobytes(), 9)
    return {"kind": kind, "zlib": base64.b64encode(data).decode("ascii")}


def _unpacked(packed: Mapping[str, str]) -> npt.NDArray[Any]:
    kind = {"<i4": np.int32, "<f2": np.float16}[packed["kind"]]
    found = np.frombuffer(zlib.decompress(base64.b64decode(packed["zlib"])), dtype=np.dtype(kind).newbyteorder("<"))
    return found.astype(np.int64 if kind is np.int32 else np.float64)
