"""Confidence intervals of means; Student's t interval over seeds."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: The estimate.
        low: The lower end; minus infinity if the values do not allow an interval.
        high: The upper end; infinity if the values do not allow an interval.
        n: The number of values (seeds, or independent test items).
        level: The confidence level, in (0, 1).
        error: The standard error; infinity if it was not computed or the values do not allow one.
    """

    mean: float
    low: float
    high: float
    n: int
    level: float = 0.95
    error: float = math.inf

    @property
    def ends(self) -> tuple[float, float]:
        """The lower and the upper end."""
        return self.low, self.high

    def as_dict(self) -> dict[str, float | int | None]:
        """The fields except the error, for JSON; infinite ends are None."""
        low, high = (end if math.isfinite(end) else None for end in (self.low, self.high))
        return {"mean": self.mean, "low": low, "high": high, "n": self.n, "level": self.level}


def t_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The mean and Student's t interval of independent values, such as one per seed.

    The ends are ``mean +- t(n - 1) * s / sqrt(n)``. One value has no finite interval. Equal values have an interval of
    zero width; :func:`verdict` takes it as no evidence, because the metric is too coarse to show a spread.

    Args:
        values: Finite numbers, (n,), n >= 1.
        level: The confidence level.

    Raises:
        ValueError: There is no value, or one is not finite.
    """
    x = check_finite(values)
    # The median of equal values is exactly their value; a mean could be rounded.
    if len(x) > 1 and without_spread(x):
        value = float(np.median(x))
        return Interval(value, value, value, len(x), level, 0.0)
    error = float(x.std(ddof=1)) / math.sqrt(len(x)) if len(x) > 1 else math.inf
    mean = float(x.mean())
    margin = t_margin(error, len(x) - 1, level)
    return Interval(mean, mean - margin, mean + margin, len(x), level, error)


def paired_difference(treated: npt.ArrayLike, control: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The mean of ``treated - control`` over the seeds of both arms, and its t interval.

    Args:
        treated: One value per seed, (n,).
        control: The other arm's values for the same seeds in the same order, (n,).
        level: The confidence level.

    Raises:
        ValueError: The lengths differ, there is no seed, or a value is not finite.
    """
    a, b = np.asarray(treated, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired values need the same seeds: {a.shape} and {b.shape}.")
    return t_interval(a - b, level)


def check_finite(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Checks that values are one or more finite numbers, (n,); returns them as float64.

    Raises:
        ValueError: There is no value, one is not finite, or the values have another shape.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError("an interval or a p value needs one or more finite values.")
    return x


def without_spread(values: npt.NDArray[np.float64]) -> bool:
    """Whether values, of any shape, are equal except for rounding, like 0.4 - 0.3 and 0.3 - 0.2."""
    # The square of a spread below 1e-150 is rounded to zero.
    return float(np.ptp(values)) <= max(1e-9 * float(np.abs(values).max()), 1e-150)


def t_margin(error: float, freedom: float, level: float) -> float:
    """Half the width of Student's t interval; infinite without degrees of freedom.

    Args:
        error: The standard error.
        freedom: The degrees of freedom; may be a fraction.
        level: The confidence level.
    """
    from scipy.stats import t

    if freedom <= 0:
        return math.inf
    return float(t.ppf((1 + level) / 2, freedom)) * error if error > 0 else 0.0
