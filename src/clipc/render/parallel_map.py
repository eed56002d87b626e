"""A ``map`` that runs on a few threads ahead of its consumer and keeps the order."""

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


def parallel_map(work: Callable[[_T], _R], items: Iterable[_T], most: int = 256) -> Iterator[_R]:
    """``map(work, items)`` on background threads, while the consumer does something else.

    Work starts with the first ``next``; items that have not been started when the iterator is closed never are.

    Args:
        work: A function that mostly releases the GIL, such as decoding; called on several threads at once.
        items: The function's arguments.
        most: Approximate maximum number of results that wait to be consumed.

    Yields:
        The results, in the order of the items; an exception where it would have been raised, or a few items earlier.
    """
    source = iter(items)
    queue: deque[Future[list[_R]]] = deque()
    pool = ThreadPoolExecutor(min(cores(), _MAX_THREADS), thread_name_prefix="parallel-map")
    try:
        while chunk := list(islice(source, _CHUNK)):
            queue.append(pool.submit(list, map(work, chunk)))
            if len(queue) * _CHUNK >= most:
                yield from queue.popleft().result()
        while queue:
            yield from queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
