"""The tables of a study: those that its page shows, ready for JSON, and one long table as a Parquet file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipc.catalog.catalog import Catalog
from clipc.catalog.summary import summary as source_summary
from clipc.errors import UserError
from clipc.evaluate.ceiling import few_captions_facts
from clipc.evaluate.leakage import leakage, total_leakage
from clipc.evaluate.statistics.interval import t_interval
from clipc.files import whole_file
from clipc.recipe.run import environment
from clipc.study.arms import Arm, Range
from clipc.study.compare import comparisons
from clipc.study.contrasts import gain_differences
from clipc.study.cross_validation import pool_folds
from clipc.study.design import Study
from clipc.study.limitations import limitations
from clipc.study.noise import power_table
from clipc.study.results import Outcome, composite_share, ends, metrics_table
from clipc.study.run import PlannedTrial, evaluation_options, fold_catalogs
from clipc.study.search_results import SearchResult
from clipc.study.verdict import conclude

Finished = Sequence[tuple[PlannedTrial, Outcome]]


def study_tables(
    study: Study,
    catalog: Catalog,
    finished: Finished,
    planned: int,
    command: str,
    diverged: Sequence[tuple[PlannedTrial, int]] = (),
    search_results: Sequence[SearchResult] = (),
) -> dict[str, Any]:
    """The tables that a study's page shows, ready for JSON.

    Args:
        study: The study.
        catalog: The data.
        finished: The finished trials, one at least.
        planned: How many trials there are in all.
        command: The command line, for the page.
        diverged: The trials whose loss or weights became non-finite, with the step at which they did. They
            count as finished.
        search_results: The result of the search for each arm; empty without a search.
    """
    pooled = pool_folds(study, finished)
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for plan, outcome in sorted(pooled, key=lambda pair: pair[1].trial.recipe.seed):
        groups.setdefault((plan.trial.arm, plan.size), []).append(outcome)
    sizes = sorted({size for _, size in groups} | {p.size for p, _ in diverged})
    arms_with_trials = {name for name, _ in groups} | {p.trial.arm for p, _ in diverged}
    arms = [arm for arm in study.expanded_arms if arm.name in arms_with_trials]
    outcomes = [outcome for _, outcome in pooled]
    if not outcomes:
        raise UserError(
            f"no seed of {study.name} is finished in all {study.folds} folds, so there is nothing to report."
        )
    folds = fold_catalogs(study, catalog)
    few, leaked = (
        few_captions_facts(folds[0], study.split),
        total_leakage([leakage(fold, study.split) for fold in folds]),
    )
    metrics = metrics_table(outcomes, study.main, limited_last=few is not None)
    first = outcomes[0]
    machine = environment("cpu", 1) | first.machine
    baseline = study.baseline_name
    runs: dict[tuple[str, int, int], list[str]] = {}
    for plan, _ in finished:
        runs.setdefault((plan.trial.arm, plan.size, plan.trial.recipe.seed), []).append(plan.trial.folder.name)
    counts = Counter((arm, size) for arm, size, _ in {(p.trial.arm, p.size, p.trial.recipe.seed) for p, _ in diverged})
    rows = comparisons(groups, metrics, baseline, study.controls, len(study.seeds), counts)
    return {
        "clipc": machine["clipc"],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "name": study.name,
        "note": study.note,
        "source": source_summary(folds[0]),
        "few_captions": few,
        "leakage": dict(leaked),
        "machine": machine,
        "settings": _shared_settings(outcomes),
        "baseline": baseline,
        "controls": list(study.controls),
        "sizes": sizes,
        "seeds": list(study.seeds),
        "folds": study.folds,
        "evaluators": dict(evaluation_options(study).evaluators),
        "sections": list(study.sections),
        "planned": planned,
        "finished": len(finished) + len(diverged),
        "diverged": [{**_trial_fields(p), "run": p.trial.folder.name, "step": step} for p, step in diverged],
        "search": [asdict(result) for result in search_results],
        "arms": [_arm(arm, groups, runs) for arm in arms],
        "metrics": metrics,
        "comparisons": rows,
        "gain_differences": gain_differences(groups, metrics, baseline, study.controls, study.named_contrasts),
        "verdict": conclude([arm.name for arm in arms], baseline, study.controls, metrics, rows),
        "curves": [curve for m in metrics if m["main"] for curve in _curves(m["key"], arms, groups, study)],
        "power": power_table(groups, metrics, baseline),
        "not_shown": limitations(
            study, catalog, outcomes, metrics, leaked, len(finished) + len(diverged), planned, diverged, search_results
        ),
    }


def write_parquet(finished: Finished, file: Path) -> None:
    """Writes one row for each trial and metric.

    ``value`` belongs to the model that the recipe's ``selection`` names, ``last`` to the last step's. ``treated_share``
    counts composites and strongly augmented examples; ``composite_share`` is null in an arm that makes no composites.
    """
    rows = [
        {
            **_trial_fields(plan),
            "trial": plan.record.stem,
            "metric": metric,
            "value": value,
            "last": outcome.last_metrics.get(metric),
            "composite_share": composite_share(outcome),
            "treated_share": outcome.summary["composite_share"],
            "core_seconds": outcome.core_seconds,
            "score_core_seconds": outcome.score_core_seconds,
        }
        for plan, outcome in finished
        for metric, value in outcome.metrics.items()
    ]
    with whole_file(file) as new:
        pq.write_table(pa.Table.from_pylist(rows), new)


def _trial_fields(plan: PlannedTrial) -> dict[str, Any]:
    return {"arm": plan.trial.arm, "size": plan.size, "seed": plan.trial.recipe.seed, "fold": plan.fold}


def _arm(
    arm: Arm, groups: Mapping[tuple[str, int], Sequence[Outcome]], runs: Mapping[tuple[str, int, int], list[str]]
) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    for size, outcomes in sorted((size, outcomes) for (name, size), outcomes in groups.items() if name == arm.name):
        shares = [share for o in outcomes if (share := composite_share(o)) is not None]
        composed, treated = mean(shares) if shares else None, mean(o.summary["composite_share"] for o in outcomes)
        trials = [_trial(o, runs[arm.name, size, o.trial.recipe.seed]) for o in outcomes]
        results.append({"size": size, "composite_share": composed, "treated_share": treated, "trials": trials})
    changes = {key: value for key, value in arm.changes.items() if not isinstance(value, Range)}
    return {"name": arm.name, "changes": changes, "what": arm.what, "results": results}


def _trial(outcome: Outcome, runs: Sequence[str]) -> dict[str, Any]:
    best = outcome.summary["best"]
    return {
        "seed": outcome.trial.recipe.seed,
        "runs": list(runs),
        "core_seconds": outcome.core_seconds,
        "score_core_seconds": outcome.score_core_seconds,
        "pairs_per_second": outcome.summary["pairs_per_second"],
        "best_step": best["step"] if best else outcome.summary["steps"],
        "metrics": outcome.metrics,
    }


def _shared_settings(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The recipe keys, facts of the runs and prompts that have the same value in all trials."""
    first = outcomes[0]
    settings = [o.trial.recipe.model_dump(mode="json", exclude={"data", "seed", "samples", "epochs"}) for o in outcomes]
    shared: dict[str, Any] = {}
    for key, value in settings[0].items():
        if isinstance(value, dict):
            shared[key] = {k: v for k, v in value.items() if all(other[key].get(k) == v for other in settings)}
        elif all(other[key] == value for other in settings):
            shared[key] = value
    facts = ("samples", "steps", "epochs", "parameters", "image_size")
    shared |= {
        name: first.summary[name] for name in facts if all(o.summary[name] == first.summary[name] for o in outcomes)
    }
    columns = [column for outcome in outcomes for column in outcome.context["columns"].values()]
    prompts = ", ".join(sorted({column["templates"] for column in columns if "templates" in column}))
    return shared | ({"prompts": prompts} if prompts else {})


