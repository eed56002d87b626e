"""Work done on a few threads ahead of who takes its results, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

from clipc.files import cores

_T = TypeVar("_T")
_R = TypeVar("_R")

_THREADS: Final = 8
"""What is read or decoded hardly becomes quicker by more: Python itself runs on one at a time."""

_TOGETHER: Final = 8
"""Items that one thread takes at a time: handing over costs as much as decoding a very small picture."""


def ahead(work: Callable[[_T], _R], items: Iterable[_T], most: int = 256) -> Iterator[_R]:
    """``map(work, items)``, while whoever takes the results does something else.

    Nothing begins before the first result is asked for; what is not begun when the last one is dropped never does.

    Args:
        work: What releases Python's lock for most of its time, such as decoding; called on several threads at once.
        items: What to work on.
        most: About how many results lie ready at most.

    Yields:
        The results, in the order of the items; an exception where it would have been raised, or a few items earlier.
    """

    def work_on(piece: list[_T]) -> list[_R]:
        return [work(item) for item in piece]

    source = iter(items)
    waiting: deque[Future[list[_R]]] = deque()
    pool = ThreadPoolExecutor(min(cores(), _THREADS), thread_name_prefix="ahead")
    try:
        while piece := list(islice(source, _TOGETHER)):
            waiting.append(pool.submit(work_on, piece))
            if len(waiting) * _TOGETHER >= most:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
