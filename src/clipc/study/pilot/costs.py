"""What the stages of a pilot will take, before any of them runs."""

from typing import Any

from clipc.files import cores
from clipc.study.pilot.experiment import REPORT_SECONDS, experiment_plan, experiment_scope, light_seconds, scoped
from clipc.study.pilot.stages.confirm import confirm_seconds
from clipc.study.pilot.stages.curve import curve_scope
from clipc.study.pilot.stages.stage import Context


def planned_stages(context: Context) -> dict[str, Any]:
    """The plan of the experiment (:func:`~clipc.study.pilot.experiment.experiment_plan`) with ``stages``.

    The pace is measured for it, and what is settled holds for the pilot that follows with the same options.

    Returns:
        The plan; each of its ``stages`` has ``name``, ``minutes``, ``core_hours`` and whether it ``fits`` the time.
    """
    scope = experiment_scope(context)
    plan = experiment_plan(context, scoped(context, scope)[0], scope)
    seconds = light_seconds(context.catalog)
    tries = context.options.tune
    if tries:
        seconds["tune"] = 60 * scope["minutes"] * tries / (tries + scope["seeds"])
    seconds["experiment"] = 60 * scope["minutes"] - seconds.get("tune", 0.0)
    left = context.options.minutes * 60 - sum(seconds.values())
    fits = dict.fromkeys(seconds, True)
    arms = [context.design.study.baseline_name, context.design.study.treatments[-1]]
    curve = curve_scope(context, arms[-1], left)
    seconds["curve"] = curve["seconds"] if curve["sizes"] else 60.0 * curve["needed"]
    fits["curve"] = bool(curve["sizes"])
    left -= curve["seconds"]
    if scope["renderer"] == "features":
        seconds["confirm"] = confirm_seconds(context, arms)
        fits["confirm"] = seconds["confirm"] <= left - REPORT_SECONDS
    stages = [
        {"name": name, "minutes": time / 60, "core_hours": time * cores() / 3600, "fits": fits[name]}
        for name, time in seconds.items()
        if name in (*context.options.stages, "tune")
    ]
    return {**plan, "stages": stages}
