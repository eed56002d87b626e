"""The sandbox's child process: its limits and its end, threads, forks and copies of the sandbox."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clipc.compose.rules.sandbox import Sandbox
from clipc.errors import UserError

from .expressions import column

LONG = "length(" + "replace(" * 6 + "x" + (", 'a', '" + "a" * 150 + "')") * 6 + ")"
VAST = "length(" + "replace(" * 3 + "x" + (", 'a', '" + "a" * 300 + "')") * 3 + ")"


def test_what_takes_too_long_is_stopped_and_the_next_call_works() -> None:
    table = pa.table({"x": ["a" * 4000] * 10})
    with closing(Sandbox(seconds=1, memory=1 << 40)) as sandbox:
        slow, quick = sandbox.parse(LONG), sandbox.parse("a.x = b.x")
        rows = np.arange(10)
        assert all(sandbox.evaluate_pairs(table, rows, rows, {"k": quick})["k"].to_pylist())
        began = time.monotonic()
        with pytest.raises(UserError, match=r"^`length\(replace\(.*took (longer than 1 seconds|too much memory)"):
            sandbox.evaluate(table, {"k": slow})
        assert time.monotonic() - began < 5
        assert all(sandbox.evaluate_pairs(table, rows, rows, {"k": quick})["k"].to_pylist())


def test_what_takes_too_much_memory_is_stopped_and_the_next_call_works() -> None:
    table = pa.table({"x": ["a" * 4000] * 10})
    with closing(Sandbox(memory=256 << 20)) as sandbox:
        with pytest.raises(UserError, match="took too much memory and was stopped"):
            sandbox.evaluate(table, {"k": sandbox.parse(VAST)})
        assert column(sandbox, "length(x)", table) == [4000] * 10


def _child(sandbox: Sandbox) -> int:
    child = sandbox._child
    assert child is not None
    return child.pid


def _ended(pid: int) -> bool:
    """Whether a process ends within a few seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_child_that_was_killed_is_replaced() -> None:
    with closing(Sandbox()) as sandbox:
        assert column(sandbox, "1") == [1] * 4
        os.kill(_child(sandbox), signal.SIGKILL)
        with pytest.raises(UserError, match=r"ended its process \(exit code -9\)"):
            column(sandbox, "1")
        assert column(sandbox, "1") == [1] * 4


def test_a_sandbox_can_be_closed_whose_pipes_are_closed_already() -> None:
    """As they may be when Python ends."""
    sandbox = Sandbox()
    assert column(sandbox, "1") == [1] * 4
    child = sandbox._child
    assert child is not None
    assert child.stdin is not None
    child.stdin.close()
    sandbox.close()
    assert child.returncode is not None
    assert column(sandbox, "1") == [1] * 4
    child = sandbox._child
    assert child is not None
    assert child.stdin is not None
    child.stdin.write(b"half a message")
    sandbox.close()
    assert child.returncode is not None


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_child_ends_with_its_sandbox_or_its_parent() -> None:
    sandbox = Sandbox()
    sandbox.parse("1")
    pid = _child(sandbox)
    del sandbox
    assert _ended(pid)
    code = (
        "import os; from clipc.compose.rules.sandbox import Sandbox\n"
        "s = Sandbox(); s.parse('1'); print(s._child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert _ended(int(ran.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_child_has_no_environment_no_core_dumps_and_little_open(sandbox: Sandbox) -> None:
    sandbox.parse("1")
    process = Path(f"/proc/{_child(sandbox)}")
    limits = (process / "limits").read_text("utf-8")
    assert "Max core file size        0 " in limits
    assert "Max file size             0 " in limits
    assert "Max address space         unlimited" not in limits
    variables = {entry.split(b"=")[0] for entry in (process / "environ").read_bytes().split(b"\0") if entry}
    assert variables == {b"PYTHONPATH", b"ARROW_DEFAULT_MEMORY_POOL"}


def test_a_sandbox_can_be_pickled(sandbox: Sandbox) -> None:
    sandbox.parse("1")
    with closing(pickle.loads(pickle.dumps(sandbox))) as other:
        assert column(other, "lower(x)") == ["left", "right", None, ""]
        assert _child(other) != _child(sandbox)
    expression = sandbox.parse("lower(x)")
    assert pickle.loads(pickle.dumps(expression)) == expression


def test_threads_take_turns(sandbox: Sandbox) -> None:
    tables = [pa.table({"n": [i] * 50}) for i in range(4)]
    rows, same = np.arange(50), sandbox.parse("a.n * 10 + b.n")

    def ask(i: int) -> list[int]:
        return sandbox.evaluate_pairs(tables[i % 4], rows, rows, {"k": same})["k"].unique().to_pylist()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(40))) == [[11 * (i % 4)] for i in range(40)]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_has_a_child_of_its_own(sandbox: Sandbox) -> None:
    sandbox.parse("1")
    before = _child(sandbox)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def work() -> None:
        queue.put((column(sandbox, "n"), _child(sandbox)))
        sandbox.close()

    process = context.Process(target=work)
    process.start()
    values, pid = queue.get()
    process.join()
    assert values == [1, 2, None, -3]
    assert pid != before
    assert column(sandbox, "n") == [1, 2, None, -3]
    assert _child(sandbox) == before


def test_the_working_folder_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "duckdb.py").write_text("raise SystemExit('imported from the working folder')", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with closing(Sandbox()) as sandbox:
        assert column(sandbox, "n") == [1, 2, None, -3]
