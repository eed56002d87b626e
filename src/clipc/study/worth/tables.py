"""The table ``worth`` of a pilot's report, from finished trials, gates, costs and the user's figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clipc.errors import UserError, unknown_name
from clipc.evaluate.measurement import SHARE, Measurement
from clipc.study.worth.curve import Reading, curve_table, decision_reading, readings
from clipc.study.worth.decision import decide_composition, decide_model, false_adopt_rate, needed_to_decide
from clipc.study.worth.difference import Difference, difference_of
from clipc.study.worth.estimate import Estimate
from clipc.study.worth.figures import RoiFigures, Thresholds
from clipc.study.worth.gates import bias_gate, meaning_gate
from clipc.study.worth.points import Point, difference_weights, points_of, repeated
from clipc.study.worth.roi import Roi, captions_roi, points_roi, sensitivity


@dataclass(frozen=True)
class Alternative:
    """What could be used instead of the trained model.

    Attributes:
        measurements: Its measurement on the test items, or one for each seed in the order of the seeds.
        metric: The trials' metric that it is compared with; by default the decision's metric.
    """

    measurements: Measurement | Sequence[Measurement]
    metric: str | None = None


@dataclass(frozen=True)
class WorthInputs:
    """What the table is made of.

    Attributes:
        groups: The finished trials (:class:`clipc.study.results.Outcome`) of each arm at each size, folds pooled.
        metrics: The rows of :func:`clipc.study.results.metrics_table`.
        baseline: The arm of plain CLIP.
        arm: The arm with composition that is decided on, chosen on validation or named beforehand.
        model: The arm that would be used; the arm with composition if None.
        alternatives: What could be used instead, by name: ``linear-probe``, ``public-model``.
        gates: ``meaning`` and ``bias`` (see :mod:`clipc.study.worth.gates`); absent ones count as not run.
        credit: What the gain over plain CLIP is credited to: ``own``, ``shared``, ``open`` or None.
        costs: What the pilot measured: ``device``, ``hours``, ``cores``, ``composition_ratio``.
        figures: The user's figures, if given.
        metric: The metric that is decided on; the first main metric if None.
        candidates: How many arms ``arm`` was chosen among *on the test split*; 1 where it was chosen on validation.
            Intervals are widened accordingly (Bonferroni).
    """

    groups: Mapping[tuple[str, int], Sequence[Any]]
    metrics: Sequence[Mapping[str, Any]]
    baseline: str
    arm: str
    model: str | None = None
    alternatives: Mapping[str, Alternative | Measurement | Sequence[Measurement]] = field(default_factory=dict)
    gates: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    credit: str | None = None
    costs: Mapping[str, Any] = field(default_factory=dict)
    figures: RoiFigures | None = None
    metric: str | None = None
    candidates: int = 1


def worth_tables(inputs: WorthInputs) -> dict[str, Any]:
    """What the model and composition are worth, and the verdicts, ready for JSON.

    Args:
        inputs: Finished trials, gates, costs and figures.

    Returns:
        ``metric``, ``arms``, ``curve``, ``equivalence`` (``rows`` and the ``decision`` size, or None), ``gain`` (of
        composition over plain CLIP at the largest size), ``alternatives``, ``gates``, ``roi``, ``sensitivity``,
        ``model`` and ``composition`` (the verdicts), ``to_decide``, ``assumptions``, ``costs``, ``figures``,
        ``thresholds`` and ``false_adopt``.

    Raises:
        UserError: There is no main metric, or no trial of an arm.
    """
    metric = _metric(inputs)
    points = points_of(inputs.groups, metric["key"])
    for arm in {inputs.baseline, inputs.arm, inputs.model or inputs.arm}:
        if all(name != arm for name, _ in points):
            raise unknown_name("arm", arm, {name for name, _ in points})
    thresholds = inputs.figures.thresholds if inputs.figures else Thresholds()
    level = 1 - (1 - thresholds.level) / max(1, inputs.candidates)
    better: bool = metric["higher_is_better"]
    is_share = metric["unit"] == SHARE and better
    found = readings(points, inputs.baseline, inputs.arm, higher_is_better=better, level=level)
    reading = decision_reading(found)
    gain = _gain(points, inputs, better, level)
    basis = inputs.figures.benefit if inputs.figures else "captions"
    roi = _roi(inputs, reading, gain, 100.0 if metric["unit"] == SHARE else 1.0)
    measured = (reading.ratio if reading else None) if basis == "captions" else (gain.estimate if gain else None)
    needed = roi.needed if roi else 1.0 if basis == "captions" else 0.0
    gates = [
        meaning_gate(inputs.gates.get("meaning"), thresholds.acceptance),
        bias_gate(inputs.gates.get("bias")),
    ]
    reach = reading.reach if reading and basis == "captions" else math.inf
    composition = decide_composition(
        measured, needed, gates, inputs.credit, has_figures=inputs.figures is not None, reach=reach
    )
    rows = _alternatives(inputs, metric, thresholds.level)
    model = inputs.model or inputs.arm
    model_verdict = decide_model(
        [row.estimate for row in rows],
        thresholds.gain,
        gates if model == inputs.arm else (),
        _model_net(inputs.figures, rows, inputs.costs, 100.0 if metric["unit"] == SHARE else 1.0),
    )
    return {
        "metric": dict(metric),
        "baseline": inputs.baseline,
        "arm": inputs.arm,
        "model_arm": model,
        "level": level,
        "candidates": inputs.candidates,
        "basis": basis,
        "curve": curve_table(points, list(dict.fromkeys([inputs.baseline, inputs.arm])), is_share, thresholds.level),
        "equivalence": {
            "rows": [r.as_json() for r in found],
            "decision": reading.size if reading else None,
            "sizes": list(found[0].sizes),
        }
        if found
        else None,
        "gain": gain.as_json() if gain else None,
        "alternatives": [row.as_json() for row in rows],
        "gates": gates,
        "roi": roi.as_json() if roi else None,
        "sensitivity": sensitivity(inputs.figures, reading.ratio, reading.size, inputs.costs)
        if inputs.figures and reading and basis == "captions"
        else [],
        "model": model_verdict,
        "composition": composition,
        "to_decide": _to_decide(reading, gain, needed, basis, level, composition),
        "credit": inputs.credit,
        "assumptions": _assumptions(inputs, reading, metric, basis),
        "costs": dict(inputs.costs),
        "figures": inputs.figures.model_dump(mode="json") if inputs.figures else None,
        "thresholds": thresholds.model_dump(mode="json"),
        "false_adopt": false_adopt_rate(thresholds.level),
    }


def _metric(inputs: WorthInputs) -> Mapping[str, Any]:
    if inputs.metric is None:
        if not (main := [m for m in inputs.metrics if m["main"]]):
            raise UserError("no main metric was measured in all trials, so nothing can be decided; give main metrics.")
        return main[0]
    named = next((m for m in inputs.metrics if m["key"] == inputs.metric), None)
    if named is None:
        raise unknown_name("metric", inputs.metric, [m["key"] for m in inputs.metrics])
    return named


def _gain(
    points: Mapping[tuple[str, int], Point], inputs: WorthInputs, better: bool, level: float
) -> Difference | None:
    """Composition's gain over plain CLIP at the largest size that both have."""
    sizes = {s for n, s in points if n == inputs.baseline} & {s for n, s in points if n == inputs.arm}
    if not sizes or inputs.arm == inputs.baseline:
        return None
    size = max(sizes)
    pair = points[inputs.arm, size], points[inputs.baseline, size]
    return difference_of(inputs.baseline, "", size, pair, better, level)


