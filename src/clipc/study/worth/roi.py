"""Return on investment of composition: saved captioning, extra cost, break-even, and what the result hangs on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clipc.study.worth.estimate import Estimate
from clipc.study.worth.figures import RoiFigures


@dataclass(frozen=True)
class Roi:
    """What composition saves and costs, in the user's currency.

    Attributes:
        pairs: The number of pairs that is planned.
        benefit: The saved captioning, or the value of the gained points.
        costs: The extra costs: ``code``, ``hours``, ``rate`` and ``cost`` of each.
        cost: Their sum.
        net: The benefit minus the cost.
        roi: The net divided by the cost; None without costs.
        break_even: The cost of a captioned pair from which composition pays for itself; None where the benefit does not
            hang on it.
        needed: What the equivalence's ratio (or the gain in points) has to exceed for the threshold of the ROI.
    """

    pairs: float
    benefit: Estimate
    costs: tuple[dict[str, Any], ...]
    cost: float
    net: Estimate
    roi: Estimate | None
    break_even: Estimate | None
    needed: float

    def as_json(self) -> dict[str, Any]:
        """The attributes for JSON."""
        estimates = {name: getattr(self, name) for name in ("benefit", "net", "roi", "break_even")}
        return {
            "pairs": self.pairs,
            "costs": list(self.costs),
            "cost": self.cost,
            "needed": self.needed if math.isfinite(self.needed) else None,
            **{name: None if value is None else value.as_json() for name, value in estimates.items()},
        }


def extra_costs(figures: RoiFigures, costs: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """What composition costs beyond the plain method: rules, review, engineering, and machine hours.

    Args:
        figures: The user's figures.
        costs: What the pilot measured: ``hours``.
    """
    hours = figures.machine.hours if figures.machine.hours is not None else float(costs.get("hours") or 0.0)
    rows = (
        ("rules", figures.expert.rules, figures.expert.hour),
        ("review", figures.expert.review, figures.expert.hour),
        ("engineer", figures.engineer.composition, figures.engineer.hour),
        ("machine", hours, figures.machine.hour),
    )
    return tuple({"code": code, "hours": h, "rate": rate, "cost": h * rate} for code, h, rate in rows)


def captions_roi(figures: RoiFigures, ratio: Estimate, n: float, costs: Mapping[str, Any]) -> Roi:
    """The return where composition replaces captioned pairs.

    With ``pairs`` pairs and composition the model is as good as with ``ratio * pairs`` plain ones, so
    ``(ratio - 1) * pairs`` pairs need no caption: benefit = (ratio - 1) * pairs * cost of a pair. Net, ROI and the
    break-even cost of a pair are monotone in the ratio, so their intervals are its interval, carried through.

    Args:
        figures: The user's figures.
        ratio: The equivalence's ratio of plain pairs to pairs with composition.
        n: The pairs that it was read at; the planned number unless the figures name another.
        costs: What the pilot measured.
    """
    pairs = float(figures.pairs if figures.pairs is not None else n)
    rows = extra_costs(figures, costs)
    cost, whole = sum(row["cost"] for row in rows), pairs * figures.pair
    benefit = ratio.map(lambda r: (r - 1) * whole)

    def break_even(r: float) -> float:
        return cost / ((r - 1) * pairs) if r > 1 else math.inf

    factor = 1 + figures.thresholds.roi
    needed = 1.0 if cost == 0 else 1 + factor * cost / whole if whole > 0 else math.inf
    return Roi(
        pairs,
        benefit,
        rows,
        cost,
        benefit.map(lambda b: b - cost),
        None if cost == 0 else benefit.map(lambda b: (b - cost) / cost),
        ratio.map(break_even, falling=True),
        needed,
    )


def points_roi(figures: RoiFigures, gain: Estimate, pairs: float, costs: Mapping[str, Any], scale: float) -> Roi:
    """The return where composition gives better quality with the same pairs: benefit = gained points * their value.

    Args:
        figures: The user's figures, with ``point_value``.
        gain: The gain over the plain method, in the metric's unit.
        pairs: The number of pairs of both.
        costs: What the pilot measured.
        scale: What the gain is multiplied by to count points: 100 for a share.
    """
    if figures.point_value is None:
        raise ValueError("the value of a point is needed.")
    value = figures.point_value * scale
    rows = extra_costs(figures, costs)
    cost = sum(row["cost"] for row in rows)
    benefit = gain.map(lambda g: g * value)
    needed = 0.0 if cost == 0 else (1 + figures.thresholds.roi) * cost / value if value > 0 else math.inf
    roi = None if cost == 0 else benefit.map(lambda b: (b - cost) / cost)
    return Roi(pairs, benefit, rows, cost, benefit.map(lambda b: b - cost), roi, None, needed)


def sensitivity(figures: RoiFigures, measured: Estimate, n: float, costs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How the net of saved captioning changes with each assumption alone: the rows of a tornado plot, the widest first.

    The equivalence's ratio takes the ends of its interval, every other assumption its value less and plus the share
    ``thresholds.sensitivity``.

    Args:
        figures: The user's figures.
        measured: The equivalence's ratio.
        n: The pairs that it was read at.
        costs: What the pilot measured.

    Returns:
        Rows of ``code``, the two values ``from`` and ``to`` of the assumption, and the net ``low`` and ``high`` there.
        Assumptions that change nothing are left out.
    """
    extra = {row["code"]: row for row in extra_costs(figures, costs)}
    values = {
        "ratio": measured.value,
        "pairs": float(figures.pairs if figures.pairs is not None else n),
        "pair": figures.pair,
        "expert": figures.expert.hours,
        "rate": figures.expert.hour,
        "engineer": float(extra["engineer"]["cost"]),
        "machine": float(extra["machine"]["cost"]),
    }

    def net(**changed: float) -> float:
        x = {**values, **changed}
        saved = (x["ratio"] - 1) * x["pairs"] * x["pair"]
        return saved - x["expert"] * x["rate"] - x["engineer"] - x["machine"]

    share = figures.thresholds.sensitivity
    rows: list[dict[str, Any]] = []
    for code, value in values.items():
        ends = (measured.low, measured.high) if code == "ratio" else (value * (1 - share), value * (1 + share))
        low, high = (net(**{code: end}) for end in ends)
        if low != high:
            rows.append({"code": code, "from": ends[0], "to": ends[1], "low": low, "high": high})
    return sorted(rows, key=lambda row: -abs(row["high"] - row["low"]))
