"""Where a run's numbers go beside ``metrics.jsonl``: TensorBoard, W&B, trackio."""

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

logger = logging.getLogger(__name__)

TrackerName = Literal["tensorboard", "wandb", "trackio"]
PROJECT: Final = "clipc"
_EXTRA: Final = {"tensorboard": "tensorboard", "wandb": "clipc[wandb]", "trackio": "clipc[trackio]"}


class Tracker(Protocol):
    """Something that takes a run's numbers."""

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Takes the numbers of a step; a dictionary below ``validation`` gives ``validation/mean_recall``.

        Args:
            values: Numbers, or dictionaries of numbers; anything else is passed over.
            step: The step they belong to, the same or a later one than last time.
        """
        ...

    def close(self) -> None:
        """Writes what is still to be written; nothing may be logged after it."""
        ...


def make_trackers(
    names: Sequence[TrackerName], folder: Path, name: str, config: dict[str, Any], resumed_at: int
) -> list[Tracker]:
    """The trackers of a run, none of which can end it.

    A tracker that fails while the run goes on (a lost network, a full disk) says so once and takes nothing more;
    ``metrics.jsonl`` has it all.

    Args:
        names: Which ones.
        folder: The run folder. TensorBoard's files lie in ``tensorboard/``; a service's id for the run is kept in
            ``tracking/``, so that a resumed run goes on under it.
        name: What the services call the run.
        config: The resolved recipe, for the services.
        resumed_at: The step that the run goes on from, 0 for a new one; what was told of later steps is void.

    Raises:
        UserError: A package is not installed, or a new run's service cannot be reached or entered.
    """
    starts: dict[str, Callable[[], Tracker]] = {
        "tensorboard": lambda: TensorBoard(folder / "tensorboard", resumed_at),
        "wandb": lambda: _start_wandb(folder, name, config),
        "trackio": lambda: _start_trackio(folder, name, config),
    }
    trackers: list[Tracker] = []
    for tracker in names:
        try:
            trackers.append(_Shielded(tracker, starts[tracker]()))
        except ImportError as error:
            raise UserError(
                f'{tracker} is not installed ({error}); pip install "{_EXTRA[tracker]}", or leave it out of track.'
            ) from error
        except Exception as error:
            # A new run has someone in front of it; one that goes on by itself at night has not.
            if resumed_at == 0:
                raise UserError(f"{tracker} cannot start: {_sentence(error)}; or leave it out of track.") from error
            _warn(tracker, error)
    return trackers


def numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested dictionaries, each with the path to it: ``validation/mean_recall``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and key != "step":
            yield prefix + key, float(value)


class TensorBoard:
    """Scalars in TensorBoard's event files.

    Its own ``SummaryWriter`` (and PyTorch's, which builds on it) imports all of TensorFlow where that is installed and
    writes in a thread, so that a full disk is noticed late. Scalars need neither.
    """

    def __init__(self, folder: Path, resumed_at: int) -> None:
        """Begins an event file.

        Args:
            folder: For the files; each start of a run adds one, and they are read in the order of their names.
            resumed_at: Steps after this one in earlier files are void.
        """
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        folder.mkdir(parents=True, exist_ok=True)
        before = len(list(folder.glob("events.out.tfevents.*")))
        file = (folder / f"events.out.tfevents.{before:010d}.{PROJECT}").open("xb")
        self._writer = RecordWriter(file)
        self._write(file_version="brain.Event:2")
        if before:
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
    """A run at W&B or trackio, whose run objects are alike."""

    def __init__(self, run: Any, finish: Callable[[], None], file: Path, told: int) -> None:
        """Continues a run.

        Args:
            run: Has ``log(values, step=...)``.
            finish: Ends it.
            file: Keeps the run's id, and the last step told.
            told: The last step told before this start, or -1.
        """
        self._run, self._finish, self._file, self._told = run, finish, file, told

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """See :class:`Tracker`; steps that a resumed run repeats were told before."""
        if step <= self._told:
            return
        self._run.log(dict(numbers(values)), step=step)
        known = json.loads(self._file.read_text("utf-8"))
        write_json(self._file, {**known, "step": step})

    def close(self) -> None:
        """See :class:`Tracker`."""
        with contextlib.redirect_stdout(sys.stderr):
            self._finish()


def _start_wandb(folder: Path, name: str, config: dict[str, Any]) -> Tracker:
    import wandb

    file, known = _known(folder, "wandb")
    online = os.environ.get("WANDB_MODE", "online") == "online"
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=known["id"],
        name=name,
        config=config,
        dir=folder,
        # Offline nothing can be looked up; the same id joins the parts when they are synchronised.
        resume="allow" if online else None,
        settings=wandb.Settings(console="off"),
    )
    return _Service(run, run.finish, file, known["step"])


def _start_trackio(folder: Path, name: str, config: dict[str, Any]) -> Tracker:
    # trackio prints to standard output, which belongs to the command's result.
    with contextlib.redirect_stdout(sys.stderr):
        import trackio

        file, known = _known(folder, "trackio")
        # It finds a run again by its name, which another folder's run may have too.
        run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=f"{name}-{known['id'][:6]}",
            config=config,
            resume="allow",
            embed=False,
        )
    # Its run's own finish() would be called a second time when Python ends.
    return _Service(run, trackio.finish, file, known["step"])


def _known(folder: Path, service: str) -> tuple[Path, dict[str, Any]]:
    """What a service knows of the run: its id and the last step told; made up for a new run."""
    file = folder / "tracking" / f"{service}.json"
    if not file.is_file():
        write_json(file, {"id": uuid.uuid4().hex[:12], "step": -1})
    return file, json.loads(file.read_text("utf-8"))


class _Shielded:
    """A tracker whose failure is told once and ends nothing."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        self._name = name
        self._tracker: Tracker | None = tracker

    def log(self, values: Mapping[str, Any], step: int) -> None:
        if self._tracker is not None:
            self._safely(lambda tracker: tracker.log(values, step))

    def close(self) -> None:
        if self._tracker is not None:
            self._safely(lambda tracker: tracker.close())
            self._tracker = None

    def _safely(self, act: Callable[[Tracker], None]) -> None:
        assert self._tracker is not None
        try:
            act(self._tracker)
        except Exception as error:
            self._tracker = None
            _warn(self._name, error)


def _warn(tracker: str, error: Exception) -> None:
    logger.warning("%s takes no more numbers of this run: %s; metrics.jsonl has all.", tracker, _sentence(error))


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
