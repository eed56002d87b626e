"""Records: the metrics of each trial as a small JSON file, from which all tables of a study are made."""

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from clipc.checksums import sealed, unsealed
from clipc.errors import UserError
from clipc.evaluate.measurement import dump_measurements, load_measurements
from clipc.files import write_text
from clipc.json_files import load_object
from clipc.limits import OWN_BYTES
from clipc.recipe.run import Run
from clipc.recipe.run_files import DataFacts, Environment, Finished
from clipc.study.results import Outcome
from clipc.study.trials import EvaluationOptions, Trial
from clipc.train.diverged import Diverged

POINTS: Final = 40
"""The largest number of points of a loss curve that a record stores."""

_SUMMARY_KEYS: Final = (
    *("steps", "samples", "epochs", "parameters", "image_size", "best", "composite_share", "pairs_per_second"),
    *("core_seconds", "validation_core_seconds", "scores_core_seconds", "treated", "shortened", "unreadable"),
    *("wise_ft", "forgetting"),
)
_CONTEXT_KEYS: Final = ("split", "images", "captions", "distinct_captions", "not_measured")
"""The keys of the context that are stored besides ``columns`` and ``swaps``; other keys may hold captions."""

_ADVICE: Final = "remove it to run the trial again"


class _Diverged(BaseModel):
    step: int


class Record(BaseModel):
    """The schema of a record: metrics, or the step at which the trial diverged; more keys are for readers."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    measuring: dict[str, Any]
    diverged: _Diverged | None = None
    summary: Finished = Finished()
    metrics: dict[str, float] = {}
    descriptions: dict[str, dict[str, Any]] = {}
    last_metrics: dict[str, float] = {}
    context: dict[str, Any] = {}
    evaluation_core_seconds: float = Field(default=0.0, ge=0)
    loss: list[list[float]] = []
    validation: list[list[float]] = []
    items: dict[str, dict[str, str]] = {}
    machine: Environment = Environment()
    data: DataFacts | None = None


def write_record(trial: Trial, evaluation: EvaluationOptions, file: Path) -> None:
    """Writes the metrics of a finished trial; the file holds no captions and no class names.

    Raises:
        UserError: The trial is not finished, or the file cannot be written.
    """
    outcome = Outcome.read(trial)
    columns = outcome.context.get("columns", {})
    swaps = outcome.context.get("swaps")
    descriptions, arrays = dump_measurements(outcome.measurements)
    losses = [[r["step"], r["loss"]] for r in outcome.records if "loss" in r]
    content = {
        "summary": {name: outcome.summary[name] for name in _SUMMARY_KEYS if name in outcome.summary},
        "metrics": outcome.metrics,
        "descriptions": descriptions,
        "last_metrics": outcome.last_metrics,
        "context": {
            **{name: outcome.context[name] for name in _CONTEXT_KEYS if name in outcome.context},
            "columns": {name: {k: v for k, v in c.items() if k != "classes"} for name, c in columns.items()},
            **({"swaps": {k: v for k, v in swaps.items() if k != "examples"}} if swaps else {}),
        },
        "evaluation_core_seconds": outcome.evaluation_core_seconds,
        "loss": losses[:: max(1, -(-len(losses) // POINTS))],
        "validation": [[r["step"], r["validation"]["mean_recall"]] for r in outcome.records if "validation" in r],
        "items": {name: _encode(values) for name, values in arrays.items()},
    }
    _write(trial, evaluation, file, content)


def write_diverged(trial: Trial, evaluation: EvaluationOptions, file: Path, error: Diverged) -> None:
    """Writes a record with the step at which a trial's loss or weights became non-finite, in place of metrics.

    Training is deterministic, so the same recipe would diverge again; the study goes on without the trial.
    """
    _write(trial, evaluation, file, {"diverged": {"step": error.step}})


def read_diverged(evaluation: EvaluationOptions, file: Path) -> int | None:
    """The step at which a trial's loss or weights became non-finite; None if they did not, or without such a record.

    Raises:
        UserError: The file is not a valid record.
    """
    value = _read(evaluation, file)
    return None if value is None or "diverged" not in value else int(value["diverged"]["step"])


def read_record(trial: Trial, evaluation: EvaluationOptions, file: Path) -> Outcome | None:
    """The metrics of a trial; None where it diverged, has no record, or was evaluated with other options.

    Raises:
        UserError: The file is not a valid record.
    """
    value = _read(evaluation, file)
    if value is None or "diverged" in value:
        return None
    try:
        arrays = {name: _decode(encoded) for name, encoded in value["items"].items()}
        measurements = load_measurements(value["metrics"], value["descriptions"], arrays)
        records: list[dict[str, Any]] = [{"step": step, "loss": loss} for step, loss in value["loss"]]
        records += [{"step": step, "validation": {"mean_recall": recall}} for step, recall in value["validation"]]
        seconds, machine = value["evaluation_core_seconds"], value["machine"]
        last_metrics, context = value["last_metrics"], value["context"]
        return Outcome(trial, value["summary"], measurements, last_metrics, context, records, seconds, machine)
    except (UserError, ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise _invalid_record(file, error) from error


def _write(trial: Trial, evaluation: EvaluationOptions, file: Path, content: Mapping[str, Any]) -> None:
    run = Run(trial.folder)
    value = {
        "trial": trial.folder.name,
        "recipe": trial.recipe.model_dump(mode="json", exclude={"data"}),
        "data": run.read_json("data.json"),
        "measuring": evaluation.as_json(),
        "machine": run.read_json("environment.json") or {},
        **content,
    }
    write_text(file, json.dumps(sealed(value), ensure_ascii=False, separators=(",", ":")) + "\n")


def _read(evaluation: EvaluationOptions, file: Path) -> dict[str, Any] | None:
    """The content of a record; None where there is no file, or the evaluation had other options."""
    if not file.is_file():
        return None
    try:
        value = unsealed(load_object(file, Record))
    except (OSError, ValueError) as error:
        raise _invalid_record(file, error) from error
    return value if value["measuring"] == evaluation.as_json() else None


def _invalid_record(file: Path, error: Exception) -> UserError:
    return UserError(f"{file} is not a valid record of a trial ({error}); {_ADVICE}.")


def _encode(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Numbers as compressed text; values up to 2 become ``float16`` (to 0.0005), small integers ``int32``."""
    largest = float(np.abs(values).max(initial=0))
    if np.issubdtype(values.dtype, np.integer):
        kind = "<i4" if largest < 2**31 else "<i8"
    else:
        kind = "<f2" if largest <= 2 else "<f4"
    data = zlib.compress(values.astype(kind).tobytes(), 9)
    return {"kind": kind, "zlib": base64.b64encode(data).decode("ascii")}


def _decode(encoded: Mapping[str, str]) -> npt.NDArray[Any]:
    dtype = {"<i4": np.int64, "<i8": np.int64, "<f2": np.float64, "<f4": np.float64}[encoded["kind"]]
    data = zlib.decompressobj().decompress(base64.b64decode(encoded["zlib"]), OWN_BYTES)
    return np.frombuffer(data, dtype=encoded["kind"]).astype(dtype)
