"""Experiment trackers that receive a run's metrics beside ``metrics.jsonl``: TensorBoard, W&B, trackio."""

import contextlib
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from clipc.errors import UserError
from clipc.files import write_json
from clipc.installation import install_command, pip_install

logger = logging.getLogger(__name__)

TrackerName = Literal["tensorboard", "wandb", "trackio"]
PROJECT: Final = "clipc"


class Tracker(Protocol):
    """Receives the metrics of a run."""

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Logs the metrics of a step; keys of nested dictionaries are joined, as in ``validation/mean_recall``.

        Args:
            values: Numbers, or dictionaries of numbers; other values are ignored.
            step: The number of steps done, never smaller than in the last call.
        """
        ...

    def close(self) -> None:
        """Writes what is buffered; nothing may be logged afterwards."""
        ...


def make_trackers(
    names: Sequence[TrackerName], folder: Path, name: str, config: dict[str, Any], resumed_at: int
) -> list[Tracker]:
    """Starts the trackers of a run.

    No tracker can stop the run: if one fails (a lost network, a full disk), a warning is logged once and the tracker
    receives no more metrics. ``metrics.jsonl`` stays complete.

    Args:
        names: The names of the trackers.
        folder: The run folder. TensorBoard's files are in ``tensorboard/``. ``tracking/`` stores the id that a service
            (W&B or trackio) knows the run by, so that a resumed run keeps its id.
        name: The name of the run, for the services.
        config: The resolved recipe, for the services.
        resumed_at: The step from which the run resumes, 0 for a new run. What was logged for later steps is replaced.

    Raises:
        UserError: A package is not installed, or the service of a new run cannot be reached.
    """
    starters: dict[str, Callable[[], Tracker]] = {
        "tensorboard": lambda: TensorBoard(folder / "tensorboard", resumed_at),
        "wandb": lambda: _start_wandb(folder, name, config),
        "trackio": lambda: _start_trackio(folder, name, config),
    }
    trackers: list[Tracker] = []
    for tracker in names:
        try:
            trackers.append(_SafeTracker(tracker, starters[tracker]()))
        except ImportError as error:
            install = pip_install(tracker) if tracker == "tensorboard" else install_command(tracker)
            raise UserError(f"{tracker} is not installed ({error}): {install}; or leave it out of track.") from error
        except Exception as error:
            # A user watches the start of a new run and can react; a run that resumes by itself must not end here.
            if resumed_at == 0:
                raise UserError(
                    f"{tracker} cannot start: {_sentence(error)}; fix this or leave it out of track."
                ) from error
            _warn(tracker, error)
    return trackers


def numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Names and values of all numbers in nested dictionaries; names are joined, as in ``validation/mean_recall``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and key != "step":
            yield prefix + key, float(value)


class TensorBoard:
    """Scalars in TensorBoard's event files.

    PyTorch's ``SummaryWriter`` imports TensorFlow if it is installed, and writes in a thread, so that a full disk is
    noticed late. Scalars need neither TensorFlow nor a thread.
    """

    def __init__(self, folder: Path, resumed_at: int) -> None:
        """Opens a new event file.

        Args:
            folder: The folder of event files. Each start of a run adds a file; they are read in the order of names.
            resumed_at: TensorBoard ignores later steps in earlier files.
        """
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        folder.mkdir(parents=True, exist_ok=True)
        file_count = len(list(folder.glob("events.out.tfevents.*")))
        file = (folder / f"events.out.tfevents.{file_count:010d}.{PROJECT}").open("xb")
        self._writer = RecordWriter(file)
        self._write(file_version="brain.Event:2")
        if file_count:
            self._write(step=resumed_at + 1, session_log=SessionLog(status=SessionLog.START))

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """See :class:`Tracker`."""
        scalars = [self._summary.Value(tag=tag, simple_value=value) for tag, value in numbers(values)]
        if scalars:
            self._write(step=step, summary=self._summary(value=scalars))

    def close(self) -> None:
        """See :class:`Tracker`."""
        self._writer.close()

    def _write(self, **fields: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())
        self._writer.flush()


class _Service:
    """A tracker for a run at W&B or trackio, whose run objects have the same interface."""

    def __init__(self, run: Any, finish: Callable[[], None], file: Path, last_step: int) -> None:
        """Wraps a run that was started or resumed.

        Args:
            run: The service's run object, with the method ``log(values, step=...)``.
            finish: A function that ends the run.
            file: The JSON file that stores the run's id and the last step logged.
            last_step: The last step logged before this start, or -1.
        """
        self._run, self._finish, self._file, self._last_step = run, finish, file, last_step

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """See :class:`Tracker`. Steps that a resumed run repeats are skipped, because they were logged before."""
        if step <= self._last_step:
            return
        self._run.log(dict(numbers(values)), step=step)
        state = json.loads(self._file.read_text("utf-8"))
        write_json(self._file, {**state, "step": step})

    def close(self) -> None:
        """See :class:`Tracker`."""
        with contextlib.redirect_stdout(sys.stderr):
            self._finish()


def _start_wandb(folder: Path, name: str, config: dict[str, Any]) -> Tracker:
    import wandb

    file, state = _service_state(folder, "wandb")
    online = os.environ.get("WANDB_MODE", "online") == "online"
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=state["id"],
        name=name,
        config=config,
        dir=folder,
        # Offline there is no server to ask for the run; its parts are joined by their id when they are synchronised.
        resume="allow" if online else None,
        settings=wandb.Settings(console="off"),
    )
    return _Service(run, run.finish, file, state["step"])


def _start_trackio(folder: Path, name: str, config: dict[str, Any]) -> Tracker:
    # trackio prints to standard output, which is reserved for the command's result.
    with contextlib.redirect_stdout(sys.stderr):
        import trackio

        file, state = _service_state(folder, "trackio")
        # trackio identifies a run by its name, so a part of the id keeps runs of one name in other folders apart.
        run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=f"{name}-{state['id'][:6]}",
            config=config,
            resume="allow",
            embed=False,
        )
    # `run.finish` would not do: trackio calls it again at exit.
    return _Service(run, trackio.finish, file, state["step"])


def _service_state(folder: Path, service: str) -> tuple[Path, dict[str, Any]]:
    """The path and content of the file with the run's id and the last step logged; created for a new run."""
    file = folder / "tracking" / f"{service}.json"
    if not file.is_file():
        write_json(file, {"id": uuid.uuid4().hex[:12], "step": -1})
    return file, json.loads(file.read_text("utf-8"))


class _SafeTracker:
    """Wraps a tracker; its first failure is logged as a warning and disables it."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        self._name = name
        self._tracker: Tracker | None = tracker

    def log(self, values: Mapping[str, Any], step: int) -> None:
        self._try(lambda tracker: tracker.log(values, step))

    def close(self) -> None:
        self._try(lambda tracker: tracker.close())
        self._tracker = None

    def _try(self, call: Callable[[Tracker], None]) -> None:
        try:
            if self._tracker is not None:
                call(self._tracker)
        except Exception as error:
            self._tracker = None
            _warn(self._name, error)


def _warn(tracker: str, error: Exception) -> None:
    logger.warning("%s receives no more metrics of this run: %s; metrics.jsonl has all.", tracker, _sentence(error))


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
