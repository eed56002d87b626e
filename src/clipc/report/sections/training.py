"""How composites look, how training went, and what composing costs: what a time budget leaves room to show."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import marks, readable
from clipc.report.page import fragment, sample
from clipc.report.sections.rows import kind
from clipc.report.training_plot import training_curves
from clipc.report.words import Words


def composites(data: Mapping[str, Any], say: Words) -> Markup:
    """Images of what each arm under test composes, with their captions."""
    shown = [(arm["arm"], [sample(row) for row in arm["samples"]]) for arm in data["composites"] if arm["samples"]]
    return fragment("composites.html", say, composites=shown, generated=data["source"]["generated"])


def training(data: Mapping[str, Any], say: Words) -> Markup:
    """Training loss and validation over the steps; nothing where nothing was recorded."""
    names = [arm["name"] for arm in data["arms"]]
    drawn = marks.of_roles({name: kind(name, data) for name in names})
    figures: dict[str, Any] = {}
    for what, factor in (("validation", 100.0), ("loss", 1.0)):
        lines = {
            name: [[(s, factor * v) for s, v in trial[what]] for trial in data["training"] if trial["arm"] == name]
            for name in names
        }
        if any(points for trials in lines.values() for points in trials):
            # made of numbers alone
            figures[what] = Markup(training_curves(f"training-{what}", [(drawn[n], lines[n]) for n in names]))
    if not figures:
        return Markup()
    legend = [(Markup(marks.stroke(drawn[name])), name) for name in names]  # our own marks
    return fragment("training.html", say, figures=figures, legend=legend)


def cost(data: Mapping[str, Any], say: Words) -> Markup:
    """The speed of the baseline and of each arm under test."""
    found, told = data["composing_cost"], dict[str, Any](said=[], bars=[])
    if found is not None:
        rates = [(data["baseline"], found["baseline"], "")]
        for arm in found["arms"]:
            slower = arm["ratio"] < 0.9995
            percent = f"{1 - arm['ratio']:.1%}"
            told["said"].append(say(f"cost.{'slower' if slower else 'faster'}", arm=arm["arm"], percent=percent))
            rates.append((arm["arm"], arm["pairs_per_second"], say("cost.ratio", ratio=f"{arm['ratio']:.3f}")))
        top = max(rate for _, rate, _ in rates) or 1.0
        told["bars"] = [
            (name, say("cost.rate", rate=readable.tidy(rate)), f"{100 * rate / top:.1f}", ratio)
            for name, rate, ratio in rates
        ]
    return fragment("cost.html", say, cost=told)
