"""The decisions of one expert's sitting: each is on the disk before the next composite is shown."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipc.audit.decisions import Decision, agreement, append_decision, decide, read_decisions
from clipc.errors import UserError

Composite = tuple[str, str, str]
"""The keys of both pairs, and the layout."""


class DecisionBook:
    """What one expert decided, in a file that others may append to as well.

    The file is only ever appended to; its lines of this expert are what the book holds. Methods may be called from
    several threads.
    """

    def __init__(self, file: Path, by: str) -> None:
        """Opens the decisions in a file, which need not exist yet.

        Args:
            file: The decisions file, CSV or JSON Lines.
            by: The expert.

        Raises:
            UserError: The name is empty, or the file is no decisions file.
        """
        self.file, self.by = file, " ".join(by.split())
        if not self.by:
            raise UserError("the name of who decides is empty; say who, such as --by Mori.")
        if file.suffix.lower() not in (".csv", ".jsonl"):
            raise UserError(f"{file} is no decisions file: name one that ends in .csv or .jsonl.")
        self._lock = threading.Lock()
        self._state: tuple[int, int] | None = None
        self._all: list[Decision] = []
        self.mine: dict[Composite, bool] = {
            each.composite: each.decision == "accept" for each in self.decisions() if each.by == self.by
        }
        """Whether this expert accepts each composite that they decided on, the latest last."""
        self._history: list[tuple[Composite, bool | None]] = [(composite, None) for composite in self.mine]
        """What was decided, the latest last, and what held before."""

    def decide(self, composite: Composite, accept: bool) -> None:
        """Appends a decision; it is on the disk when this returns.

        Raises:
            UserError: The file cannot be written.
        """
        with self._lock:
            append_decision(self.file, decide(*composite, accept=accept, by=self.by))
            self._history.append((composite, self.mine.pop(composite, None)))
            self.mine[composite] = accept

    def undo(self) -> Composite | None:
        """Takes back this expert's latest decision, so that what they said of the composite before it holds again.

        Decisions of earlier sittings can be taken back too, the latest first. A line is appended and none is removed.

        Returns:
            The composite; None where nothing is left to take back.

        Raises:
            UserError: The file cannot be written.
        """
        with self._lock:
            if not self._history:
                return None
            composite, before = self._history[-1]
            append_decision(self.file, decide(*composite, accept=before, by=self.by))
            self._history.pop()
            self.mine.pop(composite, None)
            if before is not None:
                self.mine[composite] = before
            return composite

    def decisions(self) -> Sequence[Decision]:
        """All experts' decisions, read again where somebody appended to the file."""
        try:
            status = self.file.stat()
        except OSError:
            return []
        state = status.st_size, status.st_mtime_ns
        if state != self._state:
            self._all = read_decisions(self.file)
            self._state = state
        return self._all

    def agreement(self) -> list[dict[str, Any]]:
        """How far experts agree; see :func:`clipc.audit.decisions.agreement`."""
        return agreement(self.decisions())
