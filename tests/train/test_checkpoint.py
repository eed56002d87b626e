import errno
import signal
from pathlib import Path

import pytest
import torch

from clipc.errors import UserError
from clipc.train import checkpoint
from clipc.train.checkpoint import State, checkpoint_steps, clean_checkpoints, load_checkpoint, save_checkpoint


def state(step: int) -> State:
    return State(step, {"w": torch.full((3, 2), float(step))}, {"state": {0: {"m": torch.ones(2)}}}, {"best": None})


def test_the_newest_complete_one_is_loaded_and_old_ones_go(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    for step in (5, 10, 100):
        save_checkpoint(tmp_path, state(step))
    assert checkpoint_steps(tmp_path) == [10, 100]
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.loop_state) == (100, {"best": None})
    assert torch.equal(found.model["w"], state(100).model["w"])


def test_a_half_written_one_is_never_seen(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(5))
    half = tmp_path / ".step-9.partial"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"x")
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    save_checkpoint(tmp_path, state(9))
    assert checkpoint_steps(tmp_path) == [5, 9]


def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, state(5))

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(UserError, match=r"step-9 could not be written .*No space left.*last complete checkpoint"):
        save_checkpoint(tmp_path, state(9))
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    assert not list(tmp_path.glob(".step*"))


def test_a_full_disk_is_told_whoever_writes(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError, match="step-9 could not be written"):
            save_checkpoint(tmp_path, State(9, {"weight": torch.zeros(10_000)}, {}, {}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert load_checkpoint(tmp_path) is None


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1/0",)

    save_checkpoint(tmp_path, state(5))
    torch.save({"state": Evil()}, tmp_path / "step-5" / "optimizer.pt")
    with pytest.raises(UserError, match=r"weights_only|Weights only"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in ("model.safetensors", "optimizer.pt", "progress.json") for size in (None, 0, 5, 60)],
)
def test_a_damaged_one_gives_way_to_the_older_one(
    tmp_path: Path, name: str, size: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (5, 9):
        save_checkpoint(tmp_path, state(step))

    def damage(step: int) -> None:
        file = tmp_path / f"step-{step}" / name
        whole = file.read_bytes()
        file.unlink()
        if size is not None:
            file.write_bytes(whole[: min(size, len(whole) - 1)])

    damage(9)
    found = load_checkpoint(tmp_path)
    messages = caplog.messages
    assert found is not None
    assert found.step == 5
    assert len(messages) == 1
    assert messages[0].startswith(f"the checkpoint of step 9 in {tmp_path} is damaged (")
    assert messages[0].endswith("the run goes on from the older one of step 5.")
    damage(5)
    with pytest.raises(UserError, match=rf"no checkpoint in {tmp_path} can be read \(step 9: .*remove that folder"):
        load_checkpoint(tmp_path)


def test_a_disk_that_fails_for_a_moment_costs_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, state(5))

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "load_file", failing)
        with pytest.raises(UserError, match=r"step 5 .* cannot be read .*Input/output error.*may be intact"):
            load_checkpoint(tmp_path)
    assert load_checkpoint(tmp_path) is not None


def test_what_was_never_finished_is_removed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(5))
    (tmp_path / ".step-9.partial").mkdir()
    (tmp_path / ".step-9.partial" / "model.safetensors").write_bytes(bytes(100))
    clean_checkpoints(tmp_path, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["step-5"]


def test_damaged_ones_no_longer_count_and_older_ones_stay(tmp_path: Path) -> None:
    for step in (5, 9):
        save_checkpoint(tmp_path, state(step))
    clean_checkpoints(tmp_path, 5)
    clean_checkpoints(tmp_path, 5)
    assert checkpoint_steps(tmp_path) == [5]
    save_checkpoint(tmp_path, state(7))
    assert checkpoint_steps(tmp_path) == [5, 7]
