"""A metric that describes itself: its value, the values of its items, its chance level, its direction and its unit."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.errors import UserError

SHARE: Final = "share"
"""The unit of values in [0, 1], which are shown in percent; differences are shown in percentage points."""

RANKS: Final = "ranks"
"""The unit of ranks, counted from 1."""

_DESCRIPTION: Final = ("n", "chance", "ceiling", "default_main", "secondary", "higher_is_better", "unit", "interval")


@dataclass(frozen=True, eq=False)
class Measurement:
    """One metric of one model on one split, with its description. No code parses the metric's name.

    Attributes:
        name: The metric's key, such as ``retrieval/text_to_image/recall@10``.
        values: The values of the items, whose mean is the metric, float (n,), in the same order for every model; None
            if the metric is not such a mean, like a median rank. They give the sampling error of the test set.
        owner: The cluster of each item, ``int64`` (n,), such as the image of a caption: a bootstrap draws the items of
            a cluster together. None if items are independent.
        value: The metric; by default the mean of ``values``.
        n: The number of images, captions or examples measured; by default the number of ``values``.
        chance: The value that guessing would reach; None if unknown.
        ceiling: The best expected value of a model that cannot order equal captions; None if equal captions do not
            limit the metric.
        default_main: Whether the metric is a main metric in studies that do not name their main metrics. Main metrics
            are tested; each one costs the others power.
        secondary: Whether studies show the metric with an uncorrected interval beside the main metrics.
        higher_is_better: Whether a higher value is better.
        unit: :data:`SHARE`, :data:`RANKS`, or any other unit as written after a number.
        interval: The ends of a 95% interval, if the evaluator computes one.

    Raises:
        UserError: A value is not finite, or a field has a wrong type or shape.
    """

    name: str
    values: npt.NDArray[np.float64] | None = None
    owner: npt.NDArray[np.int64] | None = None
    value: float = math.nan
    n: int = 0
    chance: float | None = None
    ceiling: float | None = None
    default_main: bool = False
    secondary: bool = False
    higher_is_better: bool = True
    unit: str = SHARE
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.values is not None and self.n == 0 and math.isnan(self.value) and len(self.values):
            object.__setattr__(self, "value", float(np.mean(self.values)))
            object.__setattr__(self, "n", len(self.values))
        if problem := _problem(self):
            raise UserError(f"the metric {self.name!r} {problem}.")

    def description(self) -> dict[str, Any]:
        """All fields except the name, the value and the arrays, ready for JSON."""
        return {field: getattr(self, field) for field in _DESCRIPTION}


def by_name(measurements: Iterable[Measurement]) -> dict[str, Measurement]:
    """Measurements by their names.

    Raises:
        UserError: Two measurements have the same name.
    """
    result: dict[str, Measurement] = {}
    for measurement in measurements:
        if (name := measurement.name) in result:
            raise UserError(f"the metric {name!r} is measured twice; evaluators must use different names.")
        result[name] = measurement
    return result


def dump_measurements(
    measurements: Mapping[str, Measurement],
) -> tuple[dict[str, dict[str, Any]], dict[str, npt.NDArray[Any]]]:
    """Converts measurements to JSON values and arrays, from which :func:`load_measurements` restores them.

    Returns:
        The descriptions by the measurement's name, and the arrays by their own names. Equal owners share one array.
    """
    table: dict[str, dict[str, Any]] = {}
    arrays: dict[str, npt.NDArray[Any]] = {}
    owner_keys: dict[bytes, str] = {}
    for name, measurement in measurements.items():
        table[name] = measurement.description() | {"owner": None}
        if measurement.values is not None:
            arrays[f"values/{name}"] = measurement.values
        if (owner := measurement.owner) is not None:
            key = table[name]["owner"] = owner_keys.setdefault(owner.tobytes(), f"owner/{len(owner_keys)}")
            arrays[key] = owner
    return table, arrays


def load_measurements(
    metrics: Mapping[str, float], table: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, npt.NDArray[Any]]
) -> dict[str, Measurement]:
    """Restores measurements, by name, from the results of :func:`dump_measurements`.

    Args:
        metrics: The values by name.
        table: The descriptions by name.
        arrays: The arrays by their own names.

    Raises:
        UserError: A value or array does not fit a measurement.
        KeyError: A description, a field or an array is missing.
        TypeError: A description has another structure.
    """
    result: dict[str, Measurement] = {}
    for name, value in metrics.items():
        # Descriptions that were stored before metrics had ceilings, or could be secondary, lack these fields.
        described: dict[str, Any] = {"ceiling": None, "secondary": False, **table[name]}
        fields = {field: described[field] for field in _DESCRIPTION}
        fields["interval"] = tuple(fields["interval"]) if fields["interval"] is not None else None
        key = described["owner"]
        owner = None if key is None else arrays[key]
        result[name] = Measurement(name, arrays.get(f"values/{name}"), owner, value, **fields)
    return result


def _problem(one: Any) -> str | None:
    """Describes what is wrong with a measurement, or None; fields may come from a file or a user's evaluator."""
    n, ends = one.n, one.interval
    texts, flags = (one.name, one.unit), (one.default_main, one.secondary, one.higher_is_better)
    for field, number in (("value", one.value), ("chance", one.chance), ("ceiling", one.ceiling)):
        if not _finite(number) and (number is not None or field == "value"):
            return f"has {field} = {number!r}, which is not a finite float"
    if ends is not None and not (isinstance(ends, tuple) and len(ends) == 2 and all(map(_finite, ends))):
        return f"has interval = {ends!r}, which is not two finite floats"
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        return f"has n = {n!r}, which is not an int of at least 0"
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(flag, bool) for flag in flags):
        return "needs a str as name and unit, and a bool as default_main, secondary and higher_is_better"
    if one.values is not None and not (_is_vector(one.values, n, "f") and np.isfinite(one.values).all()):
        return f"needs an array of {n} finite floats as values, one for each item"
    if one.owner is not None and (one.values is None or not _is_vector(one.owner, n, "iu")):
        return f"needs an array of {n} ints as owner, one for each of its values"
    return None


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_vector(array: Any, n: int, kinds: str) -> bool:
    return isinstance(array, np.ndarray) and array.shape == (n,) and array.dtype.kind in kinds
