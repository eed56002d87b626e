"""The time that code takes, and the number of threads it runs with."""

import time
from collections.abc import Generator
from contextlib import contextmanager

import torch


class Timer:
    """Measures wall-clock and processor time since its creation."""

    def __init__(self) -> None:
        """Starts the timer."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds."""
        return time.perf_counter() - self._wall

    @property
    def core_seconds(self) -> float:
        """Processor seconds of this process, over all its threads."""
        return time.process_time() - self._cpu


@contextmanager
def threads(count: int) -> Generator[None]:
    """Runs the block with this number of CPU threads of PyTorch; the rounding of sums depends on the number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
