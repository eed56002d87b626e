import json
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.errors import UserError
from clipc.train import trackers
from clipc.train.trackers import Tracker, make_trackers, numbers


def start(folder: Path, *names: Any, resumed_at: int = 0) -> list[Tracker]:
    return make_trackers(names, folder, "a-run", {"batch_size": 8, "policy": {"rho": 0.3}}, resumed_at)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_nested_numbers_are_named_by_their_path() -> None:
    validation = {"mean_recall": 0.5, "deep": {"x": 1.0}}
    record = {"step": 3, "loss": 2, "validation": validation, "unreadable": "key", "b": True}
    assert dict(numbers(record)) == {"loss": 2.0, "validation/mean_recall": 0.5, "validation/deep/x": 1.0}


@given(st.recursive(st.floats(allow_nan=False), lambda inner: st.dictionaries(st.text("abc", min_size=1), inner)))
def test_every_number_comes_out_once(tree: Any) -> None:
    def count(value: Any) -> int:
        return sum(map(count, value.values())) if isinstance(value, dict) else 1

    found = list(numbers({"top": tree}))
    assert len(found) == count(tree) == len(dict(found))


def test_tensorboard_shows_what_was_logged(tmp_path: Path) -> None:
    (board,) = start(tmp_path, "tensorboard")
    for step in (10, 20):
        board.log({"step": step, "loss": 1 / step, "name": "x"}, step)
    board.log({"step": 20, "validation": {"mean_recall": 0.25}}, 20)
    board.log({"step": 20, "unreadable": "some-key"}, 20)
    # Readable while the run goes on.
    assert scalars(tmp_path / "tensorboard") == {
        "loss": [(10, pytest.approx(0.1)), (20, pytest.approx(0.05))],
        "validation/mean_recall": [(20, 0.25)],
    }
    board.close()


def test_a_resumed_run_does_not_double_its_steps(tmp_path: Path) -> None:
    for resumed_at, steps in ((0, (10, 20, 30)), (20, (30, 40)), (0, (10,)), (10, (20,))):
        (board,) = start(tmp_path, "tensorboard", resumed_at=resumed_at)
        for step in steps:
            board.log({"loss": float(resumed_at + step)}, step)
        shown = scalars(tmp_path / "tensorboard")["loss"]
        assert shown[-len(steps) :] == [(step, resumed_at + step) for step in steps]
        assert [step for step, _ in shown] == list(range(10, steps[-1] + 1, 10))


def test_a_record_cut_by_a_crash_does_not_hide_what_comes_after(tmp_path: Path) -> None:
    (board,) = start(tmp_path, "tensorboard")
    board.log({"loss": 1.0}, 10)
    board.log({"loss": 2.0}, 20)
    (file,) = (tmp_path / "tensorboard").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    (board,) = start(tmp_path, "tensorboard", resumed_at=10)
    board.log({"loss": 3.0}, 20)
    assert scalars(tmp_path / "tensorboard")["loss"] == [(10, 1.0), (20, 3.0)]


def test_event_files_are_read_in_the_order_of_the_starts(tmp_path: Path) -> None:
    for _ in range(12):
        start(tmp_path, "tensorboard")[0].close()
    names = sorted(file.name for file in (tmp_path / "tensorboard").iterdir())
    numbered = [int(name.split(".")[3]) for name in names]
    assert numbered == list(range(12))
    first = (tmp_path / "tensorboard" / names[0]).read_bytes()
    assert len(first) == struct.unpack("<Q", first[:8])[0] + 16


