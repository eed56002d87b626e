"""The loader: batches in order, from any step on, with any number of workers."""

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
    """Anything that makes the batch of the plan's rows ``[start, stop)``."""

    def render(self, start: int, stop: int) -> Batch:
        """The batch of these rows."""
        ...


@dataclass(frozen=True)
class _Steps(Dataset[Batch | Exception]):
    """Batches by step number, for PyTorch's DataLoader."""

    renderer: Renderer
    batch_size: int
    rank: int
    ranks: int

    def batch(self, step: int) -> Batch:
        share = self.batch_size // self.ranks
        start = step * self.batch_size + self.rank * share
        return self.renderer.render(start, start + share)

    def __getitem__(self, step: int) -> Batch | Exception:
        """In a worker process errors are returned as values: a raised one would arrive with a traceback."""
        try:
            return self.batch(step)
        except UserError as error:
            return error
        except Exception as error:
            return UserError(
                f"step {step} could not be rendered ({type(error).__name__}: {error}); with workers: 0 the error is "
                "shown where it happens."
            )


def choose_num_workers(
    num_workers: int | None,
    device: torch.device,
    images: torch.device | None,
    *,
    sharing: int = 1,
    threads: int | None = None,
) -> int:
    """The number of loader workers.

    Args:
        num_workers: The user's number; None for the default: none for a model on the CPU, which uses the same cores,
            and several for one on a GPU, which would wait for this process.
        device: The model's device.
        images: Where decoded images are stored, None if each is decoded for every batch. Images on a GPU are rendered
            there, and images in RAM beside a model on the CPU are rendered in this process; both need no workers.
        sharing: Number of training processes that share this machine's cores.
        threads: CPU threads of this process; None for its share of all cores.
    """
    if images is not None and (device.type == "cpu" or images.type != "cpu"):
        return 0
    if num_workers is not None or device.type == "cpu":
        return num_workers or 0
    return max(1, min(MAX_WORKERS, (threads or cores() // sharing) - 1))


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
    number of workers nor a restart at any step changes the batches.

    Args:
        renderer: Makes a batch from a range of rows.
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
    # PyTorch's SIGCHLD handler raises the death of a worker wherever the program happens to be, for instance in the
    # middle of a training step. Waiting for a batch detects it too, and allows a clear message.
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    stop = batches._shutdown_workers  # pyright: ignore
    # An uncaught error keeps this generator alive until exit, which would then wait for the workers.
    atexit.register(stop)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    try:
        while (result := _next_batch(batches)) is not None:
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        # Not left to the iterator's finalizer, which runs late if a traceback refers to it.
        stop()
        atexit.unregister(stop)


def _ignore_signals(_: int) -> None:
    """Ignores SIGINT and SIGTERM in a worker: launchers and terminals send them to the whole process group."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _next_batch(batches: Iterator[Batch | Exception]) -> Batch | Exception | None:
    """The next batch, the error that came instead, or None after the last."""
    try:
        return next(batches, None)
    except Exception as error:
        why = str(error).splitlines()[0].rstrip(".")
        return UserError(
            f"a process that renders batches ahead has died ({why}); often memory or shared memory (/dev/shm) has "
            "run out: ask for fewer workers, or for workers: 0, which renders in this process."
        )
