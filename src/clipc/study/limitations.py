"""The limitations of an experiment, as codes; the words of the report hold a sentence for each code."""

from collections.abc import Mapping, Sequence
from typing import Any

from clipc.catalog.catalog import Catalog
from clipc.evaluate.leakage import Leakage
from clipc.evaluate.small_split import PRECISE_PAIRS, few_pairs
from clipc.study.checks import trains_from_scratch
from clipc.study.design import Study
from clipc.study.results import Outcome, baseline_near_chance
from clipc.study.run import PlannedTrial
from clipc.study.search_results import SearchResult

Codes = list[str | dict[str, Any]]
"""Entries of ``not_shown``: each is a code, or a mapping of ``code`` and the parameters of its sentence."""


def limitations(
    study: Study,
    catalog: Catalog,
    outcomes: Sequence[Outcome],
    metrics: Sequence[Mapping[str, Any]],
    leaked: Leakage,
    num_finished: int,
    planned: int,
    diverged: Sequence[tuple[PlannedTrial, int]],
    search_results: Sequence[SearchResult],
) -> Codes:
    """Codes of all limitations of a study's results.

    Args:
        study: The study.
        catalog: The data.
        outcomes: The finished trials, one at least; with folds their pooled results.
        metrics: As :func:`clipc.study.results.metrics_table` gives them.
        leaked: What of the test split is in the training pairs too.
        num_finished: How many trials are finished; those that diverged count.
        planned: How many trials there are in all.
        diverged: The trials whose loss or weights became non-finite, with the step at which they did.
        search_results: The result of the search for each arm; empty without a search.
    """
    codes: Codes = [{"code": "unfinished", "n": num_finished, "planned": planned}] if num_finished < planned else []
    arms = [p.trial.arm for p, _ in diverged]
    codes += [{"code": "diverged", "arm": arm, "n": arms.count(arm)} for arm in dict.fromkeys(arms)]
    codes += search_limits(search_results)
    codes += ["generated"] if catalog.about.generated else []
    codes += [] if catalog.about.label_columns else ["no-labels"]
    codes += [] if study.split == "test" else ["on-validation"]
    measured = len(catalog) if study.folds else catalog.splits[study.split]
    codes += filter(None, [few_pairs(measured, study.split, PRECISE_PAIRS)])
    # Captions made from class names are the same everywhere, which is told where few captions are distinct.
    if leaked["images_in_train"] or (leaked["captions_in_train"] and not catalog.about.class_captions):
        codes.append("leakage")
    names = {metric["key"] for metric in metrics}
    if incomplete := {name for o in outcomes for name in o.metrics} - names:
        codes.append({"code": "not-in-all", "metrics": sorted(incomplete)})
    if len({_hardware(o) for o in outcomes}) > 1:
        codes.append("unlike-machines")
    if study.data.group_column is not None:
        codes.append({"code": "groups-apart", "column": study.data.group_column})
    baseline = [o for o in outcomes if o.trial.arm == study.baseline_name]
    for metric in metrics:
        if metric["main"] and baseline_near_chance(metric, baseline):
            codes.append({"code": "near-chance", "metric": metric["key"]})
    if not study.controls:
        codes.append("no-control-arm")
    if len(study.seeds) < 8:
        codes.append({"code": "few-seeds", "n": len(study.seeds)})
    codes += ["equal-budget-only"] if study.search else ["equal-budget-only", "one-recipe"]
    if all(trains_from_scratch(o.trial.recipe) for o in outcomes):
        codes.append("from-scratch")
    parameters, size = outcomes[0].summary["parameters"], outcomes[0].summary["image_size"]
    codes.append({"code": "small-model", "parameters": f"{parameters:,}", "size": size})
    split = {"code": "one-partition", "folds": study.folds} if study.folds else "one-split"
    return [*codes, split, "same-source", "no-audit"]


def search_limits(search_results: Sequence[SearchResult]) -> Codes:
    """Codes for unequal numbers of tries between arms, and for arms without settings after the search."""
    codes: Codes = []
    tries = [result.wanted for result in search_results]
    if len(set(tries)) > 1:
        fewest = [result.arm for result in search_results if result.wanted == min(tries)]
        codes.append({"code": "unequal-tries", "fewest": min(tries), "most": max(tries), "arms": ", ".join(fewest)})
    if excluded := [result.arm for result in search_results if result.settings is None]:
        codes.append({"code": "search-left-out", "arms": ", ".join(excluded)})
    return codes


def _hardware(outcome: Outcome) -> tuple[Any, ...]:
    """The hardware and the versions of software that may change a result."""
    return tuple(outcome.machine.get(name) for name in ("cpu", "gpu", "device", "torch", "clipc"))
