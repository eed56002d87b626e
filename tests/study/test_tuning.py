import os
import platform
from pathlib import Path
from typing import Any

import pytest

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.study.design import Study, checked
from clipc.study.journal import _dead, open_tries  # pyright: ignore[reportPrivateUsage]
from clipc.study.spread import Range
from clipc.study.tuning import _try, search, with_settings  # pyright: ignore[reportPrivateUsage]
from clipc.train.loop import Diverged
from clipc.train.recipe import Data, Recipe
from clipc.train.run import Run

pytest.importorskip("optuna")


class Trained(list[Recipe]):
    """Stands in for training; diverges above a learning rate."""

    def __init__(self, limit: float = 1.0) -> None:
        self.limit = limit

    def __call__(self, recipe: Recipe, folder: Path, **_: Any) -> Run:
        self.append(recipe)
        if recipe.learning_rate > self.limit:
            raise Diverged("the loss is not a number.")
        Run(folder).write_json("finished.json", {"best": {"mean_recall": 0.5}})
        return Run(folder)


@pytest.fixture(scope="module")
def study(tiny_source: Path, tiny_model: str) -> Study:
    shared = {"model": tiny_model, "precision": "fp32", "batch_size": 8, "samples": 160, "validations": 4}
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
    journal, told = tmp_path / "search.journal", list[str]()
    # A process that died left a setting half tried.
    left = open_tries(journal, study, study.expanded[1], tiny_catalog)
    trial = left.ask()
    rate = trial.suggest_float("learning_rate", 0.0001, 0.01, log=True)
    trial.suggest_float("policy.rho", 0.1, 0.9)
    trial.suggest_categorical("batch_size", [4, 8])
    trial.set_user_attr("host", platform.node())
    trial.set_user_attr("process", 2**22 + 1)
    found = search(study, tiny_catalog, tmp_path, jobs=2, tell=told.append)
    assert [best.arm for best in found] == ["clip", "clip-c"]
    assert [best.tried for best in found] == [4, 4]
    assert set(found[1].settings) == {"learning_rate", "policy.rho", "batch_size"}
    assert all(0.0001 <= best.settings["learning_rate"] <= 0.01 for best in found)
    assert rate in [t.params["learning_rate"] for t in left.get_trials(deepcopy=False)[1:]]
    assert "4 tried" in told[0]
    assert not list(tmp_path.rglob("eval"))  # the test split was left alone
    assert search(study, tiny_catalog, tmp_path, train=False) == search(study, tiny_catalog, tmp_path) == found
    for trial in (t for t in left.get_trials(deepcopy=False) if t.value is not None):
        assert list(trial.intermediate_values) == [1, 2, 3]  # whatever the batch size; the fourth is the end

    fixed = with_settings(study, found)
    assert not fixed.ranges
    recipes = {arm.name: recipe for arm, recipe in zip(fixed.expanded, checked(fixed), strict=True)}
    assert recipes["clip"].learning_rate == found[0].settings["learning_rate"]
    assert recipes["clip"].policy.rho == 0
    assert recipes["clip-c"].batch_size == found[1].settings["batch_size"]


def test_settings_that_others_try_are_waited_for(study: Study, tiny_catalog: Catalog, tmp_path: Path) -> None:
    asked = open_tries(tmp_path / "search.journal", study, study.expanded[0], tiny_catalog)
    for _ in range(4):
        trial = asked.ask()
        trial.set_user_attr("host", "another machine")
        trial.set_user_attr("process", 1)
    one = study.model_copy(update={"arms": {"clip": study.arms["clip"]}})
    with pytest.raises(UserError, match="4 settings of 'clip' are still being tried by other processes"):
        search(one, tiny_catalog, tmp_path)


def test_only_dead_processes_of_this_machine_are_dead() -> None:
    assert not _dead({"host": platform.node(), "process": os.getpid()})
    assert _dead({"host": platform.node(), "process": 2**22 + 1})
    assert not _dead({"host": "another", "process": 2**22 + 1})


