"""A ``map`` on a few threads, which run ahead of the consumer; results keep their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

from clipc.files import cores

_T = TypeVar("_T")
_R = TypeVar("_R")

_MAX_THREADS: Final = 8
"""More threads hardly help: decoding releases the GIL, but the Python code around it does not."""

_CHUNK: Final = 8
"""Items per task: submitting a task costs as much as decoding a very small image."""


def parallel_map(work: Callable[[_T], _R], items: Iterable[_T], max_pending: int = 256) -> Iterator[_R]:
    """Runs ``map(work, items)`` on background threads, while the consumer does something else.

    Work starts with the first ``next``. When the iterator is closed, no further items are started.

    Args:
        work: A function that mostly releases the GIL, such as decoding; called on several threads at once.
        items: The function's arguments.
        max_pending: Approximate maximum number of results that wait to be consumed.

    Yields:
        The results, in the order of the items. An exception of ``work`` is raised at its item or a few items earlier.
    """
    source = iter(items)
    queue: deque[Future[list[_R]]] = deque()
    pool = ThreadPoolExecutor(min(cores(), _MAX_THREADS), thread_name_prefix="parallel-map")
    try:
        while chunk := list(islice(source, _CHUNK)):
            queue.append(pool.submit(list, map(work, chunk)))
            if len(queue) * _CHUNK >= max_pending:
                yield from queue.popleft().result()
        while queue:
            yield from queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
