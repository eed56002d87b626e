"""Cross-validation in a study: who is tested when, and how folds become one result."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.evaluate.measurement import Measurement
from clipc.report.study import render_study
from clipc.report.words import words
from clipc.study.compare import comparisons
from clipc.study.cross_validation import pool_folds, pooled_measurement
from clipc.study.design import Study
from clipc.study.results import Outcome, metrics_table
from clipc.study.run import PlannedTrial, plan_study
from clipc.study.study import run_study

from .outcomes import METRIC, outcome


def study_of(tiny_source: Path, tiny_model: str, **fields: Any) -> Study:
    settings: dict[str, Any] = {"model": tiny_model, "batch_size": 8, "samples": 40, "threads": 1, "precision": "fp32"}
    common: dict[str, Any] = {"name": "cross", "data": {"source": str(tiny_source)}, "recipe": "nano", "set": settings}
    return Study.model_validate({**common, "arms": {"clip": {"policy.rho": 0}, "clip-c": {}}, "folds": 3, **fields})


def test_every_pair_is_a_test_pair_once_and_all_folds_train_on_as_many(
    tiny_source: Path, tiny_model: str, tiny_catalog: Catalog
) -> None:
    study = study_of(tiny_source, tiny_model, seeds=2, sizes=[16, "all"])
    planned = plan_study(study, tiny_catalog, Path("x"), Path("y"))
    assert len(planned) == 2 * 2 * 3 * 2
    assert len({p.record for p in planned}) == len(planned)
    for seed in range(2):
        for size in {p.size for p in planned}:
            for arm in ("clip", "clip-c"):
                chosen = [p for p in planned if (p.trial.recipe.seed, p.size, p.trial.arm) == (seed, size, arm)]
                assert [p.fold for p in chosen] == [0, 1, 2]
                tested = [key for p in chosen for key in p.catalog.split("test").keys]
                assert sorted(tested) == sorted(tiny_catalog.keys)
                assert {p.catalog.splits["train"] for p in chosen} == {size}
    for p in planned:
        assert p.trial.recipe.data.open().fingerprint == p.catalog.fingerprint  # the recipe alone gives the same pairs
        train, test = (set(p.catalog.split(name).table["content"].to_pylist()) for name in ("train", "test"))
        assert not train & test


def folded(arm: str, levels: list[float], seeds: int = 6, n: int = 50) -> list[tuple[PlannedTrial, Outcome]]:
    """Trials of three folds with ``n``, ``n + 10`` and ``n + 20`` items around a level for each fold."""
    found: list[tuple[PlannedTrial, Outcome]] = []
    for seed in range(seeds):
        for fold, level in enumerate(levels):
            rng = np.random.default_rng([seed, fold, sum(map(ord, arm))])
            one = outcome(arm, seed, 0.5)
            items = (rng.random(n + 10 * fold) < level).astype(float)
            measured = Measurement(METRIC, items, np.arange(len(items)) // 2, chance=0.1, default_main=True)
            one = replace(one, measurements={METRIC: measured}, last_metrics={METRIC: measured.value})
            found.append((PlannedTrial(one.trial, 100, None, Path(), fold), one))  # type: ignore[arg-type]
    return found


THREE = Study.model_validate({"name": "x", "arms": {"clip": None, "clip-c": None}, "folds": 3})


def test_folds_of_a_seed_become_one_result_over_all_items() -> None:
    trials = folded("clip", [0.2, 0.5, 0.8])
    pooled = [one for _, one in pool_folds(THREE, trials)]
    assert [one.trial.recipe.seed for one in pooled] == list(range(6))
    for one, parts in zip(pooled, np.array_split(np.arange(18), 6), strict=True):
        folds = [trials[int(i)][1].measurements[METRIC] for i in parts]
        measured = one.measurements[METRIC]
        values = np.concatenate([fold.values for fold in folds if fold.values is not None])
        assert measured.n == 180
        assert measured.value == pytest.approx(values.mean())
        np.testing.assert_array_equal(measured.values, values)  # type: ignore[arg-type]
        assert measured.owner is not None
        assert len(np.unique(measured.owner)) == sum(len(np.unique(fold.owner)) for fold in folds)  # type: ignore[arg-type]
        assert one.core_seconds == pytest.approx(3 * 7.0)


def test_seeds_are_the_units_and_a_seed_without_a_fold_does_not_count() -> None:
    trials = [*folded("clip", [0.4, 0.4, 0.4]), *folded("clip-c", [0.6, 0.6, 0.6])]
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for plan, one in pool_folds(THREE, trials[:-1]):  # the last fold of the last seed of clip-c is missing
        groups.setdefault((plan.trial.arm, plan.size), []).append(one)
    metrics = metrics_table(groups["clip", 100])
    (row,) = comparisons(groups, metrics, "clip", (), planned=6)
    assert len(row["per_seed"]) == 5
    assert row["verdict"] == "when finished"
    assert metrics[0]["n"] == 180
    assert row["both"][0] < 0.2 < row["both"][1]


def test_a_metric_without_items_is_averaged_by_their_numbers() -> None:
    folds = [Measurement("m", value=value, n=n, chance=0.5) for value, n in ((1.0, 10), (4.0, 30))]
    found = pooled_measurement(folds)
    assert (found.value, found.n, found.chance, found.values) == (pytest.approx(3.25), 40, 0.5, None)
    assert pooled_measurement([folds[0], replace(folds[1], chance=None)]).chance is None


def test_a_study_of_folds_runs_and_says_so(
    tiny_source: Path, tiny_model: str, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    study = study_of(tiny_source, tiny_model, seeds=2)
    tables = run_study(study, tmp_path, catalog=tiny_catalog, jobs=1)
    assert (tables["planned"], tables["finished"], tables["folds"]) == (12, 12, 3)
    assert [len(trial["runs"]) for arm in tables["arms"] for trial in arm["results"][0]["trials"]] == [3] * 4
    recall = next(m for m in tables["metrics"] if m["main"])
    assert recall["n"] == len(tiny_catalog)
    assert tables["leakage"]["images"] == len(tiny_catalog)
    assert {"code": "one-partition", "folds": 3} in tables["not_shown"]
    assert "one-split" not in tables["not_shown"]
    assert {len(row["per_seed"]) for row in tables["comparisons"]} == {2}
    for lang in ("en", "ja"):
        page = render_study(tables, lang=lang)
        assert words(lang)("study.asked.folds_value", n=3) in page


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"folds": 1}, "folds"),
        ({"split": "val"}, "leave split out"),
        ({"data": {"folds": 3}}, "leave data.folds and data.fold out"),
        ({"set": {"batch_size": {"one_of": [8, 16]}}, "search": {"trials": 2}}, "leave folds or search out"),
    ],
)
def test_what_does_not_go_with_folds_is_told(fields: dict[str, Any], told: str) -> None:
    with pytest.raises((UserError, ValueError), match=told):
        Study.model_validate({"name": "x", "arms": {"clip": None}, "folds": 3, **fields})
