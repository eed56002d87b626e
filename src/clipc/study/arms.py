"""An arm of a study, and the arms that lists of values stand for."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clipc.study.spread import flat, is_list, shown


@dataclass(frozen=True)
class Arm:
    """One arm.

    Attributes:
        name: Its name.
        changes: What it changes in the shared recipe, by dotted key; ranges are :class:`~clipc.study.spread.Range`.
        what: A sentence about it.
        line: Where it comes from one list of numbers: the list's name in the file, and its key.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    what: str = ""
    line: tuple[str, str] | None = None


def written_out(name: str, changes: Mapping[str, Any]) -> Iterator[Arm]:
    """The arms that one entry of a study's file stands for: with lists, one for each combination of their values."""
    fields = dict(changes)
    what = str(fields.pop("what", ""))
    plain = flat(fields)
    lists = {key: value["each"] for key, value in plain.items() if is_list(value)}
    if not lists:
        yield Arm(name, plain, what)
        return
    numbers = len(lists) == 1 and all(_number(value) for values in lists.values() for value in values)
    for values in itertools.product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        told = ", ".join(f"{key.rpartition('.')[2]}={shown(value)}" for key, value in chosen.items())
        line = (name, next(iter(lists))) if numbers else None
        yield Arm(f"{name} {told}", {**plain, **chosen}, what, line)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
