"""Metrics of a family that nothing in the package has heard of go through a whole study: nobody reads their names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clipc.catalog.catalog import Catalog
from clipc.cli.study_screen import study_lines
from clipc.errors import UserError
from clipc.evaluate.evaluation import EVALUATORS
from clipc.evaluate.measurement import Measurement
from clipc.evaluate.subject import Subject
from clipc.report.study import render_study
from clipc.report.study_figures import save_figures
from clipc.study import trials
from clipc.study.design import Study
from clipc.study.run import evaluation_options, finished_trials, plan_study, run_and_record
from clipc.study.study import run_study


def foreign(subject: Subject) -> Iterator[Measurement]:
    """Metrics of other kinds: a distance of captions, one number for the whole set, one with other items each time."""
    own = subject.embeddings
    distance = 100 * (1 - (own.image[own.owner] * own.text).sum(1).double().numpy())
    yield Measurement(
        "Tiefe", distance, owner=own.owner, chance=100.0, default_main=True, higher_is_better=False, unit="ells"
    )
    yield Measurement(
        "a.b/{c}/owner", value=float(distance.std()), n=len(own.image), default_main=True, unit="<b>ranks</b>"
    )
    yield Measurement("swaps/top1/median_rank", distance[: 5 + int(distance.sum()) % 5] / 200, unit="share")
    subject.context["foreign"] = {"captions": [subject.catalog.captions(0)]}


@pytest.fixture(scope="module")
def study(tiny_source: Path, tiny_model: str) -> Study:
    return Study.model_validate(
        {
            "name": "foreign",
            "data": {"source": str(tiny_source)},
            "set": {"model": tiny_model, "batch_size": 8, "samples": 48, "validations": 1, "threads": 1},
            "sizes": [20, "all"],
            "seeds": 3,
            "arms": {"clip": {"policy.rho": 0}, "half": {"policy.rho": 0.5}},
        }
    )


@pytest.fixture(scope="module")
def folder(study: Study, tiny_catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all trials of the study are recorded."""
    folder = tmp_path_factory.mktemp("foreign")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "EVALUATORS", (*EVALUATORS, foreign))
        for p in plan_study(study, tiny_catalog, folder, folder / "records"):
            run_and_record(p, study, evaluation_options(study), "worker", 1)
    return folder


@pytest.fixture(scope="module")
def tables(study: Study, folder: Path) -> dict[str, Any]:
    return run_study(study, folder, train=False)


def test_records_keep_what_it_is_and_whose_its_items_are(study: Study, folder: Path, tiny_catalog: Catalog) -> None:
    known = finished_trials(study, plan_study(study, tiny_catalog, folder, folder / "records"))
    assert len(known) == 12
    for planned, outcome in known:
        depth = outcome.measurements["Tiefe"]
        assert (depth.unit, depth.higher_is_better, depth.chance, depth.n) == ("ells", False, 100.0, 20)
        assert depth.owner is not None
        assert depth.owner.tolist() == [i // 2 for i in range(20)]
        assert depth.values is not None
        assert depth.values.mean() == pytest.approx(depth.value, rel=1e-3)
        assert outcome.measurements["a.b/{c}/owner"].values is None
        assert "foreign" not in planned.record.read_text("utf-8")


def test_it_is_in_the_tables_the_comparisons_and_the_noise(tables: dict[str, Any]) -> None:
    rows = {row["key"]: row for row in tables["metrics"]}
    assert [rows[key]["main"] for key in ("Tiefe", "a.b/{c}/owner", "swaps/top1/median_rank")] == [True, True, False]
    assert rows["Tiefe"]["unit"] == "ells"
    found = {(c["metric"], c["arm"], c["size"]): c for c in tables["comparisons"] if c["against"] == "clip"}
    assert found["Tiefe", "half", 20]["both"] is not None
    assert found["a.b/{c}/owner", "half", 20]["both"] is None
    assert found["swaps/top1/median_rank", "half", 20]["interval"] is not None
    noise = {row["metric"]: row for row in tables["power"]}
    depth = noise["Tiefe"]
    assert depth["floor"] is not None
    assert 0.1 < depth["rows"][0]["difference"] / depth["sd"] <= 1
    assert not [code for code in tables["not_shown"] if isinstance(code, dict) and code.get("metric") == "Tiefe"]


def test_it_is_on_the_page_in_the_figures_on_screen_and_in_parquet(tables: dict[str, Any], folder: Path) -> None:
    for lang in ("en", "ja"):
        page = render_study(tables, lang=lang)
        assert "Tiefe" in page
        assert "a.b/{c}/owner" in page
        assert "<b>ranks</b>" not in page
    figures = save_figures(tables, folder / "figures", "en")
    assert len({path.stem for path in figures if "Tiefe" in path.stem}) == 3
    lines = study_lines(tables)
    assert "Tiefe, in ells against clip:" in lines
    assert any(
        line.startswith("Tiefe: the standard deviation of differences is") and " ells;" in line for line in lines
    )
    table = pq.read_table(folder / "study.parquet")
    assert "Tiefe" in table.column("metric").to_pylist()


def test_a_study_names_its_own_main_metrics(study: Study, folder: Path) -> None:
    named = study.model_copy(update={"main": ("swaps/top1/median_rank", "retrieval/mean_recall")})
    tables = run_study(named, folder, train=False)
    assert {row["key"] for row in tables["metrics"] if row["main"]} == set(named.main)
    assert {row["metric"] for row in tables["power"]} <= set(named.main)
    assert "swaps/top1/median_rank" in render_study(tables)


def test_a_main_metric_that_does_not_exist_is_told(study: Study, folder: Path) -> None:
    wrong = study.model_copy(update={"main": ("Tief",)})
    with pytest.raises(UserError, match=r"^unknown main metric 'Tief'; did you mean 'Tiefe'\?$"):
        run_study(wrong, folder, train=False)
    with pytest.raises(
        UserError, match=r"unknown main metric 'x'; there are: .*retrieval/mean_recall.*zero_shot/label"
    ):
        run_study(study.model_copy(update={"main": ("x",)}), folder, train=False)


def test_the_first_trial_tells_of_a_main_metric_that_does_not_exist(
    study: Study, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    first, *_ = plan_study(study, tiny_catalog, tmp_path, tmp_path)
    wrong = study.model_copy(update={"main": ("Tiefe",)})
    with pytest.raises(UserError, match="unknown main metric 'Tiefe'"):
        run_and_record(first, wrong, evaluation_options(study), "worker", 1)
    assert first.record.is_file()
