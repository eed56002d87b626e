"""The loader: batches in order, from any step on, by as many workers as one likes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch.utils.data import DataLoader, Dataset

from clipc.render.batch import Batch


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
    """
    yield from DataLoader(
        _Steps(renderer, batch_size, rank, ranks),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=pin,
    )