def _alternatives(inputs: WorthInputs, metric: Mapping[str, Any], level: float) -> list[Difference]:
    """The model's gain over each alternative, at the model's largest size."""
    rows: list[Difference] = []
    model = inputs.model or inputs.arm
    for name, given in inputs.alternatives.items():
        alternative = given if isinstance(given, Alternative) else Alternative(given)
        key = alternative.metric or metric["key"]
        points = {size: point for (arm, size), point in points_of(inputs.groups, key).items() if arm == model}
        if not points:
            continue
        size = max(points)
        seeds = sorted(points[size])
        given_rows = alternative.measurements
        other = repeated(given_rows, seeds) if isinstance(given_rows, Measurement) else dict(zip(seeds, given_rows))  # noqa: B905
        row = difference_of(name, key, size, (points[size], other), metric["higher_is_better"], level)
        if row is not None:
            rows.append(row)
    return rows


def _roi(inputs: WorthInputs, reading: Reading | None, gain: Difference | None, scale: float) -> Roi | None:
    figures = inputs.figures
    if figures is None:
        return None
    if figures.benefit == "points":
        return None if gain is None else points_roi(figures, gain.estimate, gain.size, inputs.costs, scale)
    return None if reading is None else captions_roi(figures, reading.ratio, reading.size, inputs.costs)


