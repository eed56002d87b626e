"""The verdict of a pilot: what its trials, gates and costs are worth by the user's figures."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipc.audit.decisions import Decision, consensus
from clipc.evaluate.measurement import Measurement
from clipc.study.pilot.experiment import experiment_scope, scoped, workers
from clipc.study.pilot.public import PublicModel
from clipc.study.pilot.stages.curve import measured
from clipc.study.pilot.stages.stage import Context, Results
from clipc.study.pilot.untrained import untrained_hits
from clipc.study.worth.tables import WorthInputs, worth_tables


def pilot_worth(
    context: Context,
    results: Results,
    tables: Mapping[str, Any],
    minutes: float,
    public: PublicModel | None = None,
) -> dict[str, Any]:
    """The table ``worth`` of a pilot whose experiment and curve are done; nothing is trained.

    The arm that is decided on is the experiment's winner. It was chosen on the test split, so intervals are widened by
    the number of arms under test.

    Args:
        context: What the stages share.
        results: The stages' results.
        tables: Their tables.
        minutes: What the pilot took.
        public: The public model that the trained one is compared with, if given.
    """
    winner, baseline = results["experiment"].values["winner"], tables["baseline"]
    metric = decision_metric(tables)
    credit = next(
        (
            row["credit"]
            for row in tables["comparisons"]
            if (row["metric"], row["arm"], row["against"]) == (metric, winner, baseline)
        ),
        None,
    )
    return worth_tables(
        WorthInputs(
            groups=measured(context, results),
            metrics=tables["metrics"],
            baseline=baseline,
            arm=winner,
            alternatives=_linear_probe(context, metric) | _public(public, metric),
            gates={
                "meaning": with_acceptance(tables.get("meaning"), context.options.decisions),
                "bias": tables.get("bias_gate"),
            },
            credit=credit,
            costs=_costs(context, tables, winner, minutes),
            figures=context.options.figures,
            metric=metric,
            candidates=len(tables["verdict"]["arms"]),
        )
    )


def decision_metric(tables: Mapping[str, Any]) -> str:
    """The main metric that is decided on: zero-shot classification of the main label column where it is one.

    Where classes are unbalanced that is the mean over classes. Without labels it is the first main metric.
    """
    main = [m["key"] for m in tables["metrics"] if m["main"]]
    columns = tables["source"]["label_columns"][:1]
    names = [f"zero_shot/{column}/{kind}" for column in columns for kind in ("mean_per_class", "top1")]
    return next((name for name in names if name in main), main[0])


def with_acceptance(meaning: Mapping[str, Any] | None, decisions: Sequence[Decision]) -> Mapping[str, Any] | None:
    """The gate's table with how many of the composites that experts decided on they accept."""
    if meaning is None or not decisions:
        return meaning
    accepted = list(consensus(decisions).values())
    return {**meaning, "acceptance": {"accepted": sum(accepted), "decided": len(accepted)}}


def _linear_probe(context: Context, metric: str) -> dict[str, Measurement]:
    """The linear probe on the start's features, on the items of the decision's metric; empty where there is none."""
    columns = context.catalog.about.label_columns[:1]
    column = next((c for c in columns if metric.startswith(f"zero_shot/{c}/")), None)
    if column is None:
        return {}

    def fit() -> dict[str, Any]:
        design, data = scoped(context, experiment_scope(context))
        return {"hits": untrained_hits(design.baseline, data, column, context.progress)}

    found = context.settled("alternatives", fit)["hits"]
    if found is None:
        return {}
    hits, labels = np.array(found["hits"], dtype=np.float64), np.array(found["labels"])
    if metric == f"zero_shot/{column}/mean_per_class":
        counts = np.bincount(labels)
        hits = hits * len(labels) / (np.count_nonzero(counts) * counts[labels])
    return {"linear-probe": Measurement(metric, hits)}


def _public(public: PublicModel | None, metric: str) -> dict[str, Measurement]:
    """The public model's measurement of the decision's metric; empty where there is none."""
    one = None if public is None else public.measurements.get(metric)
    return {} if one is None else {"public-model": one}


def _costs(context: Context, tables: Mapping[str, Any], arm: str, minutes: float) -> dict[str, Any]:
    cost = tables.get("composing_cost") or {"arms": []}
    ratio = next((row["ratio"] for row in cost["arms"] if row["arm"] == arm), None)
    jobs, threads = workers(context)
    device = tables["machine"]["device"]
    cores = min(os.cpu_count() or 1, jobs * threads)
    return {"device": device, "hours": minutes / 60, "cores": cores, "composition_ratio": ratio}
