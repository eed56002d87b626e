"""Finished trials into tables: arms, metrics, and paired comparisons."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.errors import UserError
from clipc.evaluate.evaluation import clusters
from clipc.evaluate.statistics import Interval, paired_difference, sampling_error, verdict
from clipc.recipe.run import Run
from clipc.study.trials import Trial

MAIN: Final = ("retrieval/text_to_image/recall@10", "retrieval/image_to_text/recall@10", "top1")
"""Metrics, or ends of their names, that a report shows first (of the linear probes only ``all``)."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished trial as read back from its run folder.

    Attributes:
        trial: The trial.
        summary: The run's ``finished.json``.
        metrics: On the test split, of the model that was best on validation.
        last_metrics: On the test split, of the last step's model.
        context: What the figures rest on.
        items: Each metric's values one by one, for the test set's sampling error.
        records: The run's ``metrics.jsonl``.
        evaluation_core_seconds: Processor time of the evaluation.
        machine: The run's ``environment.json``.
    """

    trial: Trial
    summary: dict[str, Any]
    metrics: dict[str, float]
    last_metrics: dict[str, float]
    context: dict[str, Any]
    items: dict[str, npt.NDArray[Any]]
    records: list[dict[str, Any]]
    evaluation_core_seconds: float
    machine: dict[str, Any]

    @classmethod
    def read(cls, trial: Trial) -> "Outcome":
        """Reads a trial's files.

        Raises:
            UserError: The trial is not finished.
        """
        run = Run(trial.folder)
        summary, test, last = (run.read_json(n) for n in ("finished.json", "eval/test.json", "eval/test-last.json"))
        if summary is None or test is None or last is None:
            raise UserError(f"the trial in {trial.folder} is not finished; run the same command again.")
        with np.load(trial.folder / "eval" / "test-items.npz", allow_pickle=False) as file:
            items = {name: file[name] for name in file.files}
        return cls(
            trial,
            summary,
            test["metrics"],
            last["metrics"],
            test["context"],
            items,
            list(run.metrics()),
            test["core_seconds"],
            run.read_json("environment.json") or {},
        )

    @property
    def core_seconds(self) -> float:
        """Processor time of the whole trial: training, validation and evaluation."""
        used = self.summary["core_seconds"] + self.summary["validation_core_seconds"]
        return used + self.evaluation_core_seconds


def composed_share(outcome: Outcome) -> float | None:
    """The share of training examples that were composites; None where the policy composes none.

    A run's ``composite_share`` counts all treated examples, with the control's stronger augmentation as the treatment
    too.
    """
    policy = outcome.trial.recipe.policy
    return outcome.summary["composite_share"] if policy.treatment == "compose" and policy.rho > 0 else None


def arms_table(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """One entry an arm, in order of appearance, with its trials by seed."""
    return [
        {
            "name": arm,
            "composite_share": mean(o.summary["composite_share"] for o in group),
            "trials": [_trial_row(o) for o in group],
        }
        for arm, group in _by_arm(outcomes).items()
    ]


def _trial_row(outcome: Outcome) -> dict[str, Any]:
    best = outcome.summary["best"]
    return {
        "seed": outcome.trial.recipe.seed,
        "run": f"{outcome.trial.folder.parent.name}/{outcome.trial.folder.name}",
        "core_seconds": outcome.core_seconds,
        "pairs_per_second": outcome.summary["pairs_per_second"],
        "best_step": best["step"] if best else outcome.summary["steps"],
        "metrics": outcome.metrics,
        "last_metrics": outcome.last_metrics,
        "curves": {
            "loss": [[r["step"], r["loss"]] for r in outcome.records if "loss" in r],
            "validation": [[r["step"], r["validation"]["mean_recall"]] for r in outcome.records if "validation" in r],
        },
    }


def metrics_table(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """One entry a metric that every trial has."""
    context = outcomes[0].context
    shared = [m for m in outcomes[0].metrics if all(m in o.metrics for o in outcomes)]
    return [
        {
            "key": metric,
            "main": _is_main(metric),
            "chance": context["chance"].get(metric),
            "n": _items_behind(metric, context),
            "higher_is_better": not metric.endswith("median_rank"),
        }
        for metric in shared
    ]


def near_chance(value: float, chance: float) -> bool:
    """Whether a share is hardly better than guessing: less than twice as good, or a tenth of the way to perfect."""
    return value < min(2 * chance, chance + (1 - chance) / 10)


def _is_main(metric: str) -> bool:
    if "text_equal" in metric or "-shot" in metric or metric.startswith("swaps/"):
        return False
    return metric.endswith(MAIN)


def _items_behind(metric: str, context: Mapping[str, Any]) -> int:
    kind, column = metric.split("/")[:2]
    if kind == "swaps":
        return context["swaps"]["items"]
    if kind != "retrieval":
        return context["columns"][column]["images"]
    return context["captions"] if "text_to_image" in metric else context["images"]


COMPARED: Final = (("clip-c", "clip"), ("clip-c", "augment"), ("augment", "clip"))
"""Which arm is compared with which: the treated one first."""


def comparisons_table(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The paired differences of :data:`COMPARED` between the arms that ran, metric by metric.

    A difference counts as a gain or a loss only where both the t interval over seeds and the test
    set's own lie on one side of zero; in a metric where lower is better, a gain is a fall.
    """
    groups = _by_arm(outcomes)
    pairs = [(groups[a], groups[b]) for a, b in COMPARED if a in groups and b in groups]
    return [_compare(metric, *pair) for metric in metrics_table(outcomes) for pair in pairs]