def _model_net(
    figures: RoiFigures | None, rows: Sequence[Difference], costs: Mapping[str, Any], scale: float
) -> Estimate | None:
    """The value of the gain over the best alternative minus what the model costs; None without the value of a point."""
    if figures is None or figures.point_value is None or not rows:
        return None
    hours = figures.machine.training if figures.machine.training is not None else float(costs.get("hours") or 0.0)
    cost = figures.engineer.hours * figures.engineer.hour + hours * figures.machine.hour
    value = figures.point_value * scale
    smallest = min(rows, key=lambda row: row.estimate.value)
    return smallest.estimate.map(lambda gain: gain * value - cost)


def _to_decide(
    reading: Reading | None,
    gain: Difference | None,
    needed: float,
    basis: str,
    level: float,
    verdict: Mapping[str, Any],
) -> dict[str, Any]:
    """How many more pairs, seeds or test items would decide on composition; empty where it is decided."""
    nothing: dict[str, Any] = {"pairs": None, "seeds": None, "test_items": None}
    if basis == "points":
        if gain is None or verdict["reasons"] != ["undecided"]:
            return nothing
        weights = gain.sign * difference_weights(2, 0, 1)
        return {**nothing, **needed_to_decide(gain.contrasts, weights, needed, level)}
    if reading is None or verdict["reasons"][0] not in ("undecided", "beyond-range"):
        return nothing
    if needed >= reading.reach:
        pairs = math.ceil(1.25 * needed * reading.size) if math.isfinite(needed) else None
        return {**nothing, "pairs": pairs}
    return {**nothing, **needed_to_decide(reading.contrasts, reading.weights(needed), 0.0, level)}


def _assumptions(
    inputs: WorthInputs, reading: Reading | None, metric: Mapping[str, Any], basis: str
) -> list[dict[str, Any]]:
    """Codes, with numbers, of everything that is assumed and not measured."""
    figures = inputs.figures
    rows: list[dict[str, Any]] = [{"code": "same-kind", "metric": metric["key"]}]
    if reading is not None and basis == "captions":
        rows.append({"code": "read-at", "size": reading.size, "low": reading.sizes[0], "high": reading.sizes[-1]})
        if figures is not None and figures.pairs is not None and figures.pairs != reading.size:
            rows.append({"code": "other-pairs", "pairs": figures.pairs, "size": reading.size})
    if figures is not None:
        rows.append({"code": "costs-given"})
        if figures.machine.hours is None:
            rows.append({"code": "machine-hours", "hours": inputs.costs.get("hours") or 0.0})
        rows.append({"code": "sunk"})
    if inputs.candidates > 1:
        rows.append({"code": "candidates", "n": inputs.candidates})
    return rows
