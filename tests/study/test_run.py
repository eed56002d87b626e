import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from clipc.catalog.catalog import Catalog
from clipc.cli import main
from clipc.cli.study_screen import _table
from clipc.errors import UserError
from clipc.study.board import StatusBoard
from clipc.study.design import Study, read_study
from clipc.study.run import evaluation_options, finished_trials, plan_study, run_and_record, run_pending, shard_of
from clipc.study.study_tables import study_tables, write_parquet
from clipc.train.checkpoint import checkpoint_steps


@pytest.fixture(scope="module")
def study_file(tiny_source: Path, tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms, two of them one recipe, at two sizes with two seeds."""
    file = tmp_path_factory.mktemp("study") / "tiny.yaml"
    settings: dict[str, Any] = {"model": tiny_model, "precision": "fp32", "batch_size": 8, "samples": 64, "threads": 1}
    fields = {
        "name": "tiny",
        "data": {"source": str(tiny_source)},
        "recipe": "nano",
        "set": {**settings, "validations": 2, "checkpoint_seconds": 0.1},
        "sizes": [16, "all"],
        "seeds": 2,
        "keep_models": "first",
        "controls": ["augment"],
        "arms": {
            "clip": {"policy.rho": 0},
            "augment": {"policy.treatment": "augment"},
            "rate": {"policy.rho": {"each": [0.3, 1.0]}},
            "same": {"policy": {"rho": 0.3}},
        },
    }
    with file.open("w") as stream:
        YAML().dump(fields, stream)
    return file


@pytest.fixture(scope="module")
def done(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Catalog, Path]:
    study, folder = read_study(study_file), tmp_path_factory.mktemp("done")
    catalog = study.data.open()
    run_pending(study, plan_study(study, catalog, folder, folder / "records"), jobs=2)
    return study, catalog, folder


def figures(folder: Path) -> dict[str, Any]:
    """What was measured, without how long it took."""
    kept = ("trial", "metrics", "last_metrics", "items", "loss", "validation", "context")
    records = {file.stem: json.loads(file.read_text("utf-8")) for file in folder.glob("*.json")}
    return {name: {key: record[key] for key in kept} for name, record in records.items()}


def test_every_trial_has_a_record_and_none_is_run_twice(done: tuple[Study, Catalog, Path]) -> None:
    study, catalog, folder = done
    planned = plan_study(study, catalog, folder, folder / "records")
    assert len(planned) == 5 * 2 * 2
    assert len(list((folder / "records").glob("*.json"))) == 4 * 2 * 2  # two arms are one recipe
    assert len(finished_trials(study, planned)) == len(planned)
    assert [p.trial.recipe.seed for p in planned] == [0] * 10 + [1] * 10
    kept = {file.parent for file in folder.glob("trials/*/model*")}
    assert kept == {p.trial.folder for p in planned if p.trial.recipe.seed == 0}
    assert not list(folder.glob("trials/*/model-last"))
    stamps = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    run_pending(study, planned)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == stamps


def test_arms_differ_in_what_is_under_test_alone(done: tuple[Study, Catalog, Path]) -> None:
    study, catalog, folder = done
    finished = finished_trials(study, plan_study(study, catalog, folder, folder / "records"))
    by_arm = {(p.trial.arm, p.size, o.trial.recipe.seed): o for p, o in finished}
    assert by_arm["same", 40, 1].metrics == by_arm["rate rho=0.3", 40, 1].metrics
    assert by_arm["clip", 16, 0].summary["composite_share"] == 0
    assert by_arm["rate rho=1", 16, 0].summary["composite_share"] == 1
    assert by_arm["augment", 40, 0].summary["composite_share"] == by_arm["same", 40, 0].summary["composite_share"]


def test_tables_hold_what_the_page_needs(done: tuple[Study, Catalog, Path]) -> None:
    study, catalog, folder = done
    finished = finished_trials(study, plan_study(study, catalog, folder, folder / "records"))
    tables = json.loads(json.dumps(study_tables(study, catalog, finished, 20, "clipc study x"), allow_nan=False))
    assert (tables["sizes"], tables["seeds"], tables["finished"]) == ([16, 40], [0, 1], 20)
    assert [arm["name"] for arm in tables["arms"]] == ["clip", "augment", "rate rho=0.3", "rate rho=1", "same"]
    main_metrics = [m["key"] for m in tables["metrics"] if m["main"]]
    axes = {(curve["axis"], curve["metric"]) for curve in tables["curves"]}
    assert axes == {(axis, metric) for axis in ("pairs", "policy.rho") for metric in main_metrics}
    rate = next(c for c in tables["curves"] if c["axis"] == "policy.rho")
    assert {line["name"]: [p["x"] for p in line["points"]] for line in rate["lines"]} == {"clip": [0], "rate": [0.3, 1]}
    assert rate["through"] == "clip"
    same = [r for r in tables["comparisons"] if r["arm"] == "same" and r["metric"] == main_metrics[0]]
    assert {(r["against"], r["size"]) for r in same} == {(a, n) for a in ("clip", "augment") for n in (16, 40)}
    assert tables["search"] == tables["diverged"] == []
    assert {"from-scratch", "equal-budget-only", "one-recipe"} <= {c for c in tables["not_shown"] if isinstance(c, str)}
    assert not any("unfinished" in str(code) for code in tables["not_shown"])


def test_lists_over_one_setting_are_lines_of_one_curve(done: tuple[Study, Catalog, Path]) -> None:
    study, catalog, folder = done
    finished = finished_trials(study, plan_study(study, catalog, folder, folder / "records"))
    twice = study.model_copy(update={"arms": {**study.arms, "again": study.arms["rate"]}})
    finished += [
        (replace(p, trial=replace(p.trial, arm=p.trial.arm.replace("rate", "again"))), outcome)
        for p, outcome in finished
        if p.trial.arm.startswith("rate")
    ]
    curves = [c for c in study_tables(twice, catalog, finished, 28, "")["curves"] if c["axis"] == "policy.rho"]
    assert len({c["metric"] for c in curves}) == len(curves)
    assert all([line["name"] for line in c["lines"]] == ["clip", "rate", "again"] for c in curves)


def test_stronger_augmentation_is_no_composite(done: tuple[Study, Catalog, Path], tmp_path: Path) -> None:
    study, catalog, folder = done
    finished = finished_trials(study, plan_study(study, catalog, folder, folder / "records"))
    tables = study_tables(study, catalog, finished, 20, "clipc study x")
    found = {arm["name"]: arm["results"][0] for arm in tables["arms"]}
    assert {name for name, result in found.items() if result["composite_share"] is None} == {"clip", "augment"}
    assert found["augment"]["treated_share"] == found["same"]["composite_share"] > 0
    write_parquet(finished, tmp_path / "study.parquet")
    rows = pq.read_table(tmp_path / "study.parquet").to_pylist()
    assert {row["arm"] for row in rows if row["composite_share"] is None} == {"clip", "augment"}


def test_shards_share_the_trials_out(done: tuple[Study, Catalog, Path], tmp_path: Path) -> None:
    study, catalog, folder = done
    arms = {name: study.arms[name] for name in ("clip", "augment")}
    small = study.model_copy(update={"seeds": (0,), "sizes": (16,), "arms": arms})
    planned = plan_study(small, catalog, tmp_path, tmp_path / "records")
    for part in (2, 1):
        run_pending(small, planned, shard=(part, 2), jobs=1)
        expected = {p.record.name for p in (planned if part == 1 else shard_of(planned, (2, 2)))}
        assert {file.name for file in (tmp_path / "records").glob("*.json")} == expected
    together = figures(folder / "records")
    assert figures(tmp_path / "records") == {name: together[name] for name in figures(tmp_path / "records")}


def test_no_trial_is_in_two_shards(done: tuple[Study, Catalog, Path], tmp_path: Path) -> None:
    study, catalog, _ = done
    planned = plan_study(study, catalog, tmp_path, tmp_path / "records")
    records = {p.record for p in planned}
    assert len(records) < len(planned)  # Two arms come to the same recipe.
    for of in (2, 3, 5):
        parts = [p.record for i in range(1, of + 1) for p in shard_of(planned, (i, of))]
        assert sorted(parts) == sorted(records)


def test_no_arm_is_one_machine_s(done: tuple[Study, Catalog, Path], tmp_path: Path) -> None:
    study, catalog, _ = done
    small = study.model_copy(update={"seeds": (0, 1, 2, 3), "sizes": (16,)})
    planned = plan_study(small, catalog, tmp_path, tmp_path / "records")
    for part in range(1, 5):  # Four arms that differ, and four machines.
        mine = shard_of(planned, (part, 4))
        assert [p.trial.recipe.seed for p in mine] == [0, 1, 2, 3]
        assert len({p.trial.arm for p in mine}) == 4


def test_what_is_measured_in_another_way_has_records_of_its_own(
    done: tuple[Study, Catalog, Path], tmp_path: Path
) -> None:
    study, catalog, folder = done
    before = figures(folder / "records")
    other = study.model_copy(update={"shots": (1,), "seeds": (0,), "sizes": (16,)})
    planned = plan_study(other, catalog, tmp_path, folder / "records")
    usual = plan_study(study, catalog, tmp_path, folder / "records")
    assert not {p.record for p in planned} & {p.record for p in usual}
    assert {p.trial.folder for p in planned} <= {p.trial.folder for p in usual}
    run_pending(other, planned[:1], jobs=1)
    found = finished_trials(other, planned)
    planned[0].record.unlink()
    assert len(found) == 1
    assert any("1-shot" in metric for metric in found[0][1].metrics)
    assert figures(folder / "records") == before


def test_limits_of_a_study_are_named(done: tuple[Study, Catalog, Path]) -> None:
    study, catalog, folder = done
    finished = finished_trials(study, plan_study(study, catalog, folder, folder / "records"))
    plan, last = finished[-1]
    gone, *kept = last.metrics
    odd = replace(
        last,
        measurements={name: last.measurements[name] for name in kept},
        machine=last.machine | {"gpu": "another card"},
    )
    grouped = study.model_copy(update={"data": study.data.model_copy(update={"group_column": "part"})})
    codes = study_tables(grouped, catalog, [*finished[:-1], (plan, odd)], 20, "clipc study x")["not_shown"]
    assert {"code": "not-in-all", "metrics": [gone]} in codes
    assert {"code": "groups-apart", "column": "part"} in codes
    assert "unlike-machines" in codes
    plain = study_tables(study, catalog, finished, 20, "clipc study x")["not_shown"]
    assert not {"not-in-all", "groups-apart", "unlike-machines"} & {
        c["code"] if isinstance(c, dict) else c for c in plain
    }


def test_a_study_that_mixes_versions_of_clipc_says_so(done: tuple[Study, Catalog, Path]) -> None:
    study, catalog, folder = done
    finished = finished_trials(study, plan_study(study, catalog, folder, folder / "records"))
    plan, last = finished[-1]
    assert "clipc" in last.machine
    older = replace(last, machine=last.machine | {"clipc": "0.0.1"})
    tables = study_tables(study, catalog, [*finished[:-1], (plan, older)], 20, "clipc study x")
    assert "unlike-machines" in tables["not_shown"]


def test_each_seed_draws_its_own_nested_pairs_and_arms_share_them(study_file: Path, tiny_catalog: Catalog) -> None:
    study = read_study(study_file, ["sizes=[8, 16, 24, all]", "seeds=3"])
    planned = plan_study(study, tiny_catalog, Path("x"), Path("y"))
    keys: dict[tuple[int, int], set[frozenset[str]]] = {}
    for p in planned:
        train = frozenset(p.catalog.split("train").keys)
        keys.setdefault((p.trial.recipe.seed, p.size), set()).add(train)
        assert p.trial.recipe.data.open().fingerprint == p.catalog.fingerprint  # the recipe alone gives the same pairs
    assert all(len(sets) == 1 for sets in keys.values())
    drawn = {key: next(iter(sets)) for key, sets in keys.items()}
    for seed in range(3):
        assert drawn[seed, 8] < drawn[seed, 16] < drawn[seed, 24] < drawn[seed, 40]
    for size, count in ((8, 3), (16, 3), (24, 3), (40, 1)):
        assert len({drawn[seed, size] for seed in range(3)}) == count
    assert len({p.trial.folder.name for p in planned if p.trial.arm == "clip"}) == 12


def test_a_trial_that_another_process_has_recorded_is_left_alone(
    done: tuple[Study, Catalog, Path], tmp_path: Path
) -> None:
    study, catalog, folder = done
    planned = plan_study(study, catalog, tmp_path, folder / "records")[0]
    before = planned.record.read_bytes()
    run_and_record(planned, study, evaluation_options(study), "worker", 1)
    assert planned.record.read_bytes() == before
    assert not (tmp_path / "trials").exists()


@pytest.mark.soak
def test_a_trial_killed_in_the_middle_changes_no_figure(
    study_file: Path, done: tuple[Study, Catalog, Path], tmp_path: Path
) -> None:
    words = [str(study_file), "sizes=[16]", "--out", str(tmp_path), "--jobs", "2"]
    command = [sys.executable, "-m", "clipc", "study", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    while process.poll() is None and not any(checkpoint_steps(t / "checkpoints") for t in tmp_path.glob("trials/*")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    stopped = [t for t in tmp_path.glob("trials/*") if not (t / "finished.json").exists()]
    assert stopped
    assert subprocess.run(command, capture_output=True, check=True).returncode == 0
    found, never = figures(tmp_path / "records"), figures(done[2] / "records")
    assert len(found) == 8
    assert found == {name: never[name] for name in found}
    for name in ("study.html", "study.ja.html", "study.json", "study.parquet"):
        assert (tmp_path / name).stat().st_size > 1000
    table = pq.read_table(tmp_path / "study.parquet")
    assert set(table["arm"].to_pylist()) == {"clip", "augment", "rate rho=0.3", "rate rho=1", "same"}
    assert list((tmp_path / "figures").glob("effects-*.svg"))
    assert list((tmp_path / "figures").glob("curve-*.png"))


def test_a_clone_with_the_records_goes_on_without_training(
    study_file: Path, done: tuple[Study, Catalog, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            ["study", str(study_file), "--out", str(tmp_path), "--records", str(done[2] / "records"), "--json"],
        )
    assert ended.value.code == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["finished"] == 20
    assert told.err.count("40 train") == 1
    assert told.err.count("warning: The test split has only 10 pairs") == 1
    assert "20 trials; 20 finished already" in told.err
    assert "four studies of five" in told.err
    assert not (tmp_path / "trials").exists()


def test_nothing_finished_is_said(study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (["--report"], "no trial of tiny is finished yet"),
        (["--shard", "3/2"], "--shard 3/2 is not a shard"),
        (["--shard", "²/3"], "--shard ²/3 is not a shard"),
        (["--records", str(study_file)], "is a file; name a folder"),
        (["sizes=[4000]"], "asks for 4,000 training pairs; there are 40"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["study", str(study_file), "--out", str(tmp_path), *words])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err


def test_a_board_counts_what_others_finish(tmp_path: Path) -> None:
    trials = [("clip", 10, tmp_path / f"{seed}.json") for seed in range(4)]
    board = StatusBoard(trials)
    board.begin()
    assert (board.finished, board.seconds_left()) == (0, None)
    board.update(0, 5, 10)
    (tmp_path / "1.json").write_text(json.dumps({"summary": {"best": {"mean_recall": 0.25}}}))
    (tmp_path / "2.json").write_text("{")
    board.read_records()
    row = board.rows()[0]
    assert (row.seeds, row.finished, row.running, row.mean_recall) == (4, 1, 1, 0.25)
    board.start_time -= 30
    left = board.seconds_left()
    assert left is not None
    assert left == pytest.approx(30 / 1.5 * 2.5, rel=0.05)
    assert board.seconds_per_trial == pytest.approx(30 / 1.5, rel=0.05)


def test_a_board_shows_validation_and_never_the_test_split(done: tuple[Study, Catalog, Path]) -> None:
    study, catalog, folder = done
    planned = plan_study(study, catalog, folder, folder / "records")
    board = StatusBoard([(p.trial.arm, p.size, p.record) for p in planned])
    board.read_records()
    bests = [
        o.summary["best"]["mean_recall"]
        for p, o in finished_trials(study, planned)
        if (p.trial.arm, p.size) == ("clip", 16)
    ]
    assert board.rows()[0].mean_recall == pytest.approx(sum(bests) / len(bests))
    assert [column.header for column in _table(board, 40).columns][-1] == "validation recall"


def test_a_board_without_validation_shows_no_recall(tmp_path: Path) -> None:
    board = StatusBoard([("clip", 10, tmp_path / "0.json")])
    (tmp_path / "0.json").write_text(json.dumps({"summary": {"best": None}}))
    board.read_records()
    assert (board.finished, board.rows()[0].mean_recall) == (1, None)


def test_a_control_that_is_no_arm_is_told(study_file: Path) -> None:
    with pytest.raises(UserError, match="unknown arm 'augmentt'"):
        read_study(study_file, ["controls=[augmentt]"])
