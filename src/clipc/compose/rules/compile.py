"""Rules are compiled: expressions parsed, bound to columns, and put into the quickest form."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.compose.captions.joint import Wording
from clipc.compose.layouts.tiles import AXES, CUTS
from clipc.compose.rules.columns import Columns
from clipc.compose.rules.compiled import (
    CompiledRules,
    EitherOrder,
    Exclusion,
    ImageConstraint,
    PairConstraint,
    WordingRule,
)
from clipc.compose.rules.conditions import (
    FALSE,
    TRUE,
    UNKNOWN,
    Kept,
    condition,
    known,
    names,
    separated,
    truth_of,
    value_codes,
)
from clipc.compose.rules.expression import Expression, cut_words, equal_terms
from clipc.compose.rules.joint import JointCaption
from clipc.compose.rules.sandbox import Sandbox
from clipc.compose.rules.schema import CaptionRule, PairRule, Rules, Section
from clipc.errors import UserError, unknown_name


def compile_rules(rules: Rules, columns: Columns, wording: Wording, sandbox: Sandbox | None = None) -> CompiledRules:
    """Binds rules to the pairs that they are to hold for.

    Args:
        rules: What the expert wrote.
        columns: The pairs' entries.
        wording: How captions are joined where no rule says otherwise.
        sandbox: Where expressions are evaluated; by default one that lives as long as this process.

    Raises:
        UserError: An expression is none, or uses something that is not allowed, or a column that there is not; told
            with the line of the rules file.
    """
    return _Binding(rules, columns, sandbox or _sandbox()).compiled_rules(wording)


@cache
def _sandbox() -> Sandbox:
    return Sandbox()


class _Binding:
    """Rules and columns while they are compiled."""

    def __init__(self, rules: Rules, columns: Columns, sandbox: Sandbox) -> None:
        self.rules, self.columns, self.sandbox = rules, columns, sandbox
        self.kept = Kept()
        self.aliases = rules.found_columns(columns.names)
        self.made: dict[str, pa.ChunkedArray] = {}
        self.words: dict[str, pa.ChunkedArray] = {}
        for name, text in rules.fields.items():
            with self._at("fields", name):
                self.made[name] = self._alone(text)

    def compiled_rules(self, wording: Wording) -> CompiledRules:
        """The rules."""
        rules = self.rules
        wording_rules = tuple(
            self._saying(n, rule, wording) for n, rule in enumerate(rules.captions) if not rule.forbid
        )
        shared: dict[str, pa.ChunkedArray] = {}
        constraints = [self._pair_constraint(n, rule, shared) for n, rule in enumerate(rules.pairs)]
        for n, rule in enumerate(rules.captions):
            if rule.forbid is not None:
                constraints.append(self._caption_constraint(n, rule.forbid, rule, wording, wording_rules))
        exclusions: list[Exclusion] = []
        for n, rule in enumerate(rules.never):
            with self._at("never", n, "when"):
                exclusions.append(Exclusion(rule.when, rule.why or "", rule.line, self._holds(rule.when)))
        return CompiledRules(
            constraints=tuple(constraints),
            groups=_joined(list(shared.values())),
            exclusions=tuple(exclusions),
            shared=shared,
            wording_rules=wording_rules,
            fields=dict(self.made),
            **self._images(),
        )

    def _pair_constraint(self, number: int, rule: PairRule, shared: dict[str, pa.ChunkedArray]) -> PairConstraint:
        """The ban, with the columns in which allowed partners must be equal added to ``shared``."""
        key = "forbid" if rule.require is None else "require"
        with self._at("pairs", number, key):
            expression, table = self._two(rule.expression)
            if rule.require is not None and rule.refuses_unknown:
                residual, alone = separated(expression, table, self.sandbox)
                for name, _ in equal_terms(residual)[0]:
                    shared[rule.expression if name.startswith("__") else name] = alone[name]
            bad = (TRUE if rule.require is None else FALSE, *((UNKNOWN,) if rule.refuses_unknown else ()))
            test = EitherOrder(condition(expression, table, self.sandbox, self.kept), bad)
        return PairConstraint(f"{key}: {rule.expression}", rule.why or "", rule.line, test)

    def _caption_constraint(
        self,
        number: int,
        pattern: str,
        rule: CaptionRule,
        wording: Wording,
        wording_rules: tuple[WordingRule, ...],
    ) -> PairConstraint:
        with self._at("captions", number, "forbid"):
            quoted = pattern.replace("'", "''")
            parsed = self.sandbox.parse(f"regexp_matches(lower(caption), '{quoted}')")
            found = replace(parsed, text=pattern)
            self.sandbox.evaluate(pa.table({"caption": [""]}), {"shown": found})  # a pattern is checked when it is used
        wordings = (wording, *(saying.wording for saying in wording_rules))
        whens = tuple(saying.when for saying in wording_rules)
        joint = JointCaption(found, self.columns.column("caption"), wordings, whens, self.sandbox)
        return PairConstraint(f"forbid: {pattern}", rule.why or "", rule.line, joint)

    def _saying(self, number: int, rule: CaptionRule, wording: Wording) -> WordingRule:
        when = None
        if rule.when is not None:
            with self._at("captions", number, "when"):
                expression, table = self._two(rule.when)
                when = condition(expression, table, self.sandbox, self.kept)
        text = f"template: {rule.template}" if rule.template is not None else f"joiner: {rule.joiner}"
        made = replace(wording, joiner=rule.joiner, template=rule.template)
        return WordingRule(text + _limited(rule.when), rule.why or "", rule.line, made, when)

    def _images(self) -> dict[str, Any]:
        """What the rules say of images; of several that apply, the first that gives a key wins for that key."""
        n = len(self.columns)
        shown: dict[str, Any] = {
            "axis": np.zeros(n, dtype=np.uint8),
            "whole": np.zeros(n, dtype=np.bool_),
            "mirror": np.ones(n, dtype=np.bool_),
            "regions": None,
        }
        shaped: list[ImageConstraint] = []
        for number, rule in reversed(list(enumerate(self.rules.images))):
            with self._at("images", number, "when"):
                holds = np.ones(n, dtype=np.bool_) if rule.when is None else self._holds(rule.when)
            for key in ("axis", "whole", "mirror", "region"):
                if (said := getattr(rule, key)) is None:
                    continue
                shaped = [replace(s, entries=s.entries & ~holds) if s.key == key else s for s in shaped]
                text = f"{key}: {CUTS.get(said, str(said).lower() if isinstance(said, bool) else said)}"
                shaped.append(ImageConstraint(key, text + _limited(rule.when), rule.why or "", rule.line, holds))
                if key == "region":
                    with self._at("images", number, key):
                        boxes = self._boxes(str(said))
                    if shown["regions"] is None:
                        shown["regions"] = np.full((n, 4), np.nan, dtype=np.float32)
                    shown["regions"][holds] = boxes[holds]
                else:
                    shown[key][holds] = said if isinstance(said, bool) else AXES[said]
        return {**shown, "shaped": tuple(reversed(shaped))}

    def _boxes(self, name: str) -> npt.NDArray[np.float32]:
        if name in self.aliases:
            found = self.aliases[name]
            if found is None:
                return np.full((len(self.columns), 4), np.nan, dtype=np.float32)
            name = found
        return self.columns.boxes(name)

    def _holds(self, text: str) -> npt.NDArray[np.bool_]:
        """Of which entries a condition on one pair holds; where it is unknown it does not."""
        return truth_of(self._alone(text), text) == TRUE

    def _alone(self, text: str) -> pa.ChunkedArray:
        """An expression over one pair, as a column."""
        expression = self._parsed(text, sides=False)
        table = self._table(names(expression, ""))
        return known(self.sandbox.evaluate(table, {"value": expression})["value"])

    def _two(self, text: str) -> tuple[Expression, pa.Table]:
        """An expression over two pairs, and the columns that it needs."""
        expression = self._parsed(text, sides=True)
        return expression, self._table(names(expression, "a") | names(expression, "b"))

    def _parsed(self, text: str, sides: bool) -> Expression:
        """An expression whose columns are known, and in which no column has to be cut into words any more."""
        known_names = [*self.columns.names, *self.aliases, *self.made]
        expression, cuts = cut_words(self.sandbox.parse(text).check_columns(known_names, sides))
        for name, cut in cuts.items():
            if name not in self.words:
                table = self._table(names(cut, ""))
                self.words[name] = self.sandbox.evaluate(table, {name: cut})[name]
        return expression

    def _table(self, wanted: set[str]) -> pa.Table:
        n = len(self.columns)
        columns: dict[str, Any] = {name: self._column(name) for name in sorted(wanted)}
        # An expression may use no column at all; the table must have its rows all the same.
        return pa.table(columns or {"__row": pa.nulls(n, pa.bool_())})

    def _column(self, name: str) -> pa.ChunkedArray:
        if name in self.made:
            return self.made[name]
        if name in self.words:
            return self.words[name]
        found = self.aliases.get(name, name)
        if found is None:
            return self._nothing()
        if found not in self.columns.names:
            raise unknown_name("column", found, self.columns.names)
        column = known(self.columns.column(found))
        return self._nothing() if column.null_count == len(column) else column

    def _nothing(self) -> pa.ChunkedArray:
        """A column without any value, which is neither text nor number: a rule on either finds it unknown."""
        return pa.chunked_array([pa.nulls(len(self.columns))])

    @contextmanager
    def _at(self, section: Section, which: int | str, key: str | None = None) -> Generator[None]:
        """Begins the message of a mistake with the place that it was made in."""
        try:
            yield
        except UserError as error:
            raise UserError(f"{self.rules.place(section, which, key)}: {error}") from error


def _limited(when: str | None) -> str:
    return f" (when {when})" if when else ""


def _joined(columns: list[pa.ChunkedArray]) -> npt.NDArray[np.int32] | None:
    """The number of each entry's values in all columns together, -1 where one is unknown; None without columns."""
    if not columns:
        return None
    codes = value_codes(columns[0]).astype(np.int64)
    for column in columns[1:]:
        own = value_codes(column)
        both = np.where((codes < 0) | (own < 0), -1, codes * (int(own.max(initial=0)) + 1) + own)
        values, codes = np.unique(both, return_inverse=True)
        codes = codes - int(values[0] < 0)
    return codes.astype(np.int32)
