"""A mean with its confidence interval; Student's interval over seeds."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: The estimate.
        low: The lower end; minus infinity where the values do not allow an interval.
        high: The upper end; infinity where the values do not allow an interval.
        n: How many values (seeds, or independent test items) it rests on.
        level: The confidence level, in (0, 1).
        error: The standard error it was made of; infinity where the values do not allow one.
    """

    mean: float
    low: float
    high: float
    n: int
    level: float = 0.95
    error: float = math.inf

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def as_dict(self) -> dict[str, float | int | None]:
        """The fields for JSON, which has no infinity: ends that do not exist are None."""
        low, high = (end if math.isfinite(end) else None for end in (self.low, self.high))
        return {"mean": self.mean, "low": low, "high": high, "n": self.n, "level": self.level}


def t_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The mean and Student's t interval of independent values, such as one a seed.

    ``mean +- t(n - 1) * s / sqrt(n)``. One value has no interval. Equal values have one of zero width, which means that
    the metric is too coarse to show the spread rather than that there is none; the verdict treats it so.

    Args:
        values: (n,) finite numbers, n >= 1.
        level: The confidence level.

    Raises:
        ValueError: There is no value, or one is not finite.
    """
    x = finite(values)
    # Equal values must give their value and no width, which rounding in a mean would spoil.
    if len(x) > 1 and without_spread(x):
        middle = float(np.median(x))
        return Interval(middle, middle, middle, len(x), level, 0.0)
    error = float(x.std(ddof=1)) / math.sqrt(len(x)) if len(x) > 1 else math.inf
    mean = float(x.mean())
    reach = t_reach(error, len(x) - 1, level)
    return Interval(mean, mean - reach, mean + reach, len(x), level, error)


def paired_difference(treated: npt.ArrayLike, control: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The mean of ``treated - control`` over seeds that both arms ran with, and its t interval.

    Args:
        treated: One value a seed, (n,).
        control: The other arm's values for the same seeds in the same order, (n,).
        level: The confidence level.

    Raises:
        ValueError: The lengths differ, there is no seed, or a value is not finite.
    """
    a, b = np.asarray(treated, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired values need the same seeds: {a.shape} and {b.shape}.")
    return t_interval(a - b, level)


def finite(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """One or more finite values, (n,) float64.

    Raises:
        ValueError: There is none, one is not finite, or they are no list.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError("an interval or a p value needs one or more finite values.")
    return x


def without_spread(values: npt.NDArray[np.float64]) -> bool:
    """Whether values of any shape are equal but for rounding (0.4 - 0.3 and 0.3 - 0.2 differ in the 17th digit)."""
    # Spreads below 1e-150 cannot be squared.
    return float(np.ptp(values)) <= max(1e-9 * float(np.abs(values).max()), 1e-150)


def t_reach(error: float, freedom: float, level: float) -> float:
    """How far Student's t interval reaches to each side; infinite without degrees of freedom.

    Args:
        error: The standard error.
        freedom: The degrees of freedom; may be a fraction.
        level: The confidence level.
    """
    from scipy.stats import t

    if freedom <= 0:
        return math.inf
    return float(t.ppf((1 + level) / 2, freedom)) * error if error > 0 else 0.0