def _compare(metric: Mapping[str, Any], treated: Sequence[Outcome], control: Sequence[Outcome]) -> dict[str, Any]:
    row, seeds = paired_row(metric["key"], treated, control)
    test = _test_set_interval(metric["key"], treated, control)
    return {
        **row,
        "test_error": None if test is None else finite(test.error),
        "verdict": verdict_on(metric, seeds, test),
    }


def paired_row(metric: str, treated: Sequence[Outcome], control: Sequence[Outcome]) -> tuple[dict[str, Any], Interval]:
    """What a paired difference is, whatever rule then says whether it counts: a row, and its t interval over seeds.

    Args:
        metric: The metric's key.
        treated: The trials of one arm.
        control: The trials of the other, of the same seeds in the same order.
    """
    values, others = ([o.metrics[metric] for o in group] for group in (treated, control))
    seeds = paired_difference(values, others)
    row = {
        "metric": metric,
        "arm": treated[0].trial.arm,
        "against": control[0].trial.arm,
        "difference": seeds.mean,
        "interval": ends(seeds),
        "per_seed": [a - b for a, b in zip(values, others, strict=True)],
    }
    return row, seeds


def verdict_on(metric: Mapping[str, Any], *intervals: Interval | None) -> str:
    """What the intervals there are say of a metric; where lower is better, a gain is a fall."""
    found = verdict(*(interval for interval in intervals if interval is not None))
    return found if metric["higher_is_better"] else {"gain": "loss", "loss": "gain"}.get(found, found)


def ends(interval: Interval) -> list[float | None]:
    """The ends of an interval for JSON."""
    return [finite(interval.low), finite(interval.high)]


def has_items(metric: str, outcomes: Sequence[Outcome]) -> bool:
    """Whether a figure is the mean of its items, which median ranks and class means are not."""
    return metric in outcomes[0].items and not metric.endswith("mean_per_class")


def _test_set_interval(metric: str, treated: Sequence[Outcome], control: Sequence[Outcome]) -> Interval | None:
    """The test set's interval; None for figures that are no mean of items (median ranks, class means)."""
    if not has_items(metric, treated):
        return None
    ours, theirs = ([o.items[metric] for o in group] for group in (treated, control))
    return sampling_error(ours, theirs, clusters(metric, treated[0].items))


def composing_cost(outcomes: Sequence[Outcome]) -> dict[str, Any] | None:
    """The median training speed with and without composing, from the trials themselves."""
    groups = _by_arm(outcomes)
    if not {"clip", "clip-c"} <= groups.keys():
        return None
    plain, composed = (median(o.summary["pairs_per_second"] for o in groups[arm]) for arm in ("clip", "clip-c"))
    return {
        "pairs_per_second_plain": plain,
        "pairs_per_second_composed": composed,
        "ratio": composed / plain,
        "what": "training",
    }


def _by_arm(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: o.trial.recipe.seed):
        groups.setdefault(outcome.trial.arm, []).append(outcome)
    return groups


def finite(value: float) -> float | None:
    """A number that JSON can hold, or None."""
    return value if math.isfinite(value) else None


def templates_used(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The template sets that zero-shot classification chose, each once."""
    columns = (o.context["columns"].values() for o in outcomes)
    yield from sorted({column["templates"] for found in columns for column in found if "templates" in column})
