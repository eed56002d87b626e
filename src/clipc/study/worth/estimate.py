"""A value with its interval that may lie beyond what was measured, and what monotone functions make of it."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from clipc.evaluate.statistics.equivalence import Equivalence, Side

_OPPOSITE: dict[Side, Side] = {"inside": "inside", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; what lies beyond the measured range is marked, never extrapolated.

    Attributes:
        value: The estimate; where ``side`` is not ``"inside"``, the bound that it lies beyond.
        low: The lower end of the interval.
        high: The upper end of the interval.
        side: Whether the estimate lies inside the range, above ``value``, or below it.
        open_low: Whether the interval reaches below ``low`` to an unknown point.
        open_high: Whether it reaches above ``high`` to an unknown point.
    """

    value: float
    low: float
    high: float
    side: Side = "inside"
    open_low: bool = False
    open_high: bool = False

    @classmethod
    def of(cls, equivalence: Equivalence) -> "Estimate":
        """The plain units of an equivalence."""
        e = equivalence
        return cls(e.value, e.low, e.high, e.side, e.open_low, e.open_high)

    def map(self, function: Callable[[float], float], *, falling: bool = False) -> "Estimate":
        """What a monotone function makes of the value and its interval.

        The interval of the result covers with the same probability, since a monotone function keeps the order.

        Args:
            function: A function that rises, or falls, over the whole interval.
            falling: Whether it falls.
        """
        value, low, high = (function(x) for x in (self.value, self.low, self.high))
        if falling:
            return Estimate(value, high, low, _OPPOSITE[self.side], self.open_high, self.open_low)
        return Estimate(value, low, high, self.side, self.open_low, self.open_high)

    def surely_above(self, threshold: float) -> bool:
        """Whether the whole interval lies above a threshold."""
        return not self.open_low and self.low > threshold

    def surely_below(self, threshold: float) -> bool:
        """Whether the whole interval lies below a threshold."""
        return not self.open_high and self.high < threshold

    def as_json(self) -> dict[str, Any]:
        """The attributes; infinite numbers are None."""
        fields = asdict(self)
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in fields.items()
        }
