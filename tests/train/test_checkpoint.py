import errno
import signal
from pathlib import Path

import pytest
import torch

from clipc.checksums import CHECKSUMS, DamageError, write_checksums
from clipc.errors import UserError
from clipc.train import checkpoint
from clipc.train.checkpoint import (
    State,
    check_state,
    checkpoint_steps,
    clean_checkpoints,
    load_checkpoint,
    save_checkpoint,
)


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
    write_checksums(tmp_path / "step-5")
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


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "progress.json", CHECKSUMS])
def test_a_flipped_bit_anywhere_gives_way_to_the_older_one(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (5, 9):
        save_checkpoint(tmp_path, state(step))
    file = tmp_path / "step-9" / name
    whole = file.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        caplog.clear()
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        found = load_checkpoint(tmp_path)
        assert found is not None
        assert found.step == 5
        assert "step 9" in caplog.text


def test_parts_of_another_moment_give_way_to_the_older_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (5, 9):
        save_checkpoint(tmp_path, state(step))
    (tmp_path / "step-9").rename(tmp_path / "step-10")
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    assert "its progress.json is that of step 9" in caplog.text


def test_one_of_another_run_or_model_counts_as_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    moment, weights = {"run": "a", "precision": "float32"}, state(9).model
    check_state(state(9), weights, moment)  # of an earlier version
    with pytest.raises(DamageError, match="its run is b, that of this run a"):
        check_state(State(9, weights, {}, {"run": "b"}), weights, moment)
    for other in ({"w": weights["w"].half()}, {"w": weights["w"][:1]}, {}):
        with pytest.raises(DamageError, match="another model"):
            check_state(State(9, other, {}, moment), weights, moment)
    save_checkpoint(tmp_path, state(5))
    save_checkpoint(tmp_path, State(9, {"w": weights["w"].half()}, {}, {"best": None}))
    found = load_checkpoint(tmp_path, lambda each: check_state(each, weights, moment))
    assert found is not None
    assert found.step == 5
    assert "another model" in caplog.text


def test_a_best_step_without_its_metric_gives_way_to_the_older_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_checkpoint(tmp_path, state(5))
    save_checkpoint(tmp_path, State(9, state(9).model, {}, {"best": {"step": 4}}))
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    assert "holds no step or no mean_recall" in caplog.text


def test_those_of_earlier_versions_are_read_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(tmp_path, state(5))
    (tmp_path / "step-5" / CHECKSUMS).unlink()
    assert load_checkpoint(tmp_path) is not None
    assert "cannot be checked" in caplog.text
