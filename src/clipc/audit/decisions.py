"""Experts' decisions on composites: an append-only file, and how far two experts agree."""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from clipc.errors import UserError, first_names
from clipc.files import read_text, report_disk_errors
from clipc.limits import OWN_BYTES

COLUMNS: Final = ("left", "right", "layout", "decision", "by", "when")
"""The columns of a decisions file."""

DECISIONS: Final = ("accept", "reject", "withdraw")
"""What a line can say of a composite; ``withdraw`` takes the same expert's earlier decision back."""

_SUFFIXES: Final = (".csv", ".jsonl")


@dataclass(frozen=True)
class Decision:
    """One expert's decision on one composite.

    Attributes:
        left: The key of the first pair.
        right: The key of the second pair.
        layout: The name of the composite's shape, such as ``left-right``.
        decision: ``accept`` or ``reject``; in a file also ``withdraw``.
        by: Who decided.
        when: The time in ISO 8601.
    """

    left: str
    right: str
    layout: str
    decision: Literal["accept", "reject", "withdraw"]
    by: str
    when: str

    @property
    def composite(self) -> tuple[str, str, str]:
        """What identifies the composite."""
        return self.left, self.right, self.layout


def decide(left: str, right: str, layout: str, *, accept: bool | None, by: str) -> Decision:
    """A decision made now; ``accept`` None withdraws an earlier one."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    decision = "withdraw" if accept is None else "accept" if accept else "reject"
    return Decision(left, right, layout, decision, by, when)


def append_decision(file: Path, decision: Decision) -> None:
    """Adds a decision to a file, CSV or (by its suffix) JSON Lines, so that a crash loses at most this one.

    The line is on the disk when the function returns. A last line that an interrupted call left unfinished is removed.

    Args:
        file: The file; it is made where it does not exist.
        decision: The decision.

    Raises:
        UserError: The file has another ending or other columns, or cannot be written.
    """
    as_json = _is_json(file)
    with report_disk_errors(file.parent, "make room; the decisions so far are kept"):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a+b") as stream:
            _lock(stream)
            stream.seek(0)
            content = stream.read()
            complete = content[: content.rfind(b"\n") + 1]
            rest = content[len(complete) :].decode("utf-8", "replace")
            line = b""
            if rest and _parsed(rest, as_json) is not None:
                line = b"\n"  # Somebody edited the file, and ended it without a line break.
            elif rest:
                stream.truncate(len(complete))
            if not complete and not line and not as_json:
                line = _csv_line(COLUMNS).encode()
            elif complete and not as_json:
                _check_header(file, complete.split(b"\n", 1)[0].decode("utf-8-sig", "replace"))
            own = {name: getattr(decision, name) for name in COLUMNS}
            text = json.dumps(own, ensure_ascii=False) + "\n" if as_json else _csv_line(list(own.values()))
            stream.write(line + text.encode())
            stream.flush()
            os.fsync(stream.fileno())


def read_decisions(file: Path) -> list[Decision]:
    """The decisions in a CSV or JSON Lines file with the columns :data:`COLUMNS`, oldest first.

    Of several decisions of one expert on one composite the last counts, and none that was withdrawn. An unfinished last
    line, as a crash leaves it, is passed over.

    Raises:
        UserError: There is no such file, a column is missing, or a row is none of a decision.
    """
    as_json = _is_json(file)
    try:
        text = read_text(file, OWN_BYTES, "replace").replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        raise UserError(f"the decisions file {file} cannot be read: {error}.") from None
    lines = text.removesuffix("\n").split("\n") if text else []
    if not as_json and lines:
        _check_header(file, lines[0])
    latest: dict[tuple[tuple[str, str, str], str], Decision] = {}
    for number, line in enumerate(lines[0 if as_json else 1 :], 1 if as_json else 2):
        values = _parsed(line, as_json)
        if values is None and number == len(lines) and not text.endswith("\n"):
            break
        if not line.strip():
            continue
        if values is None:
            raise UserError(f"{file}, line {number}: {_problem(line, as_json)}.")
        decision = Decision(**values)  # pyright: ignore[reportArgumentType]
        latest.pop((decision.composite, decision.by), None)
        if decision.decision != "withdraw":
            latest[decision.composite, decision.by] = decision
    return list(latest.values())


def _is_json(file: Path) -> bool:
    if file.suffix.lower() not in _SUFFIXES:
        raise UserError(f"{file} is no decisions file: name one that ends in {' or '.join(_SUFFIXES)}.")
    return file.suffix.lower() == ".jsonl"


def _parsed(line: str, as_json: bool) -> dict[str, str] | None:
    """The values of a line; None if it is none of a decision."""
    values = _values(line, as_json)
    return values if isinstance(values, dict) and not _fault(values) else None


def _problem(line: str, as_json: bool) -> str:
    values = _values(line, as_json)
    return values if isinstance(values, str) else _fault(values)


def _values(line: str, as_json: bool) -> dict[str, str] | str:
    """The values of a line by column, or what is wrong with it."""
    if not as_json:
        cells = next(csv.reader([line]), [])
        if len(cells) != len(COLUMNS):
            return f"there are {len(cells)} values, not the {len(COLUMNS)} of {','.join(COLUMNS)}"
        return dict(zip(COLUMNS, (cell.strip() for cell in cells), strict=True))
    try:
        content = json.loads(line)
    except ValueError:
        return "this is no JSON object"
    if not isinstance(content, dict):
        return "this is no JSON object"
    missing = [name for name in COLUMNS if name not in content]
    return f"{first_names(missing)} missing" if missing else {name: str(content[name]).strip() for name in COLUMNS}


def _fault(values: dict[str, str]) -> str:
    """Why a row is none of a decision; empty if it is one."""
    for name in ("left", "right", "layout", "by"):
        if not values[name]:
            return f"{name} is empty"
    if values["decision"] not in DECISIONS:
        return f"the decision is {values['decision']!r}, not accept, reject or withdraw"
    try:
        datetime.fromisoformat(values["when"])
    except ValueError:
        return f"when is {values['when']!r}, which is no time such as 2026-05-01T14:30:00"
    return ""


def agreement(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """How far each two experts agree on the composites that both decided.

    Returns:
        For each two experts ``first`` and ``second``, the number ``n`` of composites that both decided, the share on
        which they agree (``agree``), and Cohen's ``kappa`` (1960): agreement beyond what their shares of acceptance
        give by chance; None where both always say the same one thing, so that it is not defined.
    """
    from sklearn.metrics import cohen_kappa_score

    by_expert: dict[str, dict[tuple[str, str, str], bool]] = {}
    for decision in decisions:
        by_expert.setdefault(decision.by, {})[decision.composite] = decision.decision == "accept"
    experts = sorted(by_expert)
    rows: list[dict[str, Any]] = []
    for number, first in enumerate(experts):
        for second in experts[number + 1 :]:
            both = [c for c in by_expert[first] if c in by_expert[second]]
            if not both:
                continue
            one, other = [by_expert[first][c] for c in both], [by_expert[second][c] for c in both]
            same = sum(a == b for a, b in zip(one, other, strict=True)) / len(both)
            kappa = None if len({*one, *other}) == 1 else float(cohen_kappa_score(one, other))
            rows.append({"first": first, "second": second, "n": len(both), "agree": same, "kappa": kappa})
    return rows


def consensus(decisions: Sequence[Decision]) -> dict[tuple[str, str, str], bool]:
    """Whether each decided composite is accepted: by more experts than reject it."""
    votes: dict[tuple[str, str, str], int] = {}
    for decision in decisions:
        votes[decision.composite] = votes.get(decision.composite, 0) + (1 if decision.decision == "accept" else -1)
    return {composite: balance > 0 for composite, balance in votes.items()}


def _csv_line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([" ".join(value.splitlines()) for value in values])
    return text.getvalue()


def _check_header(file: Path, line: str) -> None:
    names = next(csv.reader([line]), [])
    if tuple(names) != COLUMNS:
        raise UserError(f"{file} begins with {line.strip()!r}, not with {','.join(COLUMNS)}; name another file.")


def _lock(stream: Any) -> None:
    """Waits until no other process appends to the file."""
    try:
        import fcntl
    except ImportError:  # Windows has no fcntl.
        return
    fcntl.flock(stream, fcntl.LOCK_EX)
