"""Figures are told without the weights that trials began with; going on says which weights are missing."""

import shutil
from pathlib import Path

import pytest

from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.study.checks import trains_from_scratch
from clipc.study.design import Study
from clipc.study.recipes import arm_recipe
from clipc.study.run import plan_study
from clipc.study.study import run_study

from .in_process import in_process


@pytest.fixture(scope="module")
def cloned(
    tiny_source: Path, tiny_model: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Study, Path, list[str]]:
    """A study that was run from a start that is gone since, its records, and the names of its trials."""
    folder = tmp_path_factory.mktemp("cloned")
    ClipModel.create(tiny_model, seed=5).save(folder / "start")
    settings = {"precision": "fp32", "batch_size": 8, "samples": 48, "validations": 1, "threads": 1}
    study = Study.model_validate(
        {
            "name": "tiny",
            "note": "The start is made by: clipc train.",
            "data": {"source": str(tiny_source)},
            "recipe": "nano",
            "set": {**settings, "model": str(folder / "start"), "policy.rho": 0},
            "seeds": 2,
            "arms": {"clip": {}, "clip-c": {"policy.rho": 0.5}, "fresh": {"model": tiny_model}},
        }
    )
    with in_process():
        run_study(study, folder, jobs=1)
    names = [p.trial.folder.name for p in plan_study(study, study.data.open(), folder, folder / "records")]
    shutil.rmtree(folder / "start")
    return study, folder / "records", names


def test_every_trial_is_found_by_what_its_record_says(cloned: tuple[Study, Path, list[str]], tmp_path: Path) -> None:
    study, records, names = cloned
    planned = plan_study(study, study.data.open(), tmp_path, records)
    assert [p.trial.folder.name for p in planned] == names
    assert {p.trial.arm for p in planned if p.missing_weights_message} == {"clip", "clip-c"}
    for train in (False, True):
        tables = run_study(study, tmp_path, records=records, train=train)
        assert (tables["finished"], tables["planned"]) == (6, 6)
        assert "from-scratch" not in tables["not_shown"]
    assert not list(tmp_path.glob("trials"))


def test_going_on_says_what_is_missing_and_how_it_is_made(
    cloned: tuple[Study, Path, list[str]], tmp_path: Path
) -> None:
    study, records, _ = cloned
    more = study.model_copy(update={"seeds": (0, 1, 2)})
    told = r"no model folder .*/start; .* Trials of this arm that are still to run: 1; .* The start is made by: clipc"
    with pytest.raises(UserError, match=told):
        run_study(more, tmp_path, records=records)
    assert run_study(more, tmp_path, records=records, train=False)["finished"] == 6
    alone = more.model_copy(update={"arms": {"fresh": study.arms["fresh"]}})
    with in_process():
        assert run_study(alone, tmp_path, records=records, jobs=1)["finished"] == 3  # what lacks nothing goes on


def test_records_that_cannot_be_told_apart_are_not_taken(cloned: tuple[Study, Path, list[str]], tmp_path: Path) -> None:
    study, records, names = cloned
    copy = shutil.copytree(records, tmp_path / "records")
    first = (copy / f"{names[0]}.json").read_text("utf-8")
    size, seed, mark = names[0].split("-")
    other = f"{size}-{seed}-{mark[::-1]}"
    (copy / f"{other}.json").write_text(first.replace(names[0], other), "utf-8")
    planned = plan_study(study, study.data.open(), tmp_path, copy)[0]
    assert not planned.record.exists()
    assert f"cannot be told apart: {', '.join(sorted((names[0], other)))}" in planned.missing_weights_message


def test_only_random_weights_are_fresh(cloned: tuple[Study, Path, list[str]]) -> None:
    study = cloned[0]
    fresh = [trains_from_scratch(arm_recipe(study, arm, 0, "all")) for arm in study.expanded_arms]
    assert fresh == [False, False, True]
