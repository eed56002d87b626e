"""Arms of a study, lists that stand for several arms, and ranges that a search chooses values from."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from clipc.errors import UserError
from clipc.limits import TRIALS

_RANGE_KEYS = ({"one_of"}, {"from", "to"}, {"from", "to", "log"})


@dataclass(frozen=True)
class Range:
    """The values that a search may choose: the numbers between two ends, or a set of choices.

    Attributes:
        low: The smallest number; None where there are choices.
        high: The largest number; None where there are choices.
        log: Whether numbers are drawn uniformly on a logarithmic scale.
        one_of: The choices; empty where there are ends.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    one_of: tuple[Any, ...] = ()

    @property
    def ends(self) -> tuple[Any, ...]:
        """Both ends, or all choices: if a recipe accepts these, it accepts the values between."""
        return self.one_of or (self.low, self.high)

    def __contains__(self, value: Any) -> bool:
        """Whether a search may choose this value."""
        if self.low is None or self.high is None:
            return value in self.one_of
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def is_integer(self) -> bool:
        """Whether both ends are whole numbers."""
        return all(end is not None and float(end).is_integer() for end in (self.low, self.high))


@dataclass(frozen=True)
class Arm:
    """One arm of a study.

    Attributes:
        name: The arm's name.
        changes: The arm's changes to the shared recipe, by dotted key; ranges are :class:`Range`.
        what: A sentence about the arm.
        line: The curve that the arm is a point of: the name of the entry in the study's file, and the dotted key of its
            list of numbers. None where the entry has no list, several lists, or a list of other values.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    what: str = ""
    line: tuple[str, str] | None = None


def expand_arm(name: str, changes: Mapping[str, Any]) -> Iterator[Arm]:
    """The arms that one entry of a study's file stands for: one for each combination of the values of its lists."""
    fields = dict(changes)
    what = str(fields.pop("what", ""))
    flattened = flatten(fields)
    lists = {key: value["each"] for key, value in flattened.items() if is_arm_list(value)}
    if not lists:
        yield Arm(name, flattened, what)
        return
    if (count := prod(map(len, lists.values()))) > TRIALS:
        raise UserError(f"the lists of the arm {name} make {count:,} arms, more than {TRIALS:,}; shorten them.")
    numeric = len(lists) == 1 and all(_is_number(value) for values in lists.values() for value in values)
    for values in itertools.product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        label = ", ".join(f"{key.rpartition('.')[2]}={format_value(value)}" for key, value in chosen.items())
        line = (name, next(iter(lists))) if numeric else None
        yield Arm(f"{name} {label}", {**flattened, **chosen}, what, line)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def flatten(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns nested keys into dotted ones, and ranges into :class:`Range`; lists ``{each: [...]}`` are not changed.

    Raises:
        UserError: A range is empty, its ends are not numbers in ascending order, or a logarithmic one is not positive.
    """
    flattened: dict[str, Any] = {}
    for name, value in changes.items():
        key = f"{prefix}{name}"
        if is_range(value):
            flattened[key] = _range(key, value)
        elif isinstance(value, Mapping) and not is_arm_list(value) and key != "policy.rules":
            flattened |= flatten(value, f"{key}.")
        else:
            flattened[key] = value
    return flattened


def is_arm_list(value: Any) -> bool:
    """Whether a value is a list ``{each: [...]}``, which stands for several arms."""
    return isinstance(value, Mapping) and set(value) == {"each"} and isinstance(value["each"], list)


def is_range(value: Any) -> bool:
    """Whether a value is a range, ``{from:, to:, log:}`` or ``{one_of: [...]}``."""
    return isinstance(value, Mapping) and set(value) in _RANGE_KEYS


def format_value(value: Any) -> str:
    """A value as text for an arm's name: ``0.3``, or ``1-2`` for a list."""
    if isinstance(value, list):
        return "-".join(map(format_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(key: str, value: Mapping[str, Any]) -> Range:
    if "one_of" in value:
        if not isinstance(value["one_of"], list) or not value["one_of"]:
            raise UserError(f"{key}: one_of needs a list of values.")
        return Range(one_of=tuple(value["one_of"]))
    low, high, log = value["from"], value["to"], bool(value.get("log", False))
    numeric = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numeric or low >= high or (log and low <= 0):
        raise UserError(f"{key}: a range goes from a number to a larger one{', both above 0' if log else ''}.")
    return Range(low, high, log)
