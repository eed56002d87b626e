"""The fifth stage: the low-data curve, plain CLIP and the winner on ever smaller subsets of the pairs."""

import math
from collections.abc import Sequence
from typing import Any, Final

from clipc.catalog.subsample import subsample
from clipc.evaluate.statistics.interval import t_interval
from clipc.study.pilot.design import PilotDesign, bind
from clipc.study.pilot.experiment import REPORT_SECONDS, experiment_scope, scoped, with_scope, workers
from clipc.study.pilot.options import LEAST_SEEDS
from clipc.study.pilot.pace import Pace
from clipc.study.pilot.regime import Cost, settle
from clipc.study.pilot.stages.stage import Context, Results, StageResult
from clipc.study.results import Outcome, ends
from clipc.study.run import PlannedTrial, finished_trials, plan_study, run_pending

LEAST_CURVE_PAIRS: Final = 32
"""The smallest size of the curve."""

Groups = dict[tuple[str, int], list[Outcome]]
"""The finished trials of each arm at each size, by seed."""


def low_data_curve(context: Context, results: Results) -> StageResult:
    """Trains plain CLIP and the winner on an eighth, a quarter and a half of the pairs; each seed draws its own.

    Each size is trained as suits it; all sizes of a seed are nested. Where time is short, small sizes and seeds are
    left out; where trials then take longer than expected, the last seeds too.
    """
    scope = context.settled("curve", lambda: _settle(context, results))
    if not scope["sizes"]:
        return StageResult(True, scope["code"], {"needed": scope["needed"]}, {"curves": []})
    scope = _run(context, scope)
    groups = measured(context, results)
    metrics = [m["key"] for m in results["experiment"].tables["metrics"] if m["main"]]
    sizes = sorted({size for _, size in groups})
    values: dict[str, Any] = {"sizes": sizes, "seeds": scope["seeds"], "winner": scope["arms"][-1]}
    return StageResult(True, "measured", values, {"curves": [_curve(groups, scope["arms"], m) for m in metrics]})


def _run(context: Context, scope: dict[str, Any]) -> dict[str, Any]:
    """Runs a few seeds at a time while time is left; returns the scope with the seeds that were run."""
    designs = curve_designs(context, scope)
    planned = [trial for size in scope["sizes"] for trial in _plan(context, designs[size])]
    study, jobs, slowest = designs[scope["sizes"][-1]].study, workers(context)[0], 0.0
    for first in range(0, scope["seeds"], LEAST_SEEDS):
        if slowest > context.seconds_left - REPORT_SECONDS:
            return context.settle_anew("curve", scope | {"seeds": first})
        seeds, begin = study.seeds[: first + LEAST_SEEDS], context.timer.seconds
        few = [trial for trial in planned if trial.trial.recipe.seed in seeds]
        run_pending(study, few, jobs=jobs, progress=context.progress, on_update=context.watch)
        slowest = max(slowest, context.timer.seconds - begin)
    return scope


def measured(context: Context, results: Results) -> Groups:
    """The finished trials of the experiment and of the curve, from their records.

    Args:
        context: What the stages share.
        results: The results of the stages; of the curve too, once it is there.
    """
    groups: Groups = {}
    design, data = scoped(context, experiment_scope(context))
    planned = plan_study(design.study, data, context.folder, context.folder / "records")
    trials = finished_trials(design.study, planned)
    curve = context.settled("curve", lambda: _settle(context, results))
    for size_design in curve_designs(context, curve).values():
        trials += finished_trials(size_design.study, _plan(context, size_design))
    for plan, outcome in trials:
        groups.setdefault((plan.trial.arm, plan.size), []).append(outcome)
    for outcomes in groups.values():
        outcomes.sort(key=lambda outcome: outcome.trial.recipe.seed)
    return groups


