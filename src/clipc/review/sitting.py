"""One expert's sitting over a queue: what the page asks and says, as tables without words or pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from clipc.audit.quality import decided_composites
from clipc.compose.arrays import Bools
from clipc.compose.rules.read import parse_rules
from clipc.compose.rules.schema import NeverRule, PairRule, Rules
from clipc.errors import UserError
from clipc.files import write_text
from clipc.prepare.preview import composite_details
from clipc.review.book import DecisionBook
from clipc.review.columns import RuleColumn, rule_columns
from clipc.review.images import ReviewImages
from clipc.review.mining import MIN_DECISIONS, MIN_REJECTED, MinedRule, enough_decisions, mine_rules
from clipc.review.proposals import RuleProposal, proposals
from clipc.review.queue import ReviewQueue, removed
from clipc.review.rules_file import rules_text, with_rule

Show = Literal["undecided", "all", "accepted", "rejected", "removed"]
SHOWN: Final[tuple[Show, ...]] = ("undecided", "all", "accepted", "rejected", "removed")
"""What may be shown: composites without a decision of this expert that no accepted rule removes, all, those that the
expert accepted or rejected, and those that accepted rules remove."""

_OPEN, _ACCEPTED, _REJECTED = 0, 1, 2
_LONGEST_WORD: Final = 60


@dataclass(frozen=True)
class OfferedRule:
    """A rule with what it would do.

    Attributes:
        id: The number by which the page names it.
        proposal: The rule.
        removes: The composites of the queue that it removes.
        accepted: The composites that this expert accepted among these.
        rejected: The composites that this expert rejected among these.
        mined: How often it was right, if decisions suggested it.
    """

    id: int
    proposal: RuleProposal
    removes: int
    accepted: int
    rejected: int
    mined: MinedRule | None = None


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
        self.queue, self.book, self.rules_file = queue, book, rules_file
        self.images, self.columns = ReviewImages(queue), rule_columns(queue.pairs)
        self._planned_under = planned_under
        self._status = np.zeros(len(queue), dtype=np.uint8)
        for composite, accept in book.mine.items():
            self._mark(composite, accept)
        self._accepted = self._accepted_rules(self._rules_text())
        self._offered: dict[str, OfferedRule] = {}

    def progress(self) -> dict[str, int]:
        """Counts of the queue: ``total``, ``accepted``, ``rejected``, and ``removed`` undecided ones."""
        counts = np.bincount(self._status, minlength=3)
        removed_open = int((self._removed & (self._status == _OPEN)).sum())
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
            "undecided": (self._status == _OPEN) & ~self._removed,
            "accepted": self._status == _ACCEPTED,
            "rejected": self._status == _REJECTED,
            "removed": self._removed,
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
            "removed": bool(self._removed[row]),
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

    def proposals(self, row: int) -> list[OfferedRule]:
        """The rules that the rejection of a composite suggests, with what each would remove of the queue.

        Rules that would remove the whole queue are left out.
        """
        plan = self.queue.plans.plan
        made = proposals(self.columns, int(plan.left[row]), int(plan.right[row]))
        return [rule for rule in self._offer(made) if 0 < rule.removes < len(self.queue)]

    def mined(self) -> tuple[list[OfferedRule], dict[str, int]]:
        """The rules that all experts' decisions suggest, and the counts that say whether these were enough.

        Decisions on pairs that are not in training are left out.
        """
        known = set(self.queue.pairs.keys)
        decisions = [each for each in self.book.decisions() if each.left in known and each.right in known]
        composites, accepted = decided_composites(self.queue.plans, decisions, self.book.file)
        counts = {
            "decided": len(accepted),
            "rejected": len(accepted) - sum(accepted),
            "needed": MIN_DECISIONS,
            "needed_rejected": MIN_REJECTED,
            "enough": int(enough_decisions(accepted)),
        }
        mined = mine_rules(self.queue.plans, self.columns, composites, accepted)
        return self._offer([rule.proposal for rule in mined], mined), counts

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
        return self._offer([RuleProposal(rule, "words", values=tuple(words))])[0]

    def accept_rule(self, number: int, why: str = "") -> None:
        """Appends an offered rule to the rules file, and takes what it removes out of the undecided composites.

        Args:
            number: The ``id`` of the offered rule.
            why: The expert's reason; may be empty.

        Raises:
            UserError: There is no such rule, it is in the file already, or the file cannot be written.
        """
        offered = next((rule for rule in self._offered.values() if rule.id == number), None)
        if offered is None:
            raise UserError("there is no such rule; ask for the rules again.")
        text, rule = self._rules_text(), offered.proposal.rule
        before = parse_rules(text, self.rules_file.name) if text else Rules()
        if any(rule == each.model_copy(update={"why": None}) for each in (*before.pairs, *before.never)):
            raise UserError(f"the rule `{offered.proposal.text}` is in {self.rules_file.name} already.")
        new = with_rule(text, rule.model_copy(update={"why": " ".join(why.split()) or None}), self.rules_file.name)
        accepted = self._accepted_rules(new)
        write_text(self.rules_file, new)
        self._accepted = accepted

    @property
    def accepted_rules(self) -> list[tuple[str, str, int]]:
        """The accepted rules, those of the plan left out: text, reason, and how many composites each removes."""
        return [(text, why, int(hit.sum())) for text, why, hit in self._accepted]

    @property
    def _removed(self) -> Bools:
        nothing = np.zeros(len(self.queue), dtype=np.bool_)
        return np.logical_or.reduce([nothing, *(hit for _, _, hit in self._accepted)])

    @property
    def _label(self) -> RuleColumn | None:
        """The column of labels, by which composites are filtered; None without labels."""
        names = (*self.queue.pairs.about.label_columns, "label")
        return next((column for column in self.columns if column.name in names), None)

    def _rules_text(self) -> str:
        """The rules file; where there is none yet, the rules under which the queue was planned."""
        if not self.rules_file.is_file():
            return rules_text(self._planned_under)
        return self.rules_file.read_text(encoding="utf-8")

    def _accepted_rules(self, text: str) -> list[tuple[str, str, Bools]]:
        """The rules of a file that the plan does not know: text, reason, and which composites each removes."""
        if not text:
            return []
        rules, planned = parse_rules(text, self.rules_file.name), self._planned_under or Rules()
        pairs = tuple(rule for rule in rules.pairs if rule not in planned.pairs)
        never = tuple(rule for rule in rules.never if rule not in planned.never)
        if not pairs and not never:
            return []
        own = rules.model_copy(update={"pairs": pairs, "never": never, "captions": (), "images": ()})
        hits = removed(own, self.queue.plans, self.queue.candidates)
        texts = [f"{'require' if rule.require else 'forbid'}: {rule.expression}" for rule in pairs]
        texts += [f"never: {rule.when}" for rule in never]
        reasons = [rule.why or "" for rule in (*pairs, *never)]
        return list(zip(texts, reasons, hits, strict=True))

    def _offer(self, made: Sequence[RuleProposal], mined: Sequence[MinedRule] = ()) -> list[OfferedRule]:
        """Proposals with what they would remove, each under a number that stays the same for the whole sitting."""
        pairs = [each for each in made if isinstance(each.rule, PairRule)]
        never = [each for each in made if isinstance(each.rule, NeverRule)]
        planned = self._planned_under or Rules()
        rules = Rules(
            columns=planned.columns,
            fields=planned.fields,
            pairs=tuple(each.rule for each in pairs if isinstance(each.rule, PairRule)),
            never=tuple(each.rule for each in never if isinstance(each.rule, NeverRule)),
        )
        hits = removed(rules, self.queue.plans, self.queue.candidates) if made else []
        hit_of = {each.text: hit for each, hit in zip((*pairs, *never), hits, strict=True)}
        counts_of = {rule.proposal.text: rule for rule in mined}
        for each in made:
            hit, known = hit_of[each.text], self._offered.get(each.text)
            self._offered[each.text] = OfferedRule(
                len(self._offered) if known is None else known.id,
                each,
                int(hit.sum()),
                int((hit & (self._status == _ACCEPTED)).sum()),
                int((hit & (self._status == _REJECTED)).sum()),
                counts_of.get(each.text),
            )
        return [self._offered[each.text] for each in made]

    def _mark(self, composite: tuple[str, str, str], accept: bool | None) -> None:
        if (row := self.queue.rows.get(composite)) is not None:
            self._status[row] = _OPEN if accept is None else _ACCEPTED if accept else _REJECTED


def _value(readable: Sequence[str], code: int) -> str | None:
    return readable[code] if code >= 0 else None
