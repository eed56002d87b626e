import json
import logging
from pathlib import Path
from typing import Any

import pytest

from clipc.study import noise
from clipc.study.board import StatusBoard
from clipc.study.design import Study
from clipc.study.noise import log_power_once, power_lines, prior_power_lines


def takes(line: str) -> list[int]:
    return [int(part.split()[-2].replace(",", "")) for part in line.split(": ")[-1].rstrip(".").split(", ")]


def test_before_the_first_run_seeds_are_guessed_for_a_stated_spread() -> None:
    small, promise = prior_power_lines(210, 4, 5)
    assert "is 3.1 points" in small
    assert all(f"{points} points need" in small for points in (2, 5, 10))
    assert takes(small) == sorted(takes(small), reverse=True)
    assert "5 are planned" in promise
    assert "is updated" in promise
    assert all(a > b for a, b in zip(takes(small), takes(prior_power_lines(2100, 4, 5)[0]), strict=True))
    assert all(a > b for a, b in zip(takes(small), takes(prior_power_lines(210, 1, 5)[0]), strict=True))


def test_what_has_been_seen_is_told_in_the_same_words() -> None:
    row = {"metric": "m", "unit": "share", "sd": 0.031, "floor": 0.011}
    rows = [{**row, "rows": [{"difference": 0.01, "seeds": None}, {"difference": 0.02, "seeds": 1053}]}]
    line, last = power_lines(rows, 5)
    assert line == (
        "m: the standard deviation of differences is 3.1 points; 2 points need 1,053 seeds, "
        "below 1.1 points no number of seeds is enough on this test set."
    )
    assert "5 are planned" in last
    assert "below" not in power_lines([{**rows[0], "floor": 0.0}], 5)[0]
    assert power_lines([], 5) == []
    ells = {**row, "unit": "ells", "rows": [{"difference": 0.02, "seeds": 7}]}
    assert power_lines([ells], 5)[0] == (
        "m: the standard deviation of differences is 0.031 ells; 0.02 ells need 7 seeds, "
        "below 0.011 ells no number of seeds is enough on this test set."
    )


def test_it_is_told_once_when_the_baseline_and_an_arm_have_two_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = Study.model_validate({"name": "x", "arms": {"clip": {"policy.rho": 0}, "new": {}}, "seeds": 3})
    row: dict[str, Any] = {"metric": "m", "unit": "share", "sd": 0.03, "floor": None}
    row["rows"] = [{"difference": 0.05, "seeds": 9}]
    asked: list[int] = []

    def seen(*_: Any) -> list[dict[str, Any]]:
        asked.append(1)
        return [row]

    monkeypatch.setattr(noise, "finished_trials", lambda *_: [])
    monkeypatch.setattr(noise, "study_power", seen)
    trials = [(arm, 10, tmp_path / f"{arm}{seed}.json") for seed in range(3) for arm in ("clip", "new")]
    caplog.set_level(logging.INFO, "clipc")
    board, watch = StatusBoard(trials), log_power_once(study, [])
    for number, (_, _, record) in enumerate(trials):
        record.write_text(json.dumps({"summary": {"best": None}}))
        board.read_records()
        watch(board)
        watch(board)
        assert len(caplog.messages) == (2 if number >= 3 else 0)
    assert len(asked) == 1