def curve_designs(context: Context, scope: dict[str, Any]) -> dict[int, PilotDesign]:
    """The design at each size below all pairs: the recipe that suits it, the two arms, and its seeds."""
    experiment = experiment_scope(context)
    data = subsample(context.catalog, experiment["pairs"])
    designs: dict[int, PilotDesign] = {}
    for size in scope["sizes"]:
        bound = bind(context.study, subsample(data, size))
        design = with_scope(bound, {**experiment, "arms": scope["arms"], "seeds": scope["seeds"]})
        study = design.study.model_copy(
            update={"sizes": (size,), "controls": (), "contrasts": (), "keep_models": False}
        )
        designs[size] = PilotDesign(study, design.recipes, design.reason)
    return designs


def _plan(context: Context, design: PilotDesign) -> list[PlannedTrial]:
    data = subsample(context.catalog, experiment_scope(context)["pairs"])
    return plan_study(design.study, data, context.folder, context.folder / "records")


def _settle(context: Context, results: Results) -> dict[str, Any]:
    values = results["experiment"].values
    return curve_scope(context, values["winner"], context.seconds_left, values.get("trial_seconds"))


def curve_scope(context: Context, winner: str, seconds: float, trial_seconds: float | None = None) -> dict[str, Any]:
    """The sizes, arms and seeds of the curve that fit a time.

    Args:
        context: What the stages share.
        winner: The arm beside plain CLIP.
        seconds: The time.
        trial_seconds: How long a trial of the experiment took; where that is longer than the measured pace promised,
            trials of the curve are expected to be longer in proportion.

    Returns:
        ``sizes`` (none where nothing fits), ``arms``, ``seeds``, ``seconds``, and why there are no sizes: ``code``, and
        the ``needed`` minutes.
    """
    experiment = experiment_scope(context)
    pairs, pace, jobs = experiment["pairs"], Pace(**experiment["pace"]), workers(context)[0]
    arms = [context.design.study.baseline_name, winner]
    sizes = [pairs // part for part in (8, 4, 2) if pairs // part >= LEAST_CURVE_PAIRS]
    nothing: dict[str, Any] = {"sizes": [], "arms": arms, "seeds": 0, "seconds": 0.0, "code": "few-pairs", "needed": 0}
    if not sizes:
        return nothing

    def expected(size: int) -> float:
        return pace.trial_seconds(bind(context.study, subsample(context.catalog, size)).baseline, size)

    slower = max(1.0, (trial_seconds or 0.0) / expected(pairs))
    trial = {size: slower * expected(size) for size in sizes}
    for first in range(len(sizes)):
        kept = sizes[first:]
        # Seeds are settled as in the experiment: one trial of this cost stands for one of each size.
        cost = Cost(pairs, 0.0, sum(trial[size] for size in kept))
        scope = settle(seconds - REPORT_SECONDS, [cost], [arms], (LEAST_SEEDS, experiment["seeds"]), jobs)
        if scope is not None:
            fits = {"sizes": kept, "seeds": scope.seeds, "seconds": scope.seconds, "code": ""}
            return nothing | fits
    needed = Cost(pairs, 0.0, trial[sizes[-1]]).seconds(len(arms) * LEAST_SEEDS, jobs)
    return nothing | {"code": "no-time", "needed": math.ceil((needed - seconds + REPORT_SECONDS) / 60)}


def _curve(groups: Groups, arms: Sequence[str], metric: str) -> dict[str, Any]:
    """A curve over the number of pairs, as a study's tables hold them."""
    lines: list[dict[str, Any]] = []
    for arm in arms:
        points: list[dict[str, Any]] = []
        for size in sorted(size for name, size in groups if name == arm):
            interval = t_interval([o.metrics[metric] for o in groups[arm, size] if metric in o.metrics])
            low, high = ends(interval)
            points.append({"x": size, "mean": interval.mean, "low": low, "high": high, "n": interval.n})
        lines.append({"name": arm, "points": points})
    return {"axis": "pairs", "log": True, "metric": metric, "lines": lines}