def _curves(
    metric: str, arms: Sequence[Arm], groups: Mapping[tuple[str, int], Sequence[Outcome]], study: Study
) -> list[dict[str, Any]]:
    """One curve over the number of pairs, and one over each setting whose list of numbers makes arms.

    A baseline with a value of this setting is a line of one point, and all other lines run through this point.
    """
    curves: list[dict[str, Any]] = []
    sizes = sorted({size for _, size in groups})
    if len(sizes) > 1:
        by_size = {arm.name: [(size, groups.get((arm.name, size), ())) for size in sizes] for arm in arms}
        curves.append({"axis": "pairs", "log": True, "metric": metric, "lines": _lines(by_size, metric)})
    families = dict.fromkeys(arm.line for arm in arms if arm.line is not None)
    for key in dict.fromkeys(key for _, key in families):
        baseline = [
            arm for arm in arms if arm.name == study.baseline_name and isinstance(arm.changes.get(key), int | float)
        ]
        members = {study.baseline_name: baseline}
        for family, axis in families:
            if axis == key:
                members[family] = [arm for arm in arms if arm.line == (family, key) and arm not in baseline]
        by_value = {
            name: [(arm.changes[key], groups.get((arm.name, sizes[-1]), ())) for arm in line_arms]
            for name, line_arms in members.items()
        }
        lines = _lines(by_value, metric)
        xs = sorted({point["x"] for line in lines for point in line["points"]})
        if len(xs) > 1:
            log = xs[0] > 0 and xs[-1] / xs[0] > 20
            through = {"through": study.baseline_name} if baseline else {}
            curves.append({"axis": key, "log": log, "metric": metric, "lines": lines, **through})
    return curves


def _lines(groups: Mapping[str, Sequence[tuple[float, Sequence[Outcome]]]], metric: str) -> list[dict[str, Any]]:
    """The lines of a curve, with the mean and interval of each point that has trials; empty lines are left out."""
    lines: list[dict[str, Any]] = []
    for name, values in groups.items():
        points: list[dict[str, Any]] = []
        for x, outcomes in sorted(values, key=lambda value: value[0]):
            if outcomes:
                interval = t_interval([o.metrics[metric] for o in outcomes])
                low, high = ends(interval)
                points.append({"x": x, "mean": interval.mean, "low": low, "high": high, "n": interval.n})
        if points:
            lines.append({"name": name, "points": points})
    return lines
