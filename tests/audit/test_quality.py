"""A quality audit from the command line: pages, JSON, decisions, and the user's mistakes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clipc.audit.decisions import append_decision, decide
from clipc.catalog.catalog import Catalog


def test_a_score_with_decisions_makes_pages_and_a_threshold(
    run_command: Callable[..., tuple[int, str, str]],
    tiny_source: Path,
    cnn_folder: str,
    tiny_catalog: Catalog,
    tmp_path: Path,
) -> None:
    file, keys = tmp_path / "decisions.csv", tiny_catalog.keys
    for i in range(12):
        append_decision(file, decide(keys[i], keys[i + 20], "left-right", accept=i % 3 > 0, by="Mori"))
        append_decision(file, decide(keys[i], keys[i + 20], "left-right", accept=i % 2 > 0, by="<b>Ito</b>"))
    words = ("audit", tiny_source, "--score", cnn_folder, "--decisions", file, "--count", 5, "--out", tmp_path / "out")
    code, out, _ = run_command(*words, "--json")
    assert code == 0
    tables: dict[str, Any] = json.loads(out)
    assert tables["scores"]["candidates"] <= 16 * 40
    assert tables["scores"]["core_seconds"] > 0
    assert tables["calibration"]["split"] == "test"
    assert tables["experts"]["composites"] == 12
    assert tables["experts"]["agreement"][0]["n"] == 12
    assert tables["experts"]["threshold"]["precision"]["n"] <= 12
    scores = [row["score"] for row in tables["samples"] if row["worst"]]
    assert scores == sorted(scores)
    assert len(scores) == 5
    assert json.loads((tmp_path / "out" / "quality.json").read_text("utf-8"))["kind"] == "quality"
    for name, word in (("quality.html", "The worst"), ("quality.ja.html", "スコアの低いもの")):
        html = (tmp_path / "out" / name).read_text("utf-8")
        assert word in html
        assert html.count("data:image/jpeg") >= 5
        assert "<b>Ito</b>" not in html
        assert "{" not in html.split("</style>")[1]


def test_checks_need_no_model(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, tmp_path: Path
) -> None:
    code, out, _ = run_command("audit", tiny_source, "--score", "checks", "--count", 2, "--out", tmp_path)
    assert code == 0
    assert "scored by checks without a model" in out
    assert "not tried on swapped captions" in out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--decisions", "d.csv"], "name what scores"),
        (["--score", "checks", "--attributes", "gender"], "leave out the options of the bias audit"),
        (["--score", "baseline"], "no model that can be audited"),
        (["--score", "checks", "--decisions", "d.csv"], "d.csv cannot be read"),
        (["--score", "nowhere"], "holds no model"),
    ],
)
def test_mistakes_are_one_sentence(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, words: list[str], hint: str, tmp_path: Path
) -> None:
    code, out, err = run_command("audit", tiny_source, *words, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert hint in err


def test_a_decision_on_an_unknown_pair_names_it(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, tmp_path: Path
) -> None:
    file = tmp_path / "d.csv"
    append_decision(file, decide("no such key", "x", "left-right", accept=True, by="Mori"))
    code, _, err = run_command("audit", tiny_source, "--score", "checks", "--decisions", file, "--out", tmp_path)
    assert code == 2
    assert "'no such key'" in err
