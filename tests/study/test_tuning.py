import os
import platform
from pathlib import Path

import pytest

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.study.design import Study, checked
from clipc.study.tuning import _asked, _dead, search, with_settings  # pyright: ignore[reportPrivateUsage]
from clipc.train.recipe import Data

pytest.importorskip("optuna")


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
    left = _asked(journal, study, study.expanded[1])
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
    assert search(study, tiny_catalog, tmp_path) == found

    fixed = with_settings(study, found)
    assert not fixed.ranges
    recipes = {arm.name: recipe for arm, recipe in zip(fixed.expanded, checked(fixed), strict=True)}
    assert recipes["clip"].learning_rate == found[0].settings["learning_rate"]
    assert recipes["clip"].policy.rho == 0
    assert recipes["clip-c"].batch_size == found[1].settings["batch_size"]


def test_settings_that_others_try_are_waited_for(study: Study, tiny_catalog: Catalog, tmp_path: Path) -> None:
    asked = _asked(tmp_path / "search.journal", study, study.expanded[0])
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
