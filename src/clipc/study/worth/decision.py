"""The verdicts: adopt, extend the pilot, or do not adopt; from intervals and stated thresholds, never from means."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from clipc.evaluate.statistics.power import seeds_needed
from clipc.evaluate.statistics.two_way_contrasts import Floats, TwoWayContrasts
from clipc.study.worth.estimate import Estimate

Decision = Literal["adopt", "extend", "stop"]
"""Adopt; extend the pilot; do not adopt."""

POWER: Final = 0.8
"""The probability of a decision with the computed number of seeds, if the estimate is the truth."""

MOST_SEEDS: Final = 200
"""More seeds than these are not advised: such a difference will not matter to anyone."""


def false_adopt_rate(level: float) -> float:
    """How often composition that is worth no more than the threshold gets "adopt" by chance, at most.

    "Adopt" needs the lower end of a two-sided interval above the threshold, which happens in half of the cases in which
    the interval misses the truth; the gates and the requirement that no control shows the same gain only make it rarer.
    The same holds for the model, which has to be better than *every* alternative.

    Args:
        level: The confidence level of the intervals.
    """
    return (1 - level) / 2


def decide_composition(
    measured: Estimate | None,
    needed: float,
    gates: Sequence[Mapping[str, Any]],
    credit: str | None,
    *,
    has_figures: bool,
    reach: float = math.inf,
) -> dict[str, Any]:
    """The verdict on composition.

    *Adopt* where the whole interval lies above what is needed, both gates passed, no control shows the same gain, and
    the user's figures are given. *Do not adopt* where the whole interval lies below it. *Extend* otherwise.

    Args:
        measured: The ratio of the data equivalence (or the gain, where that is what composition is for); None if it was
            not measured.
        needed: What it has to exceed; without figures 1 (or 0), since costs only raise it.
        gates: The gates' results.
        credit: What the gain is credited to: ``"shared"`` where a control shows it too.
        has_figures: Whether the user's figures are given.
        reach: The largest ratio inside the measured range.

    Returns:
        ``verdict``, ``reasons`` (codes for sentences) and ``missing`` (codes of what is missing for "adopt").
    """
    missing = [gate["code"] for gate in gates if gate["status"] != "passed"]
    missing += ["figures"] if not has_figures else []
    if measured is None:
        return {"verdict": "extend", "reasons": ["no-curve"], "missing": ["curve", *missing]}
    missing += ["shared"] if credit == "shared" else []
    if measured.surely_below(needed):
        return {"verdict": "stop", "reasons": ["surely-below"], "missing": missing}
    if not measured.surely_above(needed):
        code = "beyond-range" if needed >= reach else "undecided"
        return {"verdict": "extend", "reasons": [code], "missing": missing}
    return {"verdict": "extend" if missing else "adopt", "reasons": ["surely-above"], "missing": missing}


def decide_model(
    gains: Sequence[Estimate],
    threshold: float,
    gates: Sequence[Mapping[str, Any]],
    net: Estimate | None = None,
) -> dict[str, Any]:
    """The verdict on the model itself, whatever composition adds: is it worth using instead of the alternatives?

    *Adopt* where it is better than every alternative by more than the threshold for certain, and its net, if the value
    of a point is known, is positive for certain. *Do not adopt* where it is certainly not that much better than one of
    them, or certainly costs more than it brings. *Extend* otherwise, and where there was nothing to compare with.

    Args:
        gains: The model's gain over each alternative; higher is better.
        threshold: What each gain has to exceed.
        gates: The results of the gates that concern the model: both where it was trained with composition, else none.
        net: The value of the smallest gain minus the model's cost, if known.

    Returns:
        As :func:`decide_composition`.
    """
    missing = [gate["code"] for gate in gates if gate["status"] != "passed"]
    if not gains:
        return {"verdict": "extend", "reasons": ["no-alternative"], "missing": ["alternative", *missing]}
    if any(gain.surely_below(threshold) for gain in gains):
        return {"verdict": "stop", "reasons": ["not-better"], "missing": missing}
    if net is not None and net.surely_below(0.0):
        return {"verdict": "stop", "reasons": ["costs-more"], "missing": missing}
    if not all(gain.surely_above(threshold) for gain in gains):
        return {"verdict": "extend", "reasons": ["undecided"], "missing": missing}
    if net is not None and not net.surely_above(0.0):
        return {"verdict": "extend", "reasons": ["net-undecided"], "missing": missing}
    return {"verdict": "extend" if missing else "adopt", "reasons": ["better"], "missing": missing}


def needed_to_decide(contrasts: TwoWayContrasts, weights: Floats, threshold: float, level: float) -> dict[str, Any]:
    """How many seeds, or test items, would decide whether a difference exceeds a threshold, if its estimate is true.

    The noise over seeds falls with more seeds, that of the test set does not. Where the test set alone hides the
    difference, ``test_items`` is how many independent items make its noise half of what the interval may have, and
    ``seeds`` goes with them.

    Args:
        contrasts: The measured points.
        weights: The weights of the difference.
        threshold: What the difference is compared with.
        level: The confidence level of the intervals.

    Returns:
        ``seeds`` (None where more than :data:`MOST_SEEDS` would be needed) and ``test_items`` (None where those that
        were measured are enough, or nothing is known of them).
    """
    nothing: dict[str, Any] = {"seeds": None, "test_items": None}
    if contrasts.seeds < 2:
        return nothing
    difference = abs(float(weights @ contrasts.means) - threshold)
    sd, of_items = contrasts.noise(weights)
    floor = _detectable(of_items, level)
    if difference <= 0:
        return nothing
    left, items = difference**2 - floor**2, None
    if left < difference**2 / 2:
        items = math.ceil(contrasts.clusters * 2 * (floor / difference) ** 2)
        left = difference**2 / 2
    seeds = seeds_needed(sd, math.sqrt(left), power=POWER, level=1 - level)
    if seeds > MOST_SEEDS:
        return nothing
    return {"seeds": max(seeds, contrasts.seeds), "test_items": items}


def _detectable(error: float, level: float) -> float:
    """The difference whose interval excludes the threshold with probability :data:`POWER`, given its standard error."""
    from scipy.stats import norm

    return float(norm.ppf((1 + level) / 2) + norm.ppf(POWER)) * error
