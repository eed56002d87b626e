"""Results come in order, and no more of them than are wanted."""

import threading
from time import sleep

import pytest

from clipc.render import parallel_map as module
from clipc.render.parallel_map import parallel_map


@pytest.mark.parametrize("count", [0, 1, 7, 100])
@pytest.mark.parametrize("most", [1, 16, 1000])
def test_results_are_those_of_map(count: int, most: int) -> None:
    def work(item: int) -> int:
        sleep(0.001 * (item % 3))
        return item * item

    assert list(parallel_map(work, range(count), most)) == [item * item for item in range(count)]


def test_several_threads_work_while_the_taker_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 3)
    met = threading.Barrier(3, timeout=20)
    done = threading.Semaphore(0)

    def work(item: int) -> str:
        if item % module._CHUNK == 0 and item < 3 * module._CHUNK:
            met.wait()
        done.release()
        return threading.current_thread().name

    results = parallel_map(work, range(5 * module._CHUNK))
    assert next(results).startswith("parallel-map")
    for _ in range(5 * module._CHUNK):  # All are worked on, though one was taken.
        assert done.acquire(timeout=20)
    results.close()


def test_no_more_than_so_many_lie_ready() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    results = parallel_map(work, range(10_000), max_pending=64)
    for taken in range(1, 200):
        assert next(results) == taken - 1
        assert len(begun) <= taken + 64 + module._CHUNK
    results.close()
    assert len(begun) < 300


def test_an_error_is_raised_to_the_taker_and_ends_the_work() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 50:
            raise ValueError("item 50")
        return item

    results = parallel_map(work, range(100_000), max_pending=32)
    taken: list[int] = []
    with pytest.raises(ValueError, match="item 50"):
        taken.extend(results)
    assert len(begun) < 200
    assert threading.active_count() < 100
