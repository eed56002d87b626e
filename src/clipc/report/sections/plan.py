"""The sections on what a pilot ran and why, and on what a user has without training."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import fragment
from clipc.report.sections.rows import kind
from clipc.report.words import Words

LEAST_EPOCHS: Final = 5
"""Training in which each pair is seen less often than this is called short."""


def plan(data: Mapping[str, Any], say: Words) -> Markup:
    """What was run, and why; empty for an experiment that is no pilot."""
    if not data.get("plan"):
        return Markup()
    return fragment("plan.html", say, sentences=list(plan_sentences(data["plan"], say)))


def plan_sentences(plan: Mapping[str, Any], say: Words) -> Iterator[str]:
    """What a pilot runs and why, one sentence each.

    Args:
        plan: As :func:`clipc.run_pilot` gives it.
        say: The words of the language.
    """
    pairs, all_pairs = (readable.count(plan[name]) for name in ("pairs", "all_pairs"))
    yield say("pilot.plan.recipe", recipe=plan["recipe"], n=pairs, epochs=f"{plan['epochs']:.3g}")
    if plan["epochs"] < LEAST_EPOCHS:
        yield say("pilot.plan.short", least=LEAST_EPOCHS)
    if plan["pairs"] < plan["all_pairs"]:
        yield say("pilot.plan.pairs", n=pairs, all=all_pairs)
    if plan["feature_minutes"] >= 0.1:
        yield say("pilot.plan.features", minutes=f"{plan['feature_minutes']:.1f}")
    numbers = {"arms": len(plan["arms"]), **{name: plan[name] for name in ("seeds", "trials", "jobs")}}
    minutes = {"minutes": f"{plan['minutes']:.1f}", "allowed": f"{plan['allowed_minutes']:g}"}
    yield say("pilot.plan.trials", **numbers, **minutes)
    if plan.get("tries"):
        yield say("pilot.plan.tries", n=plan["tries"])
    yield say("pilot.plan.seeds_asked" if plan["seeds_asked"] else "pilot.plan.seeds_fit")
    if plan["left_out"]:
        names = say("page.list").join(say.arm(name) for name in plan["left_out"])
        yield say("pilot.plan.left_out", names=names)
        for name in plan["left_out"]:
            yield say.get(f"not_shown.untested-{name}", say("not_shown.untested", arm=say.arm(name)))
    if plan["left_out"] or plan["pairs"] < plan["all_pairs"]:
        yield say("pilot.plan.more_time")


def untrained(data: Mapping[str, Any], say: Words) -> Markup:
    """Linear probes on the start's features, and the public model, beside the arms; empty without any."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in data.get("untrained", ()):
        is_probe = row["kind"] == "probe"
        title = say("pilot.untrained.column", column=row["column"]) if is_probe else say.metric(row["metric"])
        arms = [{**arm, "kind": kind(arm["arm"], data)} for arm in row["arms"]]
        kinds.setdefault("probe" if is_probe else "public", []).append({**row, "title": title, "arms": arms})
    return fragment("untrained.html", say, kinds=list(kinds.items())) if kinds else Markup()
