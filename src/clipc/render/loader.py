"""The loader: batches in order, from any step on, by as many workers as one likes."""

import atexit
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from clipc.errors import UserError
from clipc.files import cores
from clipc.render.batch import Batch

MOST: Final = 8
"""How many processes render ahead where nobody said how many."""
_AHEAD: Final = 4
"""How many batches each process renders before they are asked for."""


class Renderer(Protocol):
    """Anything that makes the batch of the plan's rows ``[start, stop)``."""

    def render(self, start: int, stop: int) -> Batch:
        """The batch of these rows."""
        ...


@dataclass(frozen=True)
class _Steps(Dataset[Batch]):
    """Batches by step number, for PyTorch's DataLoader."""

    renderer: Renderer
    batch_size: int
    rank: int
    ranks: int

    def __getitem__(self, step: int) -> Batch:
        share = self.batch_size // self.ranks
        start = step * self.batch_size + self.rank * share
        return self.renderer.render(start, start + share)


@dataclass(frozen=True)
class _Caught(Dataset[Batch | Exception]):
    """The same in a worker process, where an error is handed on as a value: raised, it would come with a traceback."""

    batches: _Steps

    def __getitem__(self, step: int) -> Batch | Exception:
        try:
            return self.batches[step]
        except UserError as error:
            return error
        except Exception as error:
            return UserError(
                f"step {step} could not be rendered ({type(error).__name__}: {error}); with workers: 0 the error is "
                "shown where it happens."
            )


def choose_num_workers(
    wanted: int | None,
    device: torch.device,
    pictures: torch.device | None,
    *,
    sharing: int = 1,
    threads: int | None = None,
) -> int:
    """How many processes render ahead of a model.

    Args:
        wanted: What was asked for; None leaves it to what is known: on a CPU the model takes the same cores, while a
            GPU would wait for this process.
        device: Where the model is.
        pictures: Where decoded pictures are kept, None where each is decoded when it is shown. Kept on a GPU they are
            rendered there, and kept in memory beside a model on the CPU always in this process.
        sharing: How many training processes share this machine's cores.
        threads: The CPU threads that this process was given; None for its part of all cores.
    """
    if pictures is not None and (device.type == "cpu" or pictures.type != "cpu"):
        return 0
    if wanted is not None or device.type == "cpu":
        return wanted or 0
    return max(1, min(MOST, (threads or cores() // sharing) - 1))


def load(
    renderer: Renderer,
    batch_size: int,
    steps: range,
    *,
    workers: int = 0,
    rank: int = 0,
    ranks: int = 1,
    pin: bool = False,
) -> Iterator[Batch]:
    """Yields the batches of the given steps.

    Global batch b is the plan's rows [b B, (b + 1) B) and each rank gets its slice, so neither the
    number of workers nor a restart at any step changes what is shown.

    Args:
        renderer: Makes a batch from a range of rows.
        batch_size: The global batch size B, a multiple of ``ranks``.
        steps: The step numbers, in order.
        workers: Processes that render ahead; 0 renders in this one.
        rank: This process's number among the ranks.
        ranks: The number of training processes.
        pin: Whether to hand out page-locked memory, for faster copies to a GPU.

    Raises:
        UserError: A process that renders ahead was killed, or failed. With ``workers=0`` an error is raised as it is.
    """
    rendered = _Steps(renderer, batch_size, rank, ranks)
    if workers:
        yield from _ahead(_Caught(rendered), steps, workers, pin)
        return
    for step in steps:
        batch = rendered[step]
        yield batch.pin_memory() if pin else batch


def _ahead(caught: _Caught, steps: range, workers: int, pin: bool) -> Iterator[Batch]:
    """Batches from processes, each of which gets the renderer once and computes on one thread."""
    loader = DataLoader(
        caught,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=_AHEAD,
        pin_memory=pin,
        worker_init_fn=_deaf,
    )
    # PyTorch would have the death of a worker raised wherever the program happens to be, in the middle of a
    # training step for instance. The wait for a batch finds it out too, and only there it can be told well.
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    stop = batches._shutdown_workers  # pyright: ignore
    # An error that nobody catches keeps this generator alive to the end, where these processes would be waited for.
    atexit.register(stop)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    try:
        while (found := _awaited(batches)) is not None:
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        # Not left to the iterator's end, which comes late where a traceback holds on to it.
        stop()
        atexit.unregister(stop)


def _deaf(_: int) -> None:
    """Lets a process outlive what asks the run to stop: launchers and terminals tell all processes of a group."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _awaited(batches: Iterator[Batch | Exception]) -> Batch | Exception | None:
    """The next batch, the error that came instead, or None after the last."""
    try:
        return next(batches, None)
    except Exception as error:
        why = str(error).splitlines()[0].rstrip(".")
        return UserError(
            f"a process that renders batches ahead has died ({why}); often memory or shared memory (/dev/shm) has "
            "run out: ask for fewer workers, or for workers: 0, which renders in this process."
        )
