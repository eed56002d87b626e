"""An arm whose loss stops being a number does not stop the others, and is told as what it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from clipc.errors import UserError
from clipc.report.sections.headline import headline_words
from clipc.report.study import render_study
from clipc.report.words import LANGUAGES, words
from clipc.study.board import StatusBoard
from clipc.study.design import Study
from clipc.study.run import diverged_trials, finished_trials, pending_trials, plan_study
from clipc.study.study import run_study

from .in_process import in_process
from .logged import logged


def hot_study(source: Path, model: str, **more: Any) -> Study:
    settings = {"model": model, "precision": "fp32", "batch_size": 8, "samples": 80, "threads": 1, "validations": 1}
    arms = {"clip": {"policy.rho": 0}, "hot": {"learning_rate": 1e30}, "clip-c": {"policy.rho": 0.3}}
    fields = {"name": "tiny", "data": {"source": str(source)}, "recipe": "nano", "set": settings, "seeds": 2}
    return Study.model_validate({**fields, "arms": arms, **more})


@pytest.fixture(scope="module")
def ran(
    tiny_source: Path, tiny_model: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Study, Path, dict[str, Any], list[str]]:
    study, folder = hot_study(tiny_source, tiny_model), tmp_path_factory.mktemp("hot")
    with logged() as told, in_process():
        tables = run_study(study, folder, jobs=1)
    return study, folder, json.loads(json.dumps(tables, allow_nan=False)), told


def test_the_arms_after_it_run(ran: tuple[Study, Path, dict[str, Any], list[str]]) -> None:
    study, folder, tables, told = ran
    planned = plan_study(study, study.data.open(), folder, folder / "records")
    assert {p.trial.arm for p, _ in finished_trials(study, planned)} == {"clip", "clip-c"}
    assert {p.trial.arm for p, _ in diverged_trials(study, planned)} == {"hot"}
    assert not pending_trials(study, planned)
    assert (tables["planned"], tables["finished"]) == (6, 6)
    assert [(row["arm"], row["seed"]) for row in tables["diverged"]] == [("hot", 0), ("hot", 1)]
    assert all(row["step"] >= 1 for row in tables["diverged"])
    assert {row["arm"] for row in tables["comparisons"]} == {"clip-c"}
    assert {"code": "diverged", "arm": "hot", "n": 2} in tables["not_shown"]
    assert not any("unfinished" in str(code) for code in tables["not_shown"])
    said = told[-1]
    assert said.startswith("arm 'hot', 40 pairs: the loss was not a number with 2 of 2 seeds (seed 0 at step ")
    assert str(diverged_trials(study, planned)[0][0].record) in said


def test_it_is_not_run_again_and_leaves_no_weights(ran: tuple[Study, Path, dict[str, Any], list[str]]) -> None:
    study, folder, tables, _ = ran
    stamps = {file: file.stat().st_mtime_ns for file in (folder / "trials").rglob("*")}
    with logged() as told:
        again = run_study(study, folder, jobs=1)
    assert {file: file.stat().st_mtime_ns for file in (folder / "trials").rglob("*")} == stamps
    assert "4 finished already, 2 diverged." in told[0]
    assert again["comparisons"] == tables["comparisons"]
    assert not list(folder.glob("trials/*/checkpoints/*"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_says_so(ran: tuple[Study, Path, dict[str, Any], list[str]], lang: str) -> None:
    say = words(lang)
    page = render_study(ran[2], lang=lang)
    assert say("study.diverged", n=2, of=2) in page
    assert any("hot (2)" in caution for caution in headline_words(ran[2], say).limitations)


def test_a_report_needs_no_arm_to_be_whole(ran: tuple[Study, Path, dict[str, Any], list[str]], tmp_path: Path) -> None:
    study, folder, _, _ = ran
    more = study.model_copy(update={"arms": {**study.arms, "gone": {"model": str(tmp_path / "none")}}})
    tables = run_study(more, tmp_path, records=folder / "records", train=False)
    assert {"code": "unfinished", "n": 6, "planned": 8} in tables["not_shown"]
    assert not list(tmp_path.glob("trials"))
    with pytest.raises(UserError, match="arm 'gone': there is no model folder"):
        run_study(more, tmp_path, records=folder / "records")


def test_where_all_diverge_there_is_nothing_to_tell(
    ran: tuple[Study, Path, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    study, folder, _, _ = ran
    hot = study.model_copy(update={"arms": {"hot": study.arms["hot"]}})
    with pytest.raises(UserError, match=r"^no trial has metrics, so there is nothing to report"):
        run_study(hot, tmp_path, records=folder / "records")


def test_a_board_counts_what_diverged_apart(tmp_path: Path) -> None:
    board = StatusBoard([("hot", 10, tmp_path / f"{seed}.json") for seed in range(3)])
    (tmp_path / "0.json").write_text(json.dumps({"diverged": {"step": 2}}))
    (tmp_path / "1.json").write_text(json.dumps({"summary": {"best": {"mean_recall": 0.25}}}))
    board.read_records()
    (row,) = board.rows()
    assert (row.finished, row.diverged, row.mean_recall, board.finished) == (1, 1, 0.25, 2)


def test_a_trial_that_fails_otherwise_is_named(tiny_source: Path, tiny_model: str, tmp_path: Path) -> None:
    study = hot_study(tiny_source, tiny_model, arms={"locked": {"tune.image": "locked"}}, seeds=[3])
    with pytest.raises(UserError, match=r"^arm 'locked', 40 pairs, seed 3: tune.image=locked would keep"), in_process():
        run_study(study, tmp_path, jobs=1)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_page_whose_baseline_diverged_compares_nothing(
    ran: tuple[Study, Path, dict[str, Any], list[str]], tmp_path: Path, lang: str
) -> None:
    study, folder, _, _ = ran
    arms = {name: study.arms[name] for name in ("hot", "clip", "clip-c")}
    hot = study.model_copy(update={"arms": arms, "controls": ("clip",)})
    tables = run_study(hot, tmp_path, records=folder / "records", train=False)
    assert (tables["baseline"], [r for r in tables["comparisons"] if r["against"] == "hot"]) == ("hot", [])
    say = words(lang)
    assert headline_words(tables, say).badge == ("unknown", say("study.class.unknown"))
    assert say("study.diverged", n=2, of=2) in render_study(tables, lang=lang)
