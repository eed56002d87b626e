import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from clipc.errors import UserError
from clipc.render import loader
from clipc.render.batch import Batch
from clipc.render.loader import choose_num_workers, load


@dataclass(frozen=True)
class Numbers:
    """Batches that say their rows, which process made them, on how many threads, and how often this was copied."""

    fails: Callable[[int], None] = lambda start: None
    copies: list[int] = field(default_factory=lambda: [0])

    def __getstate__(self) -> dict[str, object]:
        self.copies[0] += 1
        return self.__dict__

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    def render(self, start: int, stop: int) -> Batch:
        self.fails(start)
        made = torch.tensor([[os.getpid(), torch.get_num_threads()]] * (stop - start))
        rows = torch.arange(start, stop).repeat(2, 1).T
        return Batch(torch.zeros(stop - start, 2, 2, 3, dtype=torch.uint8), made, rows, rows, 0, self.copies[0])


def rows(batches: list[Batch]) -> list[list[int]]:
    return [batch.sources[:, 0].tolist() for batch in batches]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_steps_come_in_order_whoever_renders_them(workers: int) -> None:
    batches = list(load(Numbers(), 4, range(2, 12, 3), workers=workers))
    assert rows(batches) == [[8, 9, 10, 11], [20, 21, 22, 23], [32, 33, 34, 35], [44, 45, 46, 47]]
    shares = [list(load(Numbers(), 4, range(2), workers=workers, rank=rank, ranks=2)) for rank in range(2)]
    assert [rows(share) for share in shares] == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]


def test_workers_take_turns_on_one_thread_each_and_get_the_renderer_once() -> None:
    batches = list(load(Numbers(), 2, range(20), workers=2))
    makers = [batch.tokens[0, 0].item() for batch in batches]
    assert len(set(makers)) == 2
    assert os.getpid() not in makers
    assert all((batch.tokens[:, 1] == 1).all() for batch in batches)
    assert all(batch.shortened <= 1 for batch in batches)


def test_no_steps_are_no_batches() -> None:
    assert list(load(Numbers(), 2, range(0), workers=2)) == []


def wrong_file(start: int) -> None:
    if start == 6:
        raise UserError("'x.jpg' leads out of the folder; move it.")


def bug(start: int) -> None:
    if start == 6:
        raise KeyError("x")


def test_an_error_in_a_worker_is_one_sentence_that_comes_in_its_turn() -> None:
    said = {wrong_file: r"^'x\.jpg' leads out of the folder; move it\.$", bug: r"^step 3 .*KeyError: 'x'"}
    for fails, message in said.items():
        batches = load(Numbers(fails), 2, range(8), workers=2)
        assert rows([next(batches) for _ in range(3)]) == [[0, 1], [2, 3], [4, 5]]
        with pytest.raises(UserError, match=message) as raised:
            next(batches)
        assert "\n" not in str(raised.value)
        assert gone()
    with pytest.raises(KeyError):
        list(load(Numbers(bug), 2, range(8)))


@pytest.fixture
def no_handler() -> Iterator[None]:
    """A process in which no other ``DataLoader`` has installed PyTorch's handler, which stays and raises anywhere."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("no_handler")
def test_a_killed_worker_is_told_where_batches_are_awaited_and_nowhere_else() -> None:
    handler = signal.getsignal(signal.SIGCHLD)
    batches = load(Numbers(), 2, range(10_000), workers=2)
    first = next(batches)
    os.kill(first.tokens[0, 0].item(), signal.SIGKILL)
    time.sleep(0.5)  # a training step, which no signal disturbs
    with pytest.raises(UserError, match=r"has died .* fewer workers") as raised:
        list(batches)
    assert "\n" not in str(raised.value)
    assert signal.getsignal(signal.SIGCHLD) == handler
    assert gone()


def test_a_consumer_that_stops_early_leaves_no_process_behind() -> None:
    batches = load(Numbers(), 2, range(10_000), workers=2)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert gone()


@pytest.mark.parametrize(
    ("wanted", "model", "pictures", "processes", "threads", "ahead"),
    [
        (None, "cpu", None, 1, None, 0),  # the model takes the same cores
        (3, "cpu", None, 1, None, 3),
        (3, "cpu", "cpu", 1, None, 0),
        (None, "cuda", None, 1, None, 7),
        (None, "cuda", None, 4, None, 1),
        (None, "cuda", None, 16, None, 1),
        (None, "cuda", None, 1, 3, 2),  # one of several trials on this GPU
        (None, "cuda", "cpu", 2, None, 3),
        (0, "cuda", None, 1, None, 0),
        (20, "cuda", "cpu", 1, None, 20),
        (3, "cuda", "cuda", 1, None, 0),
    ],
)
def test_who_renders_ahead(
    wanted: int | None,
    model: str,
    pictures: str | None,
    processes: int,
    threads: int | None,
    ahead: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loader, "cores", lambda: 8)
    kept = None if pictures is None else torch.device(pictures)
    assert choose_num_workers(wanted, torch.device(model), kept, processes=processes, threads=threads) == ahead


ENDLESS = """
from tests.render.test_loader import Numbers
from clipc.render.loader import load

if __name__ == "__main__":
    batches = load(Numbers(), 2, range(1_000_000), workers=2)
    next(batches)
    raise RuntimeError("out of memory")
"""


def test_an_error_that_nobody_catches_ends_the_program(tmp_path: Path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    home = Path(__file__).resolve().parents[2]
    ended = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(home)},
    )
    assert ended.returncode == 1
    assert "RuntimeError: out of memory" in ended.stderr


def gone() -> bool:
    """Whether all processes end that were started for loading."""
    until = time.monotonic() + 10
    while multiprocessing.active_children():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
