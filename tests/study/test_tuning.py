import os
import platform
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.recipe.data import Data
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.study.arms import Range
from clipc.study.design import Study
from clipc.study.journal import DEAD_AFTER, SEARCH_SEED, ArmSearch, Heartbeat, count_tries, is_dead, search_seed
from clipc.study.recipes import check_recipes
from clipc.study.tuning import _try, search  # pyright: ignore[reportPrivateUsage]
from clipc.train.diverged import Diverged
from clipc.train.interrupt import Interrupted

from .in_process import in_process
from .logged import logged

optuna = pytest.importorskip("optuna")


class Trained(list[Recipe]):
    """Stands in for training; diverges above a learning rate."""

    def __init__(self, limit: float = 1.0) -> None:
        self.limit = limit

    def __call__(self, recipe: Recipe, folder: Path, **_: Any) -> Run:
        self.append(recipe)
        if recipe.learning_rate > self.limit:
            raise Diverged("the loss is not a number.", 3)
        Run(folder).write_json("finished.json", {"best": {"mean_recall": 0.5}})
        return Run(folder)


@pytest.fixture(scope="module")
def study(tiny_source: Path, tiny_model: str) -> Study:
    shared = {"model": tiny_model, "precision": "fp32", "batch_size": 8, "samples": 80, "validations": 4, "threads": 1}
    return Study.model_validate(
        {
            "name": "tiny",
            "data": Data(source=str(tiny_source)),
            "recipe": "nano",
            "set": {**shared, "learning_rate": {"from": 0.0001, "to": 0.01, "log": True}},
            "arms": {
                "clip": {"policy.rho": 0},
                "clip-c": {"policy.rho": {"from": 0.1, "to": 0.9}, "batch_size": {"one_of": [4, 8]}},
            },
            "search": {"trials": 4},
            "seeds": 2,
        }
    )


