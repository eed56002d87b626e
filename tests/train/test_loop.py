import json
import logging
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.models.device import choose_precision
from clipc.models.model import ClipModel
from clipc.recipe.recipe import Recipe, make_recipe, write_recipe
from clipc.recipe.run import Run
from clipc.render.batch import Batch
from clipc.train import loop
from clipc.train.diverged import Diverged
from clipc.train.interrupt import Interrupted
from clipc.train.train import train


@pytest.fixture(scope="module")
def recipe(tiny_model: str, tiny_source: Path) -> Recipe:
    return make_recipe(
        {
            "data": {"source": str(tiny_source)},
            "model": tiny_model,
            "batch_size": 8,
            "samples": 120,
            "threads": 1,
            "precision": "fp32",
            "validations": 3,
            "selection": "best",
            "policy": {"rho": 0.4},
        }
    )


@pytest.fixture(scope="module")
def never(recipe: Recipe, tiny_catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was never stopped."""
    return train(recipe, tmp_path_factory.mktemp("never") / "run", catalog=tiny_catalog)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.last_model / "open_clip_model.safetensors")


def assert_equal(one: Run, other: Run) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_learns_and_leaves_what_the_design_names(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    longer = recipe.model_copy(update={"samples": 1600, "mask_false_negatives": False})
    run = train(longer, tmp_path / "run", catalog=tiny_catalog)
    records = list(run.metrics())
    losses = [r["loss"] for r in records if "loss" in r]
    assert losses[0] == pytest.approx(math.log(8), abs=0.6)
    assert losses[-1] < losses[0] - 0.5
    assert [r["step"] for r in records if "validation" in r] == [67, 134, 200]
    assert {67, 134, 200} <= {r["step"] for r in records if "loss" in r}  # processes meet where one validates
    summary = run.finished
    assert summary is not None
    assert summary["samples"] == 1600
    assert summary["composite_share"] == pytest.approx(0.4, abs=0.05)
    assert summary["best"]["step"] in (67, 134, 200)
    names = {"recipe.yaml", "environment.json", "metrics.jsonl", "plan-statistics.json", "model", "finished.json"}
    assert names <= {file.name for file in run.folder.iterdir()}
    assert ClipModel.load(run.model).parameter_count == summary["parameters"]


def test_rules_that_can_have_no_effect_are_kept_with_the_plan_s_statistics(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = {"columns": {"box": ["nowhere"]}, "images": [{"region": "box"}], "pairs": [{"forbid": "a.label = b.label"}]}
    policy = Policy.model_validate({**recipe.policy.model_dump(), "rules": rules})
    short = recipe.model_copy(update={"samples": 16, "policy": policy})
    with caplog.at_level("INFO", logger="clipc"):
        run = train(short, tmp_path / "run", catalog=tiny_catalog)
    (idle,) = json.loads((run.folder / "plan-statistics.json").read_text())["rules_without_effect"]
    assert (idle["text"], idle["no_effect"]) == ("region: box", {"code": "empty-columns", "columns": ["box"]})
    assert "no effect on these data: `region: box`;" in caplog.text


def test_same_seed_same_weights_and_another_seed_others(
    recipe: Recipe, never: Run, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    assert_equal(never, train(recipe, tmp_path / "again", catalog=tiny_catalog))
    other = train(recipe.model_copy(update={"seed": 1}), tmp_path / "c", catalog=tiny_catalog)
    assert not torch.equal(weights(never)["visual.proj"], weights(other)["visual.proj"])


@pytest.mark.parametrize("stop_at", [1, 7, 14])
def test_a_stopped_run_ends_in_the_same_weights(
    recipe: Recipe, never: Run, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    learn = loop.Learner.learn

    def learn_then_signal(self: loop.Learner, batch: Batch, step: int) -> torch.Tensor:
        if step + 1 == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return learn(self, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Learner, "learn", learn_then_signal)
        with pytest.raises(Interrupted, match=f"step {stop_at} of 15"):
            train(recipe, tmp_path / "stopped", catalog=tiny_catalog)
    assert Run(tmp_path / "stopped").finished is None
    resumed = train(recipe, tmp_path / "stopped", catalog=tiny_catalog)
    assert_equal(never, resumed)
    ours, theirs = ([r for r in run.metrics() if "validation" in r] for run in (never, resumed))
    assert ours == theirs
    assert never.finished is not None
    assert resumed.finished is not None
    same = ("best", "composite_share", "treated", "steps")
    assert {k: never.finished[k] for k in same} == {k: resumed.finished[k] for k in same}


def test_a_damaged_checkpoint_costs_its_steps_alone(
    recipe: Recipe,
    tiny_catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    often = recipe.model_copy(update={"checkpoint_seconds": 1e-9})
    never = train(often, tmp_path / "never", catalog=tiny_catalog)
    learn = loop.Learner.learn

    def stopping(self: loop.Learner, batch: Batch, step: int) -> torch.Tensor:
        if step == 12:
            signal.raise_signal(signal.SIGTERM)
        return learn(self, batch, step)

    run = Run(tmp_path / "damaged")
    with monkeypatch.context() as patch:
        patch.setattr(loop.Learner, "learn", stopping)
        with pytest.raises(Interrupted):
            train(often, run.folder, catalog=tiny_catalog)
    assert loop.checkpoint_steps(run.checkpoints) == [12, 13]
    (run.checkpoints / "step-13" / "progress.json").write_text("")
    caplog.set_level(logging.INFO, "clipc")
    train(often, run.folder, catalog=tiny_catalog)
    assert any("step 13" in sentence and "is damaged" in sentence for sentence in caplog.messages)
    assert any("resumes after 12 of 15 steps" in sentence for sentence in caplog.messages)
    assert_equal(never, run)


@pytest.mark.soak
def test_a_killed_run_ends_in_the_same_weights(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    recipe = recipe.model_copy(update={"checkpoint_seconds": 0.3, "samples": 4000})
    never = train(recipe, tmp_path / "never", catalog=tiny_catalog)
    write_recipe(recipe, tmp_path / "recipe.yaml")
    command = [sys.executable, "-m", "clipc", "train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "killed")]
    run = Run(tmp_path / "killed")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not loop.checkpoint_steps(run.checkpoints):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert run.finished is None, "the run ended before it was killed"
    assert subprocess.run(command, capture_output=True, check=True).returncode == 0
    assert_equal(never, run)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
@pytest.mark.soak
def test_a_signal_to_the_whole_group_leaves_a_checkpoint(recipe: Recipe, tiny_source: Path, tmp_path: Path) -> None:
    endless = recipe.model_copy(update={"renderer": "worker", "num_workers": 1, "samples": 4_000_000, "validations": 0})
    write_recipe(endless, tmp_path / "recipe.yaml")
    run = Run(tmp_path / "run")
    command = [sys.executable, "-m", "clipc", "train", str(tmp_path / "recipe.yaml"), "--out", str(run.folder)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while process.poll() is None and not any("loss" in record for record in run.metrics()):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate()[1]
    assert "stopped at step" in said
    assert len(loop.checkpoint_steps(run.checkpoints)) == 1


def test_the_best_model_is_safe_where_steps_are_not_repeated_to_the_bit(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.Trainer, "_deterministic", False)
    saved: list[tuple[int, dict[str, float] | None]] = []
    save = loop.Trainer._save

    def noting(self: loop.Trainer) -> None:
        saved.append((self.step, self.best))
        save(self)

    monkeypatch.setattr(loop.Trainer, "_save", noting)
    run = train(recipe, tmp_path, catalog=tiny_catalog)
    assert run.finished is not None
    assert saved[-1] == (run.finished["best"]["step"], run.finished["best"])


def test_a_resume_restores_the_precision(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    auto = recipe.model_copy(update={"precision": "auto"})
    usual = choose_precision("auto", torch.device("cpu"))
    other = "bfloat16" if usual == torch.float32 else "float32"
    run = Run(tmp_path)
    run.begin(auto, {"threads": 1, "precision": other}, tiny_catalog)
    caplog.set_level(logging.INFO, "clipc")
    train(auto, tmp_path, catalog=tiny_catalog)
    assert any(f"continues in {other}, as it started" in sentence for sentence in caplog.messages)
    assert any(f"on cpu in {other}" in sentence for sentence in caplog.messages)


def test_a_resume_restores_the_thread_count(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    run, short = Run(tmp_path), recipe.model_copy(update={"samples": 16, "validations": 1})
    run.begin(short, {"threads": 2}, tiny_catalog)
    seen: list[int] = []
    before = torch.get_num_threads()
    train(short, tmp_path, catalog=tiny_catalog, progress=lambda *_: seen.append(torch.get_num_threads()))
    assert set(seen) == {2}
    assert torch.get_num_threads() == before


def test_fewer_pairs_than_a_batch_is_refused_with_advice(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"40 training pairs, fewer than one batch of 64; set batch_size=10"):
        train(recipe.model_copy(update={"batch_size": 64}), tmp_path, catalog=tiny_catalog)


def test_a_batch_as_large_as_the_data_and_a_single_pair(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    run = train(recipe.model_copy(update={"batch_size": 40}), tmp_path / "all", catalog=tiny_catalog)
    assert run.finished is not None
    with pytest.raises(UserError, match="1 training pairs, fewer than one batch of 8; set batch_size=2"):
        train(recipe, tmp_path / "one", catalog=tiny_catalog.take([0]))


def test_a_loss_that_is_no_number_stops_with_advice(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    wild = recipe.model_copy(update={"learning_rate": 1e30, "warmup": 0.0})
    with pytest.raises(UserError, match=r"not finite at step .* learning_rate below 1e\+30"):
        train(wild, tmp_path, catalog=tiny_catalog)


def test_unreadable_images_are_logged_and_the_run_goes_on(recipe: Recipe, tiny_source: Path, tmp_path: Path) -> None:
    for file in tiny_source.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    catalog = open_catalog(tmp_path / "pairs.jsonl")
    (tmp_path / "07.png").unlink()
    run = train(recipe, tmp_path / "run", catalog=catalog)
    assert run.finished is not None
    told = [r["unreadable"] for r in run.metrics() if "unreadable" in r]
    assert len(told) == run.finished["unreadable"] > 0
    assert set(told) == {catalog.keys[7]}


def test_a_crash_while_logging_is_passed_over(tmp_path: Path) -> None:
    run = Run(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [r["step"] for r in run.metrics()] == [1, 2]
    run.drop_metrics_after(1)
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [{"step": 1}]


def test_a_folder_of_another_recipe_or_other_data_is_refused(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, learn = tmp_path / "run", loop.Learner.learn

    def stopping(self: loop.Learner, batch: Batch, step: int) -> torch.Tensor:
        if step == 4:
            signal.raise_signal(signal.SIGTERM)
        return learn(self, batch, step)

    monkeypatch.setattr(loop.Learner, "learn", stopping)
    with pytest.raises(Interrupted):
        train(recipe, folder, catalog=tiny_catalog)
    monkeypatch.undo()
    other = recipe.model_copy(update={"learning_rate": 0.1})
    with pytest.raises(UserError, match=r"run holds a run of another recipe.*name another folder"):
        train(other, folder, catalog=tiny_catalog)
    # How it is computed, and what is told of it, may change.
    free = {"threads": 2, "num_workers": 1, "grad_cache_chunks": 2, "checkpoint_seconds": 5.0, "track": ()}
    assert train(recipe.model_copy(update=free), folder, catalog=tiny_catalog).finished is not None
    with pytest.raises(UserError, match="holds a run of another recipe"):
        train(other, folder, catalog=tiny_catalog)


def test_weights_that_are_no_numbers_are_never_saved(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = loop.Learner.learn

    def poisoning(self: loop.Learner, batch: Batch, step: int) -> torch.Tensor:
        loss = learn(self, batch, step)
        if step == 4:
            with torch.no_grad():
                self.model.logit_scale.fill_(math.nan)
        return loss

    monkeypatch.setattr(loop.Learner, "learn", poisoning)
    with pytest.raises(UserError, match=r"not finite at step 5 .*step 4"):
        train(recipe.model_copy(update={"checkpoint_seconds": 1e-9}), tmp_path / "run", catalog=tiny_catalog)


def test_a_folder_that_cannot_be_written_is_one_clear_sentence(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder", "utf-8")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match=r"could not be written .*(File exists|Not a directory)"):
            train(recipe, place, catalog=tiny_catalog)


def test_a_folder_in_use_is_refused(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with run.lock(), pytest.raises(UserError, match="another process is training in"):
        train(recipe, run.folder, catalog=tiny_catalog)
    assert train(recipe, run.folder, catalog=tiny_catalog).finished is not None
    assert not run.checkpoints.exists()


def test_people_are_told_what_happens(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clipc")
    train(recipe, tmp_path / "run", catalog=tiny_catalog)
    assert "15 steps of 8 pairs, so each pair is seen" in caplog.messages[1]
    assert sum("mean recall" in sentence for sentence in caplog.messages) == 3


def test_few_parameters_are_told_in_thousands(
    recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("peft")
    caplog.set_level(logging.INFO, "clipc")
    asked = make_recipe({**recipe.model_dump(), "tune": {"lora": 4}})
    train(asked, tmp_path / "run", catalog=tiny_catalog)
    assert re.search(r": training [1-9]\d*\.\d thousand parameters on", caplog.messages[1])


def test_random_weights_are_not_locked(recipe: Recipe, tiny_catalog: Catalog, tmp_path: Path) -> None:
    asked = make_recipe({**recipe.model_dump(), "tune": {"image": "locked"}})
    with pytest.raises(UserError, match="would keep fresh random weights"):
        train(asked, tmp_path / "run", catalog=tiny_catalog)


def test_a_loss_that_is_no_number_comes_whole_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(Diverged("the loss is not a number.", 7)))
    assert (str(error), error.step) == ("the loss is not a number.", 7)
