"""Findings of the data doctor."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from clipc.compose.arrays import Int64s

if TYPE_CHECKING:
    from clipc.audit.doctor_data import DoctorData

Severity = Literal["stop", "warning", "note"]
SEVERITIES: Final = ("stop", "warning", "note")
"""The severities, the worst first: training would be in vain or its metrics wrong; it would be worse than it need be; a
reader should know."""

MAX_EXAMPLES: Final = 20
"""The largest number of examples of a finding."""


@dataclass(frozen=True)
class Example:
    """One case of a finding.

    Attributes:
        rows: Rows of the catalog, whose keys and images are shown; empty where the finding is about texts alone.
        text: A caption, a class, or the reason of a reject.
        name: What is shown in the place of a key where there is no row, such as a file.
        count: How often it occurs; None where it is one case.
    """

    rows: tuple[int, ...] = ()
    text: str = ""
    name: str = ""
    count: int | None = None


def _no_rows() -> Int64s:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Finding:
    """Something in the data that a user should know before training.

    Attributes:
        code: What it is. The pages have words for it: what it means, and what to do.
        severity: One of :data:`SEVERITIES`.
        count: The number of cases.
        total: The number of what was examined, of which ``count`` is a part.
        values: Further numbers and names for the words, as JSON values.
        examples: The worst cases, at most :data:`MAX_EXAMPLES`.
        remove: The rows that a cleaned list of keys leaves out.
    """

    code: str
    severity: Severity
    count: int
    total: int
    values: dict[str, Any] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    remove: Int64s = field(default_factory=_no_rows)

    @property
    def share(self) -> float:
        """The share of the cases, in [0, 1]."""
        return self.count / max(1, self.total)


Check = Callable[["DoctorData"], Iterable[Finding]]
"""A check: it yields a finding for each thing that is wrong, and nothing where the data are sound."""


def row_examples(rows: Sequence[int] | Int64s, texts: Sequence[str] = ()) -> tuple[Example, ...]:
    """Examples of single rows, each with its text where there are texts."""
    first = [int(row) for row in rows[:MAX_EXAMPLES]]
    return tuple(Example((row,), texts[i] if texts else "") for i, row in enumerate(first))
