"""The rules that an expert is offered and accepts, and which composites of a queue they remove."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipc.compose.arrays import Bools
from clipc.compose.rules.read import parse_rules
from clipc.compose.rules.schema import NeverRule, PairRule, Rules
from clipc.errors import UserError
from clipc.files import write_text
from clipc.review.mining import MinedRule
from clipc.review.proposals import RuleProposal
from clipc.review.queue import ReviewQueue, removed
from clipc.review.rules_file import rules_text, with_rule, without_rule


@dataclass(frozen=True, eq=False)
class OfferedRule:
    """A rule with what it would do.

    Attributes:
        id: The number by which the page names it.
        proposal: The rule.
        hits: Which composites of the queue it removes, ``bool``, shape (m,).
        mined: How often it was right, if decisions suggested it.
    """

    id: int
    proposal: RuleProposal
    hits: Bools
    mined: MinedRule | None = None

    @property
    def removes(self) -> int:
        """The number of composites of the queue that it removes."""
        return int(self.hits.sum())


@dataclass(frozen=True, eq=False)
class AcceptedRule:
    """A rule of the rules file that the plan of the queue does not know.

    Attributes:
        rule: The rule, with the expert's reason.
        hits: Which composites of the queue it removes, ``bool``, shape (m,).
    """

    rule: PairRule | NeverRule
    hits: Bools

    @property
    def text(self) -> str:
        """The rule as ``key: expression``, without its reason; it names the rule on the page."""
        if isinstance(self.rule, NeverRule):
            return f"never: {self.rule.when}"
        return f"{'require' if self.rule.require else 'forbid'}: {self.rule.expression}"

    @property
    def removes(self) -> int:
        """The number of composites of the queue that it removes."""
        return int(self.hits.sum())


class RuleBook:
    """The rules file of a review. It begins as a copy of the rules under which the queue was planned."""

    def __init__(self, queue: ReviewQueue, file: Path, planned_under: Rules | None) -> None:
        """Reads the file, where there is one.

        Args:
            queue: The composites.
            file: The file to which accepted rules are appended.
            planned_under: The rules under which the queue was planned.

        Raises:
            UserError: The file is no rules file, or does not fit the data.
        """
        self.file, self._queue, self._planned = file, queue, planned_under or Rules()
        self._base = rules_text(planned_under)
        self._offered: dict[str, OfferedRule] = {}
        self.accepted = self._new_rules(self._text())
        """The accepted rules, in the order of the file."""

    @property
    def removed(self) -> Bools:
        """Which composites of the queue the accepted rules remove, ``bool``, shape (m,)."""
        nothing = np.zeros(len(self._queue), dtype=np.bool_)
        return np.logical_or.reduce([nothing, *(rule.hits for rule in self.accepted)])

    def offer(self, proposed: Sequence[RuleProposal], mined: Sequence[MinedRule] = ()) -> list[OfferedRule]:
        """Proposals with what they would remove, each under a number that stays the same.

        Args:
            proposed: The rules.
            mined: Those that decisions suggested, with their counts.

        Raises:
            UserError: A rule does not fit the data.
        """
        if not proposed:
            return []
        pairs = [each.rule for each in proposed if isinstance(each.rule, PairRule)]
        never = [each.rule for each in proposed if isinstance(each.rule, NeverRule)]
        hits = self._hits(pairs, never)
        counts_of = {rule.proposal.text: rule for rule in mined}
        for each in proposed:
            earlier = self._offered.get(each.text)
            number = len(self._offered) if earlier is None else earlier.id
            self._offered[each.text] = OfferedRule(number, each, hits[each.rule], counts_of.get(each.text))
        return [self._offered[each.text] for each in proposed]

    def accept(self, number: int, why: str = "") -> None:
        """Appends an offered rule to the file; it is on the disk when this returns.

        Args:
            number: The ``id`` of the offered rule.
            why: The expert's reason; may be empty.

        Raises:
            UserError: There is no such rule, it is in the file already, or the file cannot be written.
        """
        offered = next((rule for rule in self._offered.values() if rule.id == number), None)
        if offered is None:
            raise UserError("there is no such rule; ask for the rules again.")
        text, rule, name = self._text(), offered.proposal.rule, self.file.name
        before = parse_rules(text, name) if text else Rules()
        if any(rule == each.model_copy(update={"why": None}) for each in (*before.pairs, *before.never)):
            raise UserError(f"the rule `{offered.proposal.text}` is in {name} already.")
        new = with_rule(text, rule.model_copy(update={"why": " ".join(why.split()) or None}), name)
        accepted = self._new_rules(new)
        write_text(self.file, new)
        self.accepted = accepted

    def has(self, rule: PairRule | NeverRule) -> bool:
        """Whether an accepted rule says the same, whatever its reason."""
        return any(rule == each.rule.model_copy(update={"why": None}) for each in self.accepted)

    def withdraw(self, text: str) -> None:
        """Takes an accepted rule out of the file again.

        Args:
            text: The accepted rule's :attr:`AcceptedRule.text`.

        Raises:
            UserError: There is no such accepted rule, or the file cannot be written.
        """
        chosen = next((each for each in self.accepted if each.text == text), None)
        if chosen is None:
            raise UserError("there is no such rule; load the page again.")
        new = without_rule(self._text(), chosen.rule, self.file.name)
        accepted = self._new_rules(new)
        write_text(self.file, new)
        self.accepted = accepted

    def _text(self) -> str:
        return self.file.read_text(encoding="utf-8") if self.file.is_file() else self._base

    def _new_rules(self, text: str) -> list[AcceptedRule]:
        """The rules of a file that the plan does not know."""
        rules = parse_rules(text, self.file.name) if text else Rules()
        pairs = [rule for rule in rules.pairs if rule not in self._planned.pairs]
        never = [rule for rule in rules.never if rule not in self._planned.never]
        hits = self._hits(pairs, never, rules)
        return [AcceptedRule(rule, hits[rule]) for rule in (*pairs, *never)]

    def _hits(
        self, pairs: Sequence[PairRule], never: Sequence[NeverRule], names: Rules | None = None
    ) -> dict[PairRule | NeverRule, Bools]:
        """Which composites each rule removes; ``names`` gives the columns and fields that they may use."""
        if not pairs and not never:
            return {}
        names = names or self._planned
        rules = Rules(columns=names.columns, fields=names.fields, pairs=tuple(pairs), never=tuple(never))
        hits = removed(rules, self._queue.plans, self._queue.candidates)
        return dict(zip((*pairs, *never), hits, strict=True))
