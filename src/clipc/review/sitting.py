"""One expert's sitting over a queue: what the page asks and says, as tables without words or pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from clipc.audit.quality import decided_composites
from clipc.compose.arrays import Bools
from clipc.compose.layouts import find_layout
from clipc.compose.rules.schema import PairRule, Rules
from clipc.errors import UserError
from clipc.prepare.preview import composite_details
from clipc.review.book import DecisionBook
from clipc.review.columns import RuleColumn, rule_columns
from clipc.review.images import ReviewImages
from clipc.review.mining import MIN_DECISIONS, MIN_REJECTED, enough_decisions, mine_rules
from clipc.review.proposals import RuleProposal, proposals
from clipc.review.queue import ReviewQueue
from clipc.review.rule_book import OfferedRule, RuleBook

Show = Literal["undecided", "all", "accepted", "rejected", "removed"]
SHOWN: Final[tuple[Show, ...]] = ("undecided", "all", "accepted", "rejected", "removed")
"""What may be shown: composites without a decision of this expert that no accepted rule removes, all, those that the
expert accepted or rejected, and those that accepted rules remove."""

_OPEN, _ACCEPTED, _REJECTED = 0, 1, 2
_LONGEST_WORD: Final = 60


class Sitting:
    """The state of the page."""

    def __init__(self, queue: ReviewQueue, book: DecisionBook, rules_file: Path, planned_under: Rules | None) -> None:
        """Begins a sitting, with the decisions and accepted rules that are there.

        Args:
            queue: The composites to decide on.
            book: The expert's decisions.
            rules_file: The file to which accepted rules are appended; it need not exist yet.
            planned_under: The rules under which the queue was planned.

        Raises:
            UserError: The rules file is none, or does not fit the data.
        """
        self.queue, self.book, self.rules = queue, book, RuleBook(queue, rules_file, planned_under)
        self.images, self.columns = ReviewImages(queue), rule_columns(queue.pairs)
        self._status = np.zeros(len(queue), dtype=np.uint8)
        for composite, accept in book.mine.items():
            self._mark(composite, accept)

    def progress(self) -> dict[str, int]:
        """Counts of the queue: ``total``, ``accepted``, ``rejected``, and ``removed`` undecided ones."""
        counts = np.bincount(self._status, minlength=3)
        removed_open = int((self.rules.removed & (self._status == _OPEN)).sum())
        return {
            "total": len(self.queue),
            "accepted": int(counts[_ACCEPTED]),
            "rejected": int(counts[_REJECTED]),
            "removed": removed_open,
        }

    def labels(self) -> list[str]:
        """The readable labels that pairs of the queue have, in order."""
        if (label := self._label) is None:
            return []
        plan = self.queue.plans.plan
        codes = np.unique([label.codes[plan.left], label.codes[plan.right]])
        return sorted({label.readable[code] for code in codes.tolist() if code >= 0})

    def rows(self, show: Show, label: str | None = None) -> list[int]:
        """The rows of the queue that a filter shows, in order.

        Args:
            show: One of :data:`SHOWN`.
            label: A readable label that either pair has; None for any.
        """
        chosen: Bools = {
            "undecided": (self._status == _OPEN) & ~self.rules.removed,
            "accepted": self._status == _ACCEPTED,
            "rejected": self._status == _REJECTED,
            "removed": self.rules.removed,
        }.get(show, np.ones(len(self.queue), dtype=np.bool_))
        if label is not None and (column := self._label) is not None:
            codes = [code for code, name in enumerate(column.readable) if name == label]
            plan = self.queue.plans.plan
            chosen = chosen & (np.isin(column.codes[plan.left], codes) | np.isin(column.codes[plan.right], codes))
        return np.flatnonzero(chosen).tolist()

    def details(self, row: int) -> dict[str, Any]:
        """What is said of one composite (:func:`~clipc.prepare.preview.composite_details`).

        Added are ``score`` (None without a model), ``decision`` (``accept``, ``reject`` or None), ``removed`` and
        ``columns``: the readable values of both pairs by column.
        """
        plan = self.queue.plans.plan
        left, right = int(plan.left[row]), int(plan.right[row])
        scores = self.queue.scores
        columns = [
            {
                "name": column.name,
                "left": _value(column.readable, column.codes[left]),
                "right": _value(column.readable, column.codes[right]),
            }
            for column in self.columns
        ]
        return {
            **composite_details(self.images.renderer, row),
            "score": None if scores is None else float(scores[row]),
            "decision": (None, "accept", "reject")[self._status[row]],
            "removed": bool(self.rules.removed[row]),
            "columns": columns,
        }

    def decide(self, row: int, accept: bool) -> None:
        """Decides on a composite; the decision is on the disk when this returns.

        Raises:
            UserError: The file cannot be written.
        """
        composite = self.queue.names[row]
        self.book.decide(composite, accept)
        self._mark(composite, accept)

    def undo(self) -> tuple[bool, int | None]:
        """Takes back the latest decision.

        Returns:
            Whether there was one, and its row; None where it is of another queue.

        Raises:
            UserError: The file cannot be written.
        """
        composite = self.book.undo()
        if composite is None:
            return False, None
        self._mark(composite, self.book.mine.get(composite))
        return True, self.queue.rows.get(composite)

    def latest_rejection(self) -> int | None:
        """The row that this expert rejected last, in this sitting or an earlier one; None without one in the queue."""
        rows = (self.queue.rows.get(each) for each, accept in reversed(self.book.mine.items()) if not accept)
        return next((row for row in rows if row is not None), None)

    def proposals(self, row: int) -> list[OfferedRule]:
        """The rules that the rejection of a composite suggests, with what each would remove of the queue.

        Rules that would remove the whole queue, and accepted ones, are left out.
        """
        plan = self.queue.plans.plan
        proposed = proposals(self.columns, int(plan.left[row]), int(plan.right[row]))
        offered = self.rules.offer([each for each in proposed if not self.rules.has(each.rule)])
        return [rule for rule in offered if 0 < rule.removes < len(self.queue)]

    def mined(self) -> tuple[list[OfferedRule], dict[str, int]]:
        """The rules that all experts' decisions suggest, and the counts that say whether these were enough.

        Accepted rules are left out, and so are decisions on pairs that are not in training, or in a layout that the
        policy does not have.
        """
        keys, layout = set(self.queue.pairs.keys), find_layout(self.queue.plans.policy.layout)
        layouts = {layout.all_shapes[code].name for code in layout.codes}
        decisions = [
            each for each in self.book.decisions() if {each.left, each.right} <= keys and each.layout in layouts
        ]
        composites, accepted = decided_composites(self.queue.plans, decisions, self.book.file)
        counts = {
            "decided": len(accepted),
            "rejected": len(accepted) - sum(accepted),
            "needed": MIN_DECISIONS,
            "needed_rejected": MIN_REJECTED,
            "enough": int(enough_decisions(accepted)),
        }
        mined = mine_rules(self.queue.plans, self.columns, composites, accepted)
        new = [rule.proposal for rule in mined if not self.rules.has(rule.proposal.rule)]
        return self.rules.offer(new, mined), counts

    def word_rule(self, first: str, second: str) -> OfferedRule:
        """The rule that no caption with a word is joined to one with another, with what it would remove.

        Args:
            first: A word as the rules' function ``word`` takes it, such as ``scratch*``.
            second: The word of the other caption; may be the same.

        Raises:
            UserError: A word is empty or too long, or no word can be found in such captions.
        """
        words = [" ".join(text.split()) for text in (first, second)]
        if not all(words) or max(map(len, words)) > _LONGEST_WORD:
            raise UserError(f"give a word of each caption, of at most {_LONGEST_WORD} characters.")
        one, other = ("'" + text.replace("'", "''") + "'" for text in words)
        rule = PairRule(forbid=f"word(a.caption, {one}) and word(b.caption, {other})")
        return self.rules.offer([RuleProposal(rule, "words", values=tuple(words))])[0]

    def own_counts(self, rule: OfferedRule) -> tuple[int, int]:
        """How many composites that this expert accepted, and rejected, a rule would remove."""
        counts = np.bincount(self._status[rule.hits], minlength=3)
        return int(counts[_ACCEPTED]), int(counts[_REJECTED])

    @property
    def _label(self) -> RuleColumn | None:
        """The column of labels, by which composites are filtered; None without labels."""
        names = (*self.queue.pairs.about.label_columns, "label")
        return next((column for column in self.columns if column.name in names), None)

    def _mark(self, composite: tuple[str, str, str], accept: bool | None) -> None:
        if (row := self.queue.rows.get(composite)) is not None:
            self._status[row] = _OPEN if accept is None else _ACCEPTED if accept else _REJECTED


def _value(readable: Sequence[str], code: int) -> str | None:
    return readable[code] if code >= 0 else None
