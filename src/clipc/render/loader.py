"""The loader: yields batches in order, from any step on, with any number of workers."""

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

MAX_WORKERS: Final = 8
"""The largest default number of loader workers."""
_PREFETCH: Final = 4
"""Prefetched batches per worker."""


class Renderer(Protocol):
    """The interface of renderers that the loader uses."""

    def render(self, start: int, stop: int) -> Batch:
        """The batch of the plan's rows ``[start, stop)``."""
        ...


@dataclass(frozen=True)
class _Steps(Dataset[Batch | Exception]):
    """One rank's batches by step number, for PyTorch's DataLoader."""

    renderer: Renderer
    batch_size: int
    rank: int
    ranks: int

    def batch(self, step: int) -> Batch:
        rank_size = self.batch_size // self.ranks
        start = step * self.batch_size + self.rank * rank_size
        return self.renderer.render(start, start + rank_size)

    def __getitem__(self, step: int) -> Batch | Exception:
        """The batch, or the error if it fails: an error raised in a worker would arrive with a traceback."""
        try:
            return self.batch(step)
        except UserError as error:
            return error
        except Exception as error:
            return UserError(
                f"step {step} could not be rendered ({type(error).__name__}: {error}); set num_workers to 0 to "
                "see the error where it happens."
            )


def choose_num_workers(
    num_workers: int | None,
    device: torch.device,
    images: torch.device | None,
    *,
    processes: int = 1,
    threads: int | None = None,
) -> int:
    """The number of loader workers.

    Args:
        num_workers: The number that the user asks for. With None there are no workers for a model on the CPU, because
            it uses the same cores, and several for a model on a GPU, which would otherwise wait for this process.
        device: The model's device.
        images: The device on which decoded images are stored; None if images are decoded for every batch. Images on a
            GPU are rendered there, and images in RAM are rendered in this process if the model is on the CPU. Neither
            needs workers.
        processes: The number of training processes that share this machine's cores.
        threads: The number of CPU threads of this process; None for its share of all cores.

    Returns:
        The number of workers, 0 or more.
    """
    if images is not None and (device.type == "cpu" or images.type != "cpu"):
        return 0
    if num_workers is not None or device.type == "cpu":
        return num_workers or 0
    return max(1, min(MAX_WORKERS, (threads or cores() // processes) - 1))


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

    Global batch b is the plan's rows [b B, (b + 1) B), and each rank gets an equal slice of it. So the batches do not
    depend on the number of workers or on restarts.

    Args:
        renderer: The renderer that makes a batch from a range of rows.
        batch_size: The global batch size B, a multiple of ``ranks``.
        steps: The step numbers, in order.
        workers: Number of loader workers; 0 renders in this process.
        rank: This process's number among the ranks.
        ranks: The number of training processes.
        pin: Whether to copy batches to page-locked memory, for faster copies to a GPU.

    Raises:
        UserError: A loader worker was killed, or failed. With ``workers=0`` errors are raised unchanged.
    """
    dataset = _Steps(renderer, batch_size, rank, ranks)
    if workers:
        yield from _prefetched(dataset, steps, workers, pin)
        return
    for batch in map(dataset.batch, steps):
        yield batch.pin_memory() if pin else batch


def _prefetched(dataset: _Steps, steps: range, workers: int, pin: bool) -> Iterator[Batch]:
    """Batches from loader workers, each of which receives the renderer once and uses one thread."""
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=_PREFETCH,
        pin_memory=pin,
        worker_init_fn=_ignore_signals,
    )
    # PyTorch's SIGCHLD handler raises an error for a dead worker anywhere in the program, for instance in the middle of
    # a training step. Waiting for a batch detects a dead worker too, and allows a clear message.
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    stop = batches._shutdown_workers  # pyright: ignore
    # An uncaught error keeps this generator alive until the program exits, and exiting would wait for the workers.
    atexit.register(stop)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    try:
        while (result := _next_batch(batches)) is not None:
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        # The iterator's finalizer would stop the workers too, but late if a traceback refers to the iterator.
        stop()
        atexit.unregister(stop)


def _ignore_signals(_: int) -> None:
    """Ignores SIGINT and SIGTERM in a worker: launchers and terminals send them to the whole process group."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _next_batch(batches: Iterator[Batch | Exception]) -> Batch | Exception | None:
    """The next batch, an error, or None after the last batch."""
    try:
        return next(batches, None)
    except Exception as error:
        reason = str(error).splitlines()[0].rstrip(".")
        return UserError(
            f"a process that renders batches ahead has died ({reason}); often memory or shared memory (/dev/shm) has "
            "run out: ask for fewer workers, or set num_workers to 0 to render in this process."
        )
