"""The published tables are what the records give; no data and no training are needed to make them."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from clipc import read_study
from clipc.study.design import arm_recipe
from clipc.study.study import run_study

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "results" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["docs/results.md", "results/README.md"])
def test_tables_are_what_the_records_give(tables: ModuleType, page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert "<!-- results/tables.py" in text
    assert tables.filled(text) == text


@pytest.mark.parametrize("name", ["screen-ucm", "confirm-ucm", "confirm-rsicd", "steel", "xrays"])
def test_a_clone_finds_every_trial_of_a_study_finished(name: str) -> None:
    study = read_study(ROOT / "results" / f"{name}.yaml")
    records = [json.loads(file.read_text("utf-8")) for file in (ROOT / "results" / name).glob("*.json")]
    _, fingerprint = max((record["data"]["pairs"]["train"], record["data"]["fingerprint"]) for record in records)
    wanted = {
        arm_recipe(study, arm, seed, "all").identity(fingerprint) for arm in study.expanded for seed in study.seeds
    }
    assert wanted <= {record["trial"].split("-")[-1] for record in records}


@pytest.mark.parametrize("name", ["transfer-ucm", "few-fine-tuned"])
def test_a_clone_tells_a_study_whose_start_it_does_not_have(
    name: str, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = read_study(ROOT / "results" / f"{name}.yaml", [f"data.source={shared_data / 'ucm-captions'}"])
    assert "The start is made by: clipc train" in study.note
    tables = run_study(study, tmp_path, records=ROOT / "results" / name, train=False)
    assert tables["finished"] == tables["planned"]
