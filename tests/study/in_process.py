"""A pool without processes, for tests in which it does not matter where trials run."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from clipc.progress import Progress
from clipc.study import run, tuning
from clipc.study.pilot import pace


class InProcess:
    """Has the methods of :class:`clipc.study.pool.Pool`; runs one task after the other in this process."""

    def __init__(self, jobs: int, threads: int) -> None:
        pass

    def map(self, task: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], progress: Progress) -> list[Any]:
        return [
            task(*given, lambda _, done, total, i=i: progress(str(i), done, total)) for i, given in enumerate(arguments)
        ]

    def close(self) -> None:
        pass


@contextmanager
def in_process() -> Generator[None]:
    """Inside, trials of studies, pilots and searches run in this process, which has imported the libraries."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (pace, run, tuning):
            patch.setattr(module, "Pool", InProcess)
        yield