def test_every_arm_gets_as_many_tries_and_goes_on_where_it_stopped(
    study: Study, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    journal = tmp_path / "search.journal"
    # A process that died left a setting half tried.
    left = ArmSearch(study, study.expanded_arms[1], tiny_catalog, journal).open()
    trial = left.ask()
    rate = trial.suggest_float("learning_rate", 0.0001, 0.01, log=True)
    trial.suggest_float("policy.rho", 0.1, 0.9)
    trial.suggest_categorical("batch_size", [4, 8])
    trial.set_user_attr("host", platform.node())
    trial.set_user_attr("process", 2**22 + 1)
    with logged() as told:
        found = search(study, tiny_catalog, tmp_path, tmp_path / "search.journal", jobs=2)
    assert [best.arm for best in found] == ["clip", "clip-c"]
    assert [best.tried for best in found] == [4, 4]
    assert found[1].settings is not None
    assert set(found[1].settings) == {"learning_rate", "policy.rho", "batch_size"}
    assert all(0.0001 <= (best.settings or {})["learning_rate"] <= 0.01 for best in found)
    assert not [*tmp_path.rglob("*.safetensors"), *tmp_path.rglob("step-*")]  # figures alone stay
    assert list(tmp_path.rglob("finished.json"))
    assert rate in [t.params["learning_rate"] for t in left.get_trials(deepcopy=False)[1:]]
    assert "4 tried" in told[0]
    assert not list(tmp_path.rglob("eval"))  # the test split was left alone
    assert search(study, tiny_catalog, tmp_path, journal, train=False) == found
    assert search(study, tiny_catalog, tmp_path, journal) == found
    for trial in (t for t in left.get_trials(deepcopy=False) if t.value is not None):
        assert list(trial.intermediate_values) == [1, 2, 3]  # whatever the batch size; the fourth is the end

    fixed = study.with_settings({best.arm: best.settings for best in found})
    assert not fixed.has_ranges
    recipes = {arm: recipe for arm, (recipe,) in check_recipes(fixed).items()}
    assert recipes["clip"].learning_rate == (found[0].settings or {})["learning_rate"]
    assert recipes["clip"].policy.rho == 0
    assert recipes["clip-c"].batch_size == found[1].settings["batch_size"]


@pytest.fixture
def others(study: Study, tiny_catalog: Catalog, tmp_path: Path) -> tuple[Study, Any]:
    """One arm, and its record: four settings that another machine is trying."""
    one = study.model_copy(update={"arms": {"clip": study.arms["clip"]}})
    asked = ArmSearch(one, one.expanded_arms[0], tiny_catalog, tmp_path / "search.journal").open()
    for _ in range(4):
        trial = asked.ask()
        trial.suggest_float("learning_rate", 0.0001, 0.01, log=True)
        trial.set_user_attr("host", "another machine")
        trial.set_user_attr("process", 1)
        trial.set_user_attr("seen", time.time())
    return one, asked


def test_settings_that_others_try_are_waited_for(
    others: tuple[Study, Any], tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, asked = others
    monkeypatch.setattr("clipc.study.tuning.POLL_EVERY", 0.1)

    def finish() -> None:
        time.sleep(1)
        for number in range(4):
            asked.tell(number, 0.1 * number)

    thread = threading.Thread(target=finish)
    thread.start()
    with logged() as told:
        (found,) = search(one, tiny_catalog, tmp_path, tmp_path / "search.journal")
    thread.join()
    assert found.validation == pytest.approx(0.3)
    assert told[0] == "tiny: waiting for 4 tries of 'clip' in other processes."
    assert len(told) == 2


def test_nothing_is_waited_for_where_nothing_is_trained(
    others: tuple[Study, Any], tiny_catalog: Catalog, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"unfinished \(0 of 4 tries"):
        search(others[0], tiny_catalog, tmp_path, tmp_path / "search.journal", train=False)


def test_a_mistake_in_a_range_or_an_arm_is_told_before_anything_is_tried(
    study: Study, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    for changes, told in (
        ({"validations": {"one_of": [4, 0]}}, "set validations to 1 or more"),
        ({"model": {"one_of": [study.set["model"], "runs/none"]}}, "arm 'last': there is no model folder runs/none"),
        ({"batch_size": {"from": 8, "to": 64}}, "arm 'last': .* 40 training pairs, fewer than one batch of 64"),
    ):
        wrong = study.model_copy(update={"arms": {**study.arms, "last": changes}})
        with pytest.raises(UserError, match=told):
            search(wrong, tiny_catalog, tmp_path / "none", tmp_path / "none" / "search.journal")
    assert not (tmp_path / "none").exists()


def test_what_dies_elsewhere_is_taken_over(
    others: tuple[Study, Any], tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, asked = others
    monkeypatch.setattr("clipc.study.tuning.POLL_EVERY", 0.1)
    ours = asked.get_trials(deepcopy=False)
    for number in range(3):
        asked.tell(number, 0.001)
    optuna.trial.Trial(asked, ours[3]._trial_id).set_user_attr("seen", time.time() - DEAD_AFTER - 1)
    with in_process():
        (found,) = search(one, tiny_catalog, tmp_path, tmp_path / "search.journal", jobs=1)
    assert found.tried == 4
    assert found.settings == ours[3].params


def test_waiting_stops_when_asked(others: tuple[Study, Any], tiny_catalog: Catalog, tmp_path: Path) -> None:
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(Interrupted, match="the same command resumes from there"):
        search(others[0], tiny_catalog, tmp_path, tmp_path / "search.journal")
    timer.join()


def test_tries_are_dead_whose_process_is_gone_or_that_nobody_has_seen_for_long() -> None:
    def dead(**attributes: Any) -> bool:
        state = optuna.trial.TrialState.RUNNING
        return is_dead(optuna.trial.create_trial(state=state, user_attrs=attributes))

    here, now = platform.node(), time.time()
    assert not dead(host=here, process=os.getpid(), seen=now)
    assert dead(host=here, process=os.getpid(), seen=now - DEAD_AFTER - 1)  # the number of another process
    assert dead(host=here, process=2**22 + 1, seen=now)
    assert not dead(host="another", process=2**22 + 1, seen=now)
    assert dead(host="another", process=2**22 + 1, seen=now - DEAD_AFTER - 1)
    assert not dead()  # just begun, before its process is named
    old = optuna.trial.create_trial(state=optuna.trial.TrialState.COMPLETE, value=1.0, user_attrs={"seen": 0.0})
    assert not is_dead(old)


def test_a_try_is_seen_once_a_minute_and_gives_itself_up_when_it_fails(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm, journal = study.expanded_arms[0], tmp_path / "search.journal"
    asked = ArmSearch(study, arm, tiny_catalog, journal).open()
    trial = asked.ask()
    life = Heartbeat(trial)
    first = trial.user_attrs["seen"]
    life.beat()
    assert trial.user_attrs["seen"] == first
    monkeypatch.setattr("clipc.study.journal.HEARTBEAT_EVERY", 0.0)
    life.beat()
    assert trial.user_attrs["seen"] > first
    asked.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        life.beat()

    def train(recipe: Recipe, folder: Path, *, progress: Any, **_: Any) -> Run:
        progress("training", 0, 1)
        raise Interrupted("stopped.")

    monkeypatch.setattr("clipc.study.tuning.train", train)
    with pytest.raises(Interrupted):
        _try(ArmSearch(study, arm, tiny_catalog, journal), tmp_path, 1)
    assert is_dead(asked.get_trials(deepcopy=False)[1])
    assert count_tries(ArmSearch(study, arm, tiny_catalog, journal).open(requeue=True)) == 0

    # One that was taken over meanwhile ends without a word.
    def taken(recipe: Recipe, folder: Path, *, progress: Any, **_: Any) -> Run:
        asked.tell(asked.get_trials(deepcopy=False)[-1].number, state=optuna.trial.TrialState.FAIL)
        progress("training", 0, 1)
        raise AssertionError("went on")

    monkeypatch.setattr("clipc.study.tuning.train", taken)
    _try(ArmSearch(study, arm, tiny_catalog, journal), tmp_path, 1)
    assert count_tries(asked) == 0


def test_a_share_between_0_and_1_is_no_whole_number(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipc.study.tuning.train", trained := Trained())
    arms = {"clip-c": {"policy.rho": Range(0, 1), "batch_size": Range(4, 8)}}
    ours = study.model_copy(update={"arms": arms})
    for _ in range(3):
        _try(ArmSearch(ours, ours.expanded_arms[0], tiny_catalog, tmp_path / "search.journal"), tmp_path, 1)
    assert all(0 < recipe.policy.rho < 1 for recipe in trained)
    assert all(isinstance(recipe.batch_size, int) for recipe in trained)
    # What was lucky with the seed of the search is not measured with it.
    assert {recipe.seed for recipe in trained} == {SEARCH_SEED}


def test_a_report_reads_the_journal_and_trains_nothing(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"unfinished \(0 of 8 tries .* without --report goes on"):
        search(study, tiny_catalog, tmp_path / "none", tmp_path / "none" / "search.journal", train=False)
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr("clipc.study.tuning.train", Trained())
    _try(ArmSearch(study, study.expanded_arms[0], tiny_catalog, tmp_path / "search.journal"), tmp_path, 1)
    before = (tmp_path / "search.journal").read_bytes()
    with pytest.raises(UserError, match="1 of 8 tries"):
        search(study, tiny_catalog, tmp_path, tmp_path / "search.journal", train=False)
    assert (tmp_path / "search.journal").read_bytes() == before


def test_other_data_ranges_recipes_and_seeds_are_other_searches(
    study: Study, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    def name(of: Study, catalog: Catalog) -> str:
        return ArmSearch(of, of.expanded_arms[1], catalog, tmp_path / "search.journal").open().study_name

    changed = [
        study.model_copy(update={"set": {**study.set, "learning_rate": {"from": 0.001, "to": 0.01, "log": True}}}),
        study.model_copy(update={"set": {**study.set, "validations": 5}}),
        study.model_copy(update={"seeds": (SEARCH_SEED,)}),
    ]
    names = [name(study, tiny_catalog.split("train")), *(name(of, tiny_catalog) for of in [study, *changed])]
    assert len(set(names)) == 5
    assert name(study.model_copy(update={"note": "new"}), tiny_catalog) == names[1]
    more = study.model_copy(update={"seeds": tuple(range(12))})  # What was found goes on to hold.
    assert name(more, tiny_catalog) == names[1]


def test_the_seed_of_a_search_is_none_that_is_measured(study: Study) -> None:
    for seeds, expected in (((0, 1), 0), ((SEARCH_SEED,), 1), ((SEARCH_SEED + 1, SEARCH_SEED), 2)):
        assert search_seed(study.model_copy(update={"seeds": seeds})) == SEARCH_SEED + expected


def test_each_try_has_draws_of_its_own_and_a_known_setting_is_not_trained_again(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Trained()
    monkeypatch.setattr("clipc.study.tuning.train", trained)
    for _ in range(3):  # as processes that begin, or searches that go on
        _try(ArmSearch(study, study.expanded_arms[0], tiny_catalog, tmp_path / "search.journal"), tmp_path, 1)
    assert len({recipe.learning_rate for recipe in trained}) == 3

    trained.clear()
    fixed = {**study.set, "learning_rate": 0.001}
    arms = {"clip": {}, "choice": {"batch_size": {"one_of": [4, 8]}}}
    few = Study.model_validate({**study.model_dump(), "set": fixed, "arms": arms})
    for arm in few.expanded_arms:
        for _ in range(4):
            _try(ArmSearch(few, arm, tiny_catalog, tmp_path / "search.journal"), tmp_path, 1)
    assert len(trained) == 1 + len({recipe.batch_size for recipe in trained[1:]})
    with logged() as told:
        found = search(few, tiny_catalog, tmp_path, tmp_path / "search.journal")
    assert [(best.tried, best.validation) for best in found] == [(1, 0.5), (4, 0.5)]
    assert told[0].startswith("clip: best on validation: its only setting")


def test_one_setting_at_work_twice_has_two_folders(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm, journal, folders = study.expanded_arms[0], tmp_path / "search.journal", list[Path]()
    asked = ArmSearch(study, arm, tiny_catalog, journal).open()

    def train(recipe: Recipe, folder: Path, **_: Any) -> Run:
        folders.append(folder)
        if len(folders) == 1:
            asked.enqueue_trial({"learning_rate": recipe.learning_rate})
            _try(ArmSearch(study, arm, tiny_catalog, journal), tmp_path, 1)
        return Trained()(recipe, folder)

    monkeypatch.setattr("clipc.study.tuning.train", train)
    _try(ArmSearch(study, arm, tiny_catalog, journal), tmp_path, 1)
    assert [folder.name for folder in folders] == [folders[0].name, f"{folders[0].name}-1"]


def test_a_setting_that_diverges_counts_as_a_try(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = study.model_copy(update={"arms": {"clip": study.arms["clip"]}})
    for limit, folder in ((0.001, tmp_path / "some"), (0.0, tmp_path / "all")):
        folder.mkdir()
        monkeypatch.setattr("clipc.study.tuning.train", Trained(limit))
        for rate in (0.0005, 0.005, 0.006, 0.007):
            ArmSearch(one, one.expanded_arms[0], tiny_catalog, folder / "search.journal").open().enqueue_trial(
                {"learning_rate": rate}
            )
            _try(ArmSearch(one, one.expanded_arms[0], tiny_catalog, folder / "search.journal"), folder, 1)
    (found,) = search(one, tiny_catalog, tmp_path / "some", tmp_path / "some" / "search.journal")
    assert (found.settings, found.tried, found.given_up) == ({"learning_rate": 0.0005}, 4, 3)
    with pytest.raises(UserError, match="not a number in any of the 4 tries of 'clip'"):
        search(one, tiny_catalog, tmp_path / "all", tmp_path / "all" / "search.journal")


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("limit", [1.0, 0.0])
def test_a_try_leaves_models_only_where_they_are_to_stay(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool, limit: float
) -> None:
    runs = list[Run]()

    def train(recipe: Recipe, folder: Path, **_: Any) -> Run:
        run = Run(folder)
        runs.append(run)
        for made in (run.model, run.last_model, run.checkpoints / "step-1"):
            made.mkdir(parents=True)
        return Trained(limit)(recipe, folder)

    monkeypatch.setattr("clipc.study.tuning.train", train)
    keeping = study.model_copy(update={"keep_models": keep})
    _try(ArmSearch(keeping, study.expanded_arms[0], tiny_catalog, tmp_path / "search.journal"), tmp_path, 1)
    (run,) = runs
    assert (run.model.exists(), run.last_model.exists(), run.checkpoints.exists()) == (keep, keep, False)


def tried(study: Study, arm: int, catalog: Catalog, folder: Path, limit: float, patch: pytest.MonkeyPatch) -> None:
    """Tries all settings of one arm."""
    patch.setattr("clipc.study.tuning.train", Trained(limit))
    for _ in range(4):
        _try(ArmSearch(study, study.expanded_arms[arm], catalog, folder / "search.journal"), folder, 1)


def test_an_arm_that_diverges_with_all_settings_is_left_out(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried(study, 0, tiny_catalog, tmp_path, 0.0, monkeypatch)
    tried(study, 1, tiny_catalog, tmp_path, 1.0, monkeypatch)
    with logged() as told:
        found = search(study, tiny_catalog, tmp_path, tmp_path / "search.journal")
    assert [(best.arm, best.settings is None) for best in found] == [("clip", True), ("clip-c", False)]
    assert told[0] == "clip: the loss was not a number in any of its 4 tries; the arm is left out."
    left = study.with_settings({best.arm: best.settings for best in found})
    assert [arm.name for arm in left.expanded_arms] == ["clip-c"]
    assert left.baseline_name == "clip"  # no other arm takes the baseline's place


def test_a_report_leaves_out_what_is_unfinished(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried(study, 0, tiny_catalog, tmp_path, 1.0, monkeypatch)
    with logged() as told:
        found = search(study, tiny_catalog, tmp_path, tmp_path / "search.journal", train=False)
    assert [(best.tried, best.settings is None) for best in found] == [(4, False), (0, True)]
    assert told[1] == "clip-c: 0 of 4 settings are tried; the arm is left out."
