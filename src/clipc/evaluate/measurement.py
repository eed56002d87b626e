"""A metric that describes itself: its value, the items behind it, and how it is to be read."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.errors import UserError

SHARE: Final = "share"
"""The unit of a value in [0, 1], which is shown in percent, and its differences in percentage points."""

RANKS: Final = "ranks"
"""The unit of a place in a ranking, counted from 1."""

_DESCRIPTION: Final = ("n", "chance", "default_main", "higher_is_better", "unit", "interval")


@dataclass(frozen=True, eq=False)
class Measurement:
    """One metric of one model on one split, with all that others need to know of it; nobody reads that off its name.

    Attributes:
        name: The metric's key, such as ``retrieval/text_to_image/recall@10``.
        values: The values whose mean it is, float (n,), one an item and in the same order for every model; None where
            it is no such mean, as a median rank or a mean of classes. They tell the test set's own sampling error.
        owner: For each item the number of what is drawn together with it when items are drawn again, ``int64`` (n,),
            such as the image of a caption; None where each item stands alone.
        value: The metric; by default the mean of ``values``.
        n: How many images, captions or examples it rests on; by default as many as there are ``values``.
        chance: What guessing would reach; None where that is not known.
        default_main: Whether a study tests it where it names no main metrics of its own.
        higher_is_better: Whether more of it is better.
        unit: :data:`SHARE`, :data:`RANKS`, or any other unit as it stands after a number.
        interval: The ends of a 95% interval, where the evaluator has one of its own.

    Raises:
        UserError: A value is not finite, or the items do not fit.
    """

    name: str
    values: npt.NDArray[np.float64] | None = None
    owner: npt.NDArray[np.int64] | None = None
    value: float = math.nan
    n: int = 0
    chance: float | None = None
    default_main: bool = False
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
        """All but the name, the value and the items, ready for JSON."""
        return {field: getattr(self, field) for field in _DESCRIPTION}


def by_name(measurements: Iterable[Measurement]) -> dict[str, Measurement]:
    """Measurements by their names.

    Raises:
        UserError: Two have one name.
    """
    result: dict[str, Measurement] = {}
    for one in measurements:
        if one.name in result:
            raise UserError(f"the metric {one.name!r} is measured twice; each evaluator needs names of its own.")
        result[one.name] = one
    return result


def dump_measurements(
    measurements: Mapping[str, Measurement],
) -> tuple[dict[str, dict[str, Any]], dict[str, npt.NDArray[Any]]]:
    """What JSON holds of measurements, by name, and their arrays; :func:`load_measurements` is the way back.

    Equal owners are one array.
    """
    table: dict[str, dict[str, Any]] = {}
    arrays: dict[str, npt.NDArray[Any]] = {}
    places: dict[bytes, str] = {}
    for name, one in measurements.items():
        table[name] = one.description() | {"owner": None}
        if one.values is not None:
            arrays[f"values/{name}"] = one.values
        if one.owner is not None:
            place = table[name]["owner"] = places.setdefault(one.owner.tobytes(), f"owner/{len(places)}")
            arrays[place] = one.owner
    return table, arrays


def load_measurements(
    metrics: Mapping[str, float], table: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, npt.NDArray[Any]]
) -> dict[str, Measurement]:
    """Measurements by name, from their values and what :func:`dump_measurements` gave.

    Raises:
        UserError: They do not describe metrics.
        KeyError: Something is missing.
        TypeError: Something has another shape altogether.
    """
    result: dict[str, Measurement] = {}
    for name, value in metrics.items():
        described = {field: table[name][field] for field in _DESCRIPTION}
        described["interval"] = tuple(described["interval"]) if described["interval"] is not None else None
        place = table[name]["owner"]
        owner = None if place is None else arrays[place]
        result[name] = Measurement(name, arrays.get(f"values/{name}"), owner, value, **described)
    return result


def _problem(one: Any) -> str | None:
    """What is wrong with a measurement, whose fields may come from a file or from somebody else's evaluator."""
    n, ends = one.n, one.interval
    texts, flags = (one.name, one.unit), (one.default_main, one.higher_is_better)
    for field, number in (("value", one.value), ("chance", 0.0 if one.chance is None else one.chance)):
        if not _finite(number):
            return f"has as {field} {number!r}, which is no finite float"
    if ends is not None and not (isinstance(ends, tuple) and len(ends) == 2 and all(map(_finite, ends))):
        return f"has as interval {ends!r}, which is not two finite floats"
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        return f"rests on n = {n!r}, which is no int from 0 on"
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(flag, bool) for flag in flags):
        return "needs texts as name and unit, and true or false for default_main and higher_is_better"
    if one.values is not None and not (_is_vector(one.values, n, "f") and np.isfinite(one.values).all()):
        return f"needs an array of {n} finite floats as values, one an item"
    if one.owner is not None and (one.values is None or not _is_vector(one.owner, n, "iu")):
        return f"needs an array of {n} ints as owner, one for each of its values"
    return None


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_vector(array: Any, n: int, kinds: str) -> bool:
    return isinstance(array, np.ndarray) and array.shape == (n,) and array.dtype.kind in kinds
