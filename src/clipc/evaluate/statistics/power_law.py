"""A learning curve as a power law with a floor: a drawn aid between measured points, never evidence beyond them."""

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MIN_SIZES: Final = 4
"""The fewest sizes for a fit: three parameters need a fourth point to have any error at all."""


@dataclass(frozen=True)
class PowerLaw:
    """The curve ``floor + scale * size ** -exponent`` of an error such as 1 - accuracy.

    Attributes:
        floor: The error that no number of pairs removes.
        scale: The error above the floor at size 1.
        exponent: How fast the error falls, >= 0.
        rmse: The root mean square distance of the measured means from the curve, divided by the degrees of freedom.
        exponent_error: The standard error of the exponent; infinity where the fit does not determine it.
    """

    floor: float
    scale: float
    exponent: float
    rmse: float
    exponent_error: float

    def __call__(self, sizes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The error at some sizes."""
        return self.floor + self.scale * np.asarray(sizes, dtype=np.float64) ** -self.exponent


def fit_power_law(sizes: npt.ArrayLike, errors: npt.ArrayLike) -> PowerLaw | None:
    """Fits a power law with a floor to the mean error at each size (least squares, SciPy).

    Args:
        sizes: The numbers of pairs, (n,), above 0.
        errors: The mean errors, (n,), in [0, 1]; a metric where higher is better is passed as 1 minus its value.

    Returns:
        The curve; None for fewer than :data:`MIN_SIZES` sizes, or where no fit converges.

    Raises:
        ValueError: The lengths differ, or a size is not positive.
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if x.shape != y.shape or (x <= 0).any():
        raise ValueError(f"one error for each positive size is needed: {x.shape} and {y.shape}.")
    if len(x) < MIN_SIZES:
        return None
    middle = float(np.exp(np.log(x).mean()))

    def curve(size: Any, floor: float, scale: float, exponent: float) -> Any:
        return floor + scale * (size / middle) ** -exponent

    start = (max(0.0, float(y.min()) / 2), max(float(y.mean()) / 2, 1e-3), 0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        try:
            fitted: Any = curve_fit(curve, x, y, p0=start, bounds=([0.0, 0.0, 0.0], [1.0, np.inf, 3.0]), maxfev=5000)
        except (RuntimeError, ValueError):
            return None
    (floor, scale, exponent), covariance = (np.asarray(part, dtype=np.float64) for part in fitted)
    residuals = y - curve(x, floor, scale, exponent)
    rmse = float(np.sqrt((residuals**2).sum() / (len(x) - 3)))
    return PowerLaw(
        float(floor), float(scale * middle**exponent), float(exponent), rmse, float(covariance[2, 2] ** 0.5)
    )