def test_a_share_between_0_and_1_is_no_whole_number(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipc.study.tuning.train", trained := Trained())
    arms = {"clip-c": {"policy.rho": Range(0, 1), "batch_size": Range(4, 8)}}
    ours = study.model_copy(update={"arms": arms})
    for _ in range(3):
        _try(ours, ours.expanded[0], tiny_catalog, tmp_path, tmp_path / "search.journal", 1)
    assert all(0 < recipe.policy.rho < 1 for recipe in trained)
    assert all(isinstance(recipe.batch_size, int) for recipe in trained)
    # What was lucky with the seed of the search is not measured with it.
    assert {recipe.seed for recipe in trained} == {2}
    assert not {2} & set(study.seeds)


def test_a_report_reads_the_journal_and_trains_nothing(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"unfinished \(0 of 8 tries .* without --report goes on"):
        search(study, tiny_catalog, tmp_path / "none", train=False)
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr("clipc.study.tuning.train", Trained())
    _try(study, study.expanded[0], tiny_catalog, tmp_path, tmp_path / "search.journal", 1)
    before = (tmp_path / "search.journal").read_bytes()
    with pytest.raises(UserError, match="1 of 8 tries"):
        search(study, tiny_catalog, tmp_path, train=False)
    assert (tmp_path / "search.journal").read_bytes() == before


def test_other_data_ranges_recipes_and_seeds_are_other_searches(
    study: Study, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    def name(of: Study, catalog: Catalog) -> str:
        return open_tries(tmp_path / "search.journal", of, of.expanded[1], catalog).study_name

    changed = [
        study.model_copy(update={"set": {**study.set, "learning_rate": {"from": 0.001, "to": 0.01, "log": True}}}),
        study.model_copy(update={"set": {**study.set, "validations": 5}}),
        study.model_copy(update={"seeds": (5,)}),
    ]
    names = [name(study, tiny_catalog.split("train")), *(name(of, tiny_catalog) for of in [study, *changed])]
    assert len(set(names)) == 5
    assert name(study.model_copy(update={"note": "new"}), tiny_catalog) == names[1]


def test_each_try_has_draws_of_its_own_and_a_known_setting_is_not_trained_again(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Trained()
    monkeypatch.setattr("clipc.study.tuning.train", trained)
    for _ in range(3):  # as processes that begin, or searches that go on
        _try(study, study.expanded[0], tiny_catalog, tmp_path, tmp_path / "search.journal", 1)
    assert len({recipe.learning_rate for recipe in trained}) == 3

    trained.clear()
    fixed = {**study.set, "learning_rate": 0.001}
    arms = {"clip": {}, "choice": {"batch_size": {"one_of": [4, 8]}}}
    few = Study.model_validate({**study.model_dump(), "set": fixed, "arms": arms})
    for arm in few.expanded:
        for _ in range(4):
            _try(few, arm, tiny_catalog, tmp_path, tmp_path / "search.journal", 1)
    assert len(trained) == 1 + len({recipe.batch_size for recipe in trained[1:]})
    told = list[str]()
    found = search(few, tiny_catalog, tmp_path, tell=told.append)
    assert [(best.tried, best.validation) for best in found] == [(1, 0.5), (4, 0.5)]
    assert told[0].startswith("clip: its only setting is best")


def test_one_setting_at_work_twice_has_two_folders(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm, journal, folders = study.expanded[0], tmp_path / "search.journal", list[Path]()
    asked = open_tries(journal, study, arm, tiny_catalog)

    def train(recipe: Recipe, folder: Path, **_: Any) -> Run:
        folders.append(folder)
        if len(folders) == 1:
            asked.enqueue_trial({"learning_rate": recipe.learning_rate})
            _try(study, arm, tiny_catalog, tmp_path, journal, 1)
        return Trained()(recipe, folder)

    monkeypatch.setattr("clipc.study.tuning.train", train)
    _try(study, arm, tiny_catalog, tmp_path, journal, 1)
    assert [folder.name for folder in folders] == [folders[0].name, f"{folders[0].name}-1"]


def test_a_setting_that_diverges_counts_as_a_try(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = study.model_copy(update={"arms": {"clip": study.arms["clip"]}})
    for limit, folder in ((0.001, tmp_path / "some"), (0.0, tmp_path / "all")):
        folder.mkdir()
        monkeypatch.setattr("clipc.study.tuning.train", Trained(limit))
        for rate in (0.0005, 0.005, 0.006, 0.007):
            open_tries(folder / "search.journal", one, one.expanded[0], tiny_catalog).enqueue_trial(
                {"learning_rate": rate}
            )
            _try(one, one.expanded[0], tiny_catalog, folder, folder / "search.journal", 1)
    (found,) = search(one, tiny_catalog, tmp_path / "some")
    assert (found.settings, found.tried, found.pruned) == ({"learning_rate": 0.0005}, 4, 3)
    with pytest.raises(UserError, match="not a number in any of the 4 tries of 'clip'"):
        search(one, tiny_catalog, tmp_path / "all")
