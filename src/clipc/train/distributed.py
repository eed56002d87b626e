"""The processes of a distributed job: how they join it, exchange small values and end together.

Every process of a job runs the same command. Each process encodes its share of the batch and contrasts it with the
features of all processes; gradients are averaged (``train/parallel.py``). Only rank 0 writes checkpoints, logs and the
model.
"""

import atexit
import json
import os
import re
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeVar

import torch
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from clipc.errors import UserError
from clipc.models.device import choose_device
from clipc.train.launcher import LaunchInfo, read_launch_info

TIMEOUT: Final = timedelta(minutes=30)
"""Timeout of collective operations on features and gradients."""
CONTROL_TIMEOUT: Final = timedelta(days=1)
"""Timeout of the methods of :class:`World`. It is long because the others may wait for hours while rank 0 indexes a
large data set or evaluates a large model. A process that ends is noticed at once, without this timeout."""
DESTROY_SECONDS: Final = 5
"""Seconds that a process waits for its process group to be destroyed."""
EXIT_SECONDS: Final = 15
"""Seconds that the interpreter of a failed process may take to exit."""

T = TypeVar("T")


class ProcessLost(UserError):
    """Another process of the job ended or cannot be reached, so a collective operation failed."""


@dataclass(frozen=True)
class World:
    """The processes of a job, and the rank of this one.

    All methods are collective: every process must call them, in the same order. In a single process they do nothing
    and ``torch.distributed`` is not used. Values are exchanged on the CPU, so that no GPU has to synchronise.

    Attributes:
        rank: The rank of this process, in [0, size).
        size: The number of processes.
        local_rank: The rank among the processes of this machine; the index of its GPU.
        local_size: The number of processes on this machine.
        group: The process group that the methods use; None for the default group.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    group: dist.ProcessGroup | None = field(default=None, compare=False, repr=False)

    @property
    def main(self) -> bool:
        """Whether this is rank 0, the process that writes and prints."""
        return self.rank == 0

    def barrier(self) -> None:
        """Waits until every process has called this method."""
        self.sum([])

    @contextmanager
    def main_first(self) -> Generator[None]:
        """Runs the block in rank 0 first, so that the other processes find its results in the cache."""
        if not self.main:
            self.barrier()
        yield
        if self.main:
            self.barrier()

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in at least one process; all processes get the same answer."""
        return self.sum([float(flag)])[0] > 0

    def sum(self, values: list[float]) -> list[float]:
        """The element-wise sums over all processes, in double precision; all processes get the same sums."""
        if self.size == 1:
            return list(values)
        total = torch.tensor([*values, 0.0], dtype=torch.float64)
        dist.all_reduce(total, group=self.group)
        return total.tolist()[:-1]

    def broadcast(self, value: T) -> T:
        """The value of rank 0.

        Args:
            value: A small value that JSON can hold (tuples become lists); ignored on other ranks.
        """
        if self.size == 1:
            return value
        message = json.dumps(value).encode() if self.main else b""
        length = torch.tensor([len(message)])
        dist.broadcast(length, src=0, group=self.group)
        content = torch.tensor(list(message.ljust(int(length))), dtype=torch.uint8)
        dist.broadcast(content, src=0, group=self.group)
        return json.loads(bytes(content.tolist()))


@contextmanager
def process_group(device: str = "auto") -> Generator[World]:
    """Joins the process group of the job that this process belongs to, and leaves it at the end of the block.

    A job is started by ``torchrun``, or by ``srun`` with more than one task; any other process gets ``World()``. On
    CUDA each process uses the GPU of its local rank; CUDA tensors are exchanged by NCCL, others by gloo.

    The end of the block waits for all processes. If one process ends early, the collective operations of the others
    fail at once, and the block raises :class:`ProcessLost`.

    Args:
        device: As in a recipe: ``auto``, ``cpu`` or ``cuda``.

    Yields:
        The processes of the job.

    Raises:
        UserError: The environment is incomplete, the machine has fewer GPUs than processes, or the processes cannot
            reach each other.
        ProcessLost: Another process ended within the block.
    """
    info = read_launch_info(os.environ)
    if info is None:
        yield World()
        return
    world = World(info.rank, info.size, info.local_rank, info.local_size, _init_process_group(info, device))
    try:
        yield world
        world.barrier()
    except BaseException as error:
        # A backend's destructors may wait for dead processes, so the interpreter gets a time limit to exit.
        if hasattr(signal, "alarm"):
            atexit.register(signal.alarm, EXIT_SECONDS)
        by_gloo = isinstance(error, RuntimeError) and ("gloo" in str(error) or "by peer" in str(error))
        if not by_gloo and not isinstance(error, dist.DistError):
            raise
        raise ProcessLost(
            "another process of this job ended or stopped responding "
            f"(this is rank {world.rank} of {world.size}: {_first_sentence(error)}); "
            "the job stops; the same command resumes from its last checkpoint."
        ) from error
    finally:
        destroyer = threading.Thread(target=_destroy_process_group, daemon=True)
        destroyer.start()
        destroyer.join(DESTROY_SECONDS)


def local_batch_size(batch_size: int, world: World) -> int:
    """The number of examples of each batch that one process encodes.

    Raises:
        UserError: The batch cannot be divided evenly; the message names the nearest sizes that can.
    """
    if batch_size % world.size == 0:
        return batch_size // world.size
    below = batch_size - batch_size % world.size
    sizes = " or ".join(f"batch_size={size}" for size in (below, below + world.size) if size > 0)
    raise UserError(f"batch_size={batch_size} cannot be divided among {world.size} processes; set {sizes}.")


def _init_process_group(info: LaunchInfo, device: str) -> dist.ProcessGroup:
    """Joins the default process group; returns a second group for the methods of :class:`World`."""
    kind = choose_device(device).type
    if kind == "mps":
        raise UserError("several processes cannot train on mps; set device=cpu, or start one process.")
    if kind == "cuda":
        count = torch.cuda.device_count()
        index = 0 if info.own_gpu and count == 1 else info.local_rank
        if index >= count:
            raise UserError(
                f"process {index + 1} of this machine has no GPU of its own, because there are only {count}; "
                f"start {count} processes here (torchrun --nproc-per-node {count}), or set device=cpu."
            )
        torch.cuda.set_device(index)
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" and dist.is_nccl_available() else "gloo"
    try:
        store = next(rendezvous(info.init_method, info.rank, info.size, timeout=TIMEOUT))[0]
        # A torchrun that restarts its processes keeps its store, which still holds the addresses of the dead ones.
        restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if info.local_size == info.size else "0"
        store = dist.PrefixStore(f"start {restart}", store)  # pyright: ignore[reportPrivateImportUsage]
        dist.init_process_group(backend, timeout=TIMEOUT, store=store, rank=info.rank, world_size=info.size)
        return dist.new_group(timeout=CONTROL_TIMEOUT, backend="gloo")  # pyright: ignore[reportReturnType]
    except (dist.DistError, RuntimeError) as error:
        address = os.environ.get("MASTER_ADDR", "") if info.init_method == "env://" else info.init_method
        raise UserError(
            f"the {info.size} processes of this job did not find each other at {address} (this is rank {info.rank}: "
            f"{_first_sentence(error)}); "
            "check that all were started and that this address can be reached."
        ) from error


def _destroy_process_group() -> None:
    with suppress(Exception):
        dist.destroy_process_group()


def _first_sentence(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0].partition(". ")[0]
    return re.sub(r"^\[[^\]]*\]\s*", "", first).rstrip(".") or type(error).__name__
