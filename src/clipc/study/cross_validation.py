"""The results of a cross-validation, pooled over its folds.

**The unit.** The models of one seed share most of their training pairs over the folds, so their results depend on each
other, and no unbiased estimate of the variance over folds exists (Bengio and Grandvalet 2004,
https://www.jmlr.org/papers/v5/grandvalet04a.html). So folds are no repetitions: the items of all folds of a seed are
pooled into one result, whose value is their mean, and the seeds are the units of the t interval and of all tests. In
the two-way interval each pair is one test item, tested once in each seed.

**The limits.** All seeds have the same partition, so the intervals do not include the choice of another one. Retrieval
ranks within a fold, so recall is higher than it would be among all pairs. Differences hold for training sets of the
size of all folds but one.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

import numpy as np
import numpy.typing as npt

from clipc.evaluate.measurement import Measurement
from clipc.study.design import Study
from clipc.study.results import Outcome
from clipc.study.run import PlannedTrial

Finished = Sequence[tuple[PlannedTrial, Outcome]]


def pool_folds(study: Study, finished: Finished) -> Finished:
    """One result for each arm, size and seed, in place of one for each fold; unchanged without folds.

    The values of the items are put one after the other, fold by fold; a metric's value is the mean over all items.
    A metric that is no mean of items is averaged over the folds, weighted by their numbers of items. What a metric is
    (main or secondary) is taken from the first fold. Seeds that lack a fold are left out, as are metrics that are not
    measured in every fold.

    Args:
        study: The study.
        finished: The finished trials.
    """
    if study.folds is None:
        return finished
    groups: dict[tuple[str, int, int], dict[int, tuple[PlannedTrial, Outcome]]] = {}
    for plan, outcome in finished:
        groups.setdefault((plan.trial.arm, plan.size, plan.trial.recipe.seed), {})[plan.fold] = (plan, outcome)
    complete = [group for group in groups.values() if len(group) == study.folds]
    return [(group[0][0], _pooled([group[fold][1] for fold in range(study.folds)])) for group in complete]


def _pooled(folds: Sequence[Outcome]) -> Outcome:
    first = folds[0]
    names = [name for name in first.measurements if all(name in fold.measurements for fold in folds)]
    last = [name for name in first.last_metrics if all(name in fold.last_metrics for fold in folds)]
    summed = ("core_seconds", "validation_core_seconds")
    averaged = ("pairs_per_second", "composite_share")
    return replace(
        first,
        summary={
            **first.summary,
            **{key: sum(fold.summary[key] for fold in folds) for key in summed},
            **({"scores_core_seconds": scoring} if (scoring := sum(f.score_core_seconds for f in folds)) else {}),
            **{key: mean(fold.summary[key] for fold in folds) for key in averaged},
            "best": None,
        },
        measurements={name: pooled_measurement([fold.measurements[name] for fold in folds]) for name in names},
        last_metrics={name: mean(fold.last_metrics[name] for fold in folds) for name in last},
        context=first.context | {key: sum(f.context[key] for f in folds) for key in ("images", "captions")},
        evaluation_core_seconds=sum(fold.evaluation_core_seconds for fold in folds),
    )


def pooled_measurement(folds: Sequence[Measurement]) -> Measurement:
    """A metric over the items of all folds; see :func:`pool_folds`."""
    first, counts = folds[0], np.array([fold.n for fold in folds])
    n = int(counts.sum())

    def average(values: Sequence[float | None]) -> float | None:
        numbers = [value for value in values if value is not None]
        return None if len(numbers) < len(values) else float(np.average(numbers, weights=counts))

    arrays = [fold.values for fold in folds if fold.values is not None]
    owners = [fold.owner for fold in folds if fold.owner is not None]
    all_items = len(arrays) == len(folds)
    return replace(
        first,
        values=np.concatenate(arrays) if all_items else None,
        owner=_distinct(owners) if all_items and len(owners) == len(folds) else None,
        value=average([fold.value for fold in folds]),
        n=n,
        chance=average([fold.chance for fold in folds]),
        ceiling=average([fold.ceiling for fold in folds]),
        interval=None,
    )


def _distinct(owners: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """The owners of all folds, numbered so that those of different folds differ."""
    offsets = np.cumsum([0, *(int(owner.max()) + 1 for owner in owners[:-1])])
    return np.concatenate([owner + offset for owner, offset in zip(owners, offsets, strict=True)])
