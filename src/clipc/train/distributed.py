"""Many processes that train one model: who they are, what they tell each other, and how they end together.

Every process of a job runs the same command. It takes its share of each batch, encodes it, and scores it against the
features of all; the gradients of all are averaged (``train/parallel.py``). What is written (checkpoints, logs, the
model) is written by rank 0 alone.
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
from clipc.train.launcher import Place, find_place

TIMEOUT: Final = timedelta(minutes=30)
"""How long a process waits for the others where they compute together."""
LONE_TIMEOUT: Final = timedelta(days=1)
"""How long it waits where they tell each other something: rank 0 may be at work alone before, and hours go by until it
has indexed a large set or measured a large model. A process that ends is noticed at once all the same."""
LEAVING_SECONDS: Final = 5
"""How long a process waits for the group's end before it goes on without."""
ENDING_SECONDS: Final = 15
"""How long the interpreter of a process that failed may take to end."""

T = TypeVar("T")


class ProcessLost(UserError):
    """Another process of the job ended or cannot be reached; what it was computing with the others is lost."""


@dataclass(frozen=True)
class World:
    """The processes of a job, and which of them this one is.

    All methods are collective: every process must call them, in the same order. Where there is one process
    they do nothing and ``torch.distributed`` is not touched. Values travel by way of the CPU, so a GPU is not
    made to wait.

    Attributes:
        rank: This process, in [0, size).
        size: How many there are.
        local_rank: This process among those of its machine; the index of its GPU.
        local_size: How many there are on its machine.
        meeting: The group of ``torch.distributed`` in which they tell each other something; None is its default one.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    meeting: dist.ProcessGroup | None = field(default=None, compare=False, repr=False)

    @property
    def main(self) -> bool:
        """Whether this is rank 0, the one that writes and prints."""
        return self.rank == 0

    def barrier(self) -> None:
        """Waits until every process has come here."""
        self.sum([])

    @contextmanager
    def main_first(self) -> Generator[None]:
        """Lets rank 0 through the block before the others, who find in a cache what it made there."""
        if not self.main:
            self.barrier()
        yield
        if self.main:
            self.barrier()

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process; the same answer in all."""
        return self.sum([float(flag)])[0] > 0

    def sum(self, values: list[float]) -> list[float]:
        """The sums over all processes, value by value, in double precision; the same in all."""
        if self.size == 1:
            return list(values)
        total = torch.tensor([*values, 0.0], dtype=torch.float64)
        dist.all_reduce(total, group=self.meeting)
        return total.tolist()[:-1]

    def broadcast(self, value: T) -> T:
        """The value that rank 0 gave.

        Args:
            value: Something small that JSON can hold (tuples arrive as lists); that of other ranks is not looked at.
        """
        if self.size == 1:
            return value
        message = json.dumps(value).encode() if self.main else b""
        length = torch.tensor([len(message)])
        dist.broadcast(length, src=0, group=self.meeting)
        content = torch.tensor(list(message.ljust(int(length))), dtype=torch.uint8)
        dist.broadcast(content, src=0, group=self.meeting)
        return json.loads(bytes(content.tolist()))


@contextmanager
def joined(device: str = "auto") -> Generator[World]:
    """Joins the processes of the job that this one was started in, and leaves them in every case.

    A job is what ``torchrun`` starts, or ``srun`` with more than one task; any other process is alone and gets
    ``World()``. On CUDA each process takes the GPU of its local rank; what lies there travels by NCCL, else by gloo.

    The block's normal end waits for all processes. If one of them ends early, the others do not wait for it: what
    they were doing together fails, which becomes :class:`ProcessLost` here, and the process can end at once.

    Args:
        device: As a recipe names it: ``auto``, ``cpu`` or ``cuda``.

    Yields:
        The processes.

    Raises:
        UserError: The environment is incomplete, the machine has fewer GPUs than processes, or the processes do
            not find each other.
        ProcessLost: Another process ended within the block.
    """
    place = find_place(os.environ)
    if place is None:
        yield World()
        return
    world = World(place.rank, place.size, place.local_rank, place.local_size, _enter(place, device))
    try:
        yield world
        world.barrier()
    except BaseException as error:
        # A backend's destructors may wait for the dead: if the interpreter's end takes long, the system ends it.
        if hasattr(signal, "alarm"):
            atexit.register(signal.alarm, ENDING_SECONDS)
        said = _said_by_backend(error)
        if said is None:
            raise
        raise ProcessLost(
            "another process of this job ended or answers no more "
            f"(this is rank {world.rank} of {world.size}: {said}); "
            "the job stops here and the same command goes on from its last checkpoint."
        ) from error
    finally:
        _leave()


def share(batch_size: int, world: World) -> int:
    """How many examples of a batch each process takes.

    Raises:
        UserError: The batch cannot be divided evenly; the nearest sizes that can are named.
    """
    if batch_size % world.size == 0:
        return batch_size // world.size
    below = batch_size - batch_size % world.size
    sizes = " or ".join(f"batch_size={size}" for size in (below, below + world.size) if size > 0)
    raise UserError(f"batch_size={batch_size} cannot be divided among {world.size} processes; set {sizes}.")


def _enter(place: Place, device: str) -> dist.ProcessGroup:
    """Joins the group that computes, and returns the one that meets."""
    kind = choose_device(device).type
    if kind == "mps":
        raise UserError("several processes cannot train on mps; set device=cpu, or start one process.")
    if kind == "cuda":
        count = torch.cuda.device_count()
        index = 0 if place.own_gpu and count == 1 else place.local_rank
        if index >= count:
            raise UserError(
                f"process {index + 1} of this machine finds no GPU of its own, there are {count}; "
                f"start {count} processes here (torchrun --nproc-per-node {count}), or set device=cpu."
            )
        torch.cuda.set_device(index)
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" and dist.is_nccl_available() else "gloo"
    try:
        store = next(rendezvous(place.meeting, place.rank, place.size, timeout=TIMEOUT))[0]
        # A torchrun that starts all its processes again keeps its store, where the dead ones still seem to listen.
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if place.local_size == place.size else "0"
        store = dist.PrefixStore(f"start {again}", store)  # pyright: ignore[reportPrivateImportUsage]
        dist.init_process_group(backend, timeout=TIMEOUT, store=store, rank=place.rank, world_size=place.size)
        return dist.new_group(timeout=LONE_TIMEOUT, backend="gloo")  # pyright: ignore[reportReturnType]
    except (dist.DistError, RuntimeError) as error:
        where = os.environ.get("MASTER_ADDR", "") if place.meeting == "env://" else place.meeting
        raise UserError(
            f"the {place.size} processes of this job did not find each other (this is rank {place.rank}, they were to "
            f"meet at {where}: {_line(error)}); check that all were started and that this address can be reached."
        ) from error


def _leave() -> None:
    def destroy() -> None:
        with suppress(Exception):
            dist.destroy_process_group()

    leaving = threading.Thread(target=destroy, daemon=True)
    leaving.start()
    leaving.join(LEAVING_SECONDS)


def _said_by_backend(error: BaseException) -> str | None:
    """What gloo, NCCL or the store said of a lost process; None if the error is of another kind."""
    by_gloo = isinstance(error, RuntimeError) and ("gloo" in str(error) or "by peer" in str(error))
    return _line(error) if by_gloo or isinstance(error, dist.DistError) else None


def _line(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0].partition(". ")[0]
    return re.sub(r"^\[[^\]]*\]\s*", "", first).rstrip(".") or type(error).__name__