def test_tensorboard_starts_quickly_and_without_pytorchs_writer() -> None:
    code = """
import numpy, sys, tempfile, time
from pathlib import Path
from clipc.train.trackers import make_trackers
began = time.process_time()
make_trackers(["tensorboard"], Path(tempfile.mkdtemp()), "run", {}, 0)
print(time.process_time() - began, "torch.utils.tensorboard" in sys.modules, "tensorflow" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *heavy = ran.stdout.split()
    assert float(seconds) < 0.5
    assert heavy == ["False", "False"]


class Broken:
    def __init__(self) -> None:
        self.asked = 0

    def log(self, values: Mapping[str, Any], step: int) -> None:
        self.asked += 1
        raise OSError("No space\nleft on device.")

    close = None


def test_a_tracker_that_fails_warns_once_and_ends_nothing(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    broken = Broken()
    safe_tracker = trackers._SafeTracker("tensorboard", broken)  # type: ignore[arg-type]
    for step in range(3):
        safe_tracker.log({"loss": 1.0}, step)
    safe_tracker.close()
    assert capsys.readouterr() == ("", "")
    assert caplog.messages == [
        "tensorboard receives no more metrics of this run: No space left on device; metrics.jsonl has all."
    ]
    assert broken.asked == 1


def test_a_full_disk_is_noticed_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (board,) = start(tmp_path, "tensorboard")
    board._tracker._writer._writer = open("/dev/full", "wb")  # type: ignore[attr-defined] # noqa: SIM115
    board.log({"loss": 1.0}, 10)
    board.log({"loss": 1.0}, 20)
    board.close()
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_an_absent_package_is_one_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"{name} is not installed .*install '(.*\[)?{name}\]?'; or leave it out"):
        start(tmp_path, name)


def test_a_service_that_cannot_start_stops_a_new_run_but_not_one_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> Tracker:
        raise RuntimeError("no API key configured.")

    monkeypatch.setattr(trackers, "_start_wandb", fail)
    with pytest.raises(UserError, match="wandb cannot start: no API key configured; fix this or leave it out of track"):
        start(tmp_path, "wandb")
    assert len(start(tmp_path, "tensorboard", "wandb", resumed_at=10)) == 1
    assert "no API key" in caplog.text


class Service:
    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []

    def log(self, values: dict[str, float], step: int) -> None:
        self.told.append((step, values))

    def finish(self) -> None:
        print("bye")


def test_a_service_is_told_every_step_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for steps in ((10, 20, 20, 30), (20, 30, 40), (40, 50)):
        file, state = trackers._service_state(tmp_path, "wandb")
        service = Service()
        tracker = trackers._Service(service, service.finish, file, state["step"])
        for step in steps:
            tracker.log({"step": step, "loss": 1.0}, step)
        tracker.close()
        told += [step for step, _ in service.told]
    assert told == [10, 20, 20, 30, 40, 50]
    assert capsys.readouterr().out == ""


@pytest.mark.peer
def test_wandb_offline_goes_on_under_one_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for resumed_at in (0, 10):
        (tracker,) = start(tmp_path, "wandb", resumed_at=resumed_at)
        for step in (10, 20):
            tracker.log({"loss": 1.0, "validation": {"mean_recall": 0.5}}, step + resumed_at)
        tracker.close()
    state = json.loads((tmp_path / "tracking" / "wandb.json").read_text())
    assert state["step"] == 30
    runs = list((tmp_path / "wandb").glob("offline-run-*"))
    assert {run.name.rpartition("-")[2] for run in runs} == {state["id"]}
    assert all(list(run.glob("*.wandb")) for run in runs)


@pytest.mark.peer
def test_trackio_goes_on_with_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackio")
    code = """
import json, sys
from pathlib import Path
from clipc.train.trackers import make_trackers
folder = Path(sys.argv[1])
for resumed_at, steps in ((0, (10, 20)), (10, (20, 30))):
    (tracker,) = make_trackers(["trackio"], folder, "a-run", {"batch_size": 8}, resumed_at)
    for step in steps:
        tracker.log({"loss": float(step)}, step)
    tracker.close()
"""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    read = """
import json, trackio
runs = list(trackio.Api().runs("clipc"))
from trackio.sqlite_storage import SQLiteStorage
print(json.dumps([[r.name, [[v["step"], v["loss"]] for v in SQLiteStorage.get_logs("clipc", r.name)]] for r in runs]))
"""
    ran = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    ((name, lines),) = json.loads(ran.stdout.splitlines()[-1])
    assert name.startswith("a-run-")
    assert lines == [[10, 10.0], [20, 20.0], [30, 30.0]]
