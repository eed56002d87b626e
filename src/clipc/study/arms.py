"""An arm of a study; lists that stand for several arms, and ranges that are searched."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clipc.errors import UserError

_RANGE_KEYS = ({"one_of"}, {"from", "to"}, {"from", "to", "log"})


@dataclass(frozen=True)
class Range:
    """What a search may choose from: numbers between two, or one of some values.

    Attributes:
        low: The smallest number; None for a choice.
        high: The largest.
        log: Whether equal factors count as equal steps.
        one_of: The values of a choice.
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
        """Whether only whole numbers are meant: both ends are."""
        return all(end is not None and float(end).is_integer() for end in (self.low, self.high))


@dataclass(frozen=True)
class Arm:
    """One arm.

    Attributes:
        name: Its name.
        changes: What it changes in the shared recipe, by dotted key; ranges are :class:`Range`.
        what: A sentence about it.
        line: Where it comes from one list of numbers: the list's name in the file, and its key.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    what: str = ""
    line: tuple[str, str] | None = None


def expand_arm(name: str, changes: Mapping[str, Any]) -> Iterator[Arm]:
    """The arms that one entry of a study's file stands for: with lists, one for each combination of their values."""
    fields = dict(changes)
    what = str(fields.pop("what", ""))
    flattened = flatten(fields)
    lists = {key: value["each"] for key, value in flattened.items() if is_list(value)}
    if not lists:
        yield Arm(name, flattened, what)
        return
    numeric = len(lists) == 1 and all(_is_number(value) for values in lists.values() for value in values)
    for values in itertools.product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        label = ", ".join(f"{key.rpartition('.')[2]}={format_value(value)}" for key, value in chosen.items())
        line = (name, next(iter(lists))) if numeric else None
        yield Arm(f"{name} {label}", {**flattened, **chosen}, what, line)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def flatten(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones; values that stand for several are left whole, ranges become :class:`Range`.

    Raises:
        UserError: A range is upside down, or empty.
    """
    flattened: dict[str, Any] = {}
    for name, value in changes.items():
        key = f"{prefix}{name}"
        if is_range(value):
            flattened[key] = _range(key, value)
        elif isinstance(value, Mapping) and not is_list(value) and key != "policy.rules":
            flattened |= flatten(value, f"{key}.")
        else:
            flattened[key] = value
    return flattened


def is_list(value: Any) -> bool:
    """Whether a value stands for several arms."""
    return isinstance(value, Mapping) and set(value) == {"each"} and isinstance(value["each"], list)


def is_range(value: Any) -> bool:
    """Whether a value is a range to be searched."""
    return isinstance(value, Mapping) and set(value) in _RANGE_KEYS


def format_value(value: Any) -> str:
    """A value as it stands in an arm's name."""
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
