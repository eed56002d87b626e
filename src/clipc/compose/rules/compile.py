"""Compiles rules: parses expressions, binds them to columns, and chooses their fastest evaluation."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from clipc.compose.arrays import Bools, Float32s, Int32s
from clipc.compose.captions.joint import Wording
from clipc.compose.layouts.tiles import AXES, CUTS
from clipc.compose.rules.columns import Columns
from clipc.compose.rules.compiled import CompiledRules, Exclusion, ImageConstraint, PairConstraint, WordingRule
from clipc.compose.rules.conditions import (
    FALSE,
    TRUE,
    UNKNOWN,
    EitherOrder,
    QueryColumns,
    column_names,
    condition,
    empty_as_null,
    hoist_columns,
    truth_of,
    value_codes,
)
from clipc.compose.rules.expression import Expression, equal_terms, hoist_words
from clipc.compose.rules.joint import JointCaption
from clipc.compose.rules.sandbox import Sandbox
from clipc.compose.rules.schema import CaptionRule, PairRule, Rules, Section
from clipc.errors import UserError, unknown_name


def compile_rules(rules: Rules, columns: Columns, wording: Wording, sandbox: Sandbox | None = None) -> CompiledRules:
    """Compiles rules for the entries of a catalog.

    Args:
        rules: The expert's rules.
        columns: The pairs' entries.
        wording: How captions are joined unless a rule applies.
        sandbox: Where expressions are evaluated; by default one shared by the whole process.

    Raises:
        UserError: An expression is invalid, or uses a forbidden function or an unknown column; the message names the
            line of the rules file.
    """
    return _Binding(rules, columns, sandbox or _sandbox()).compiled_rules(wording)


@cache
def _sandbox() -> Sandbox:
    return Sandbox()


class _Binding:
    """The state of one compilation."""

    def __init__(self, rules: Rules, columns: Columns, sandbox: Sandbox) -> None:
        self.rules, self.columns, self.sandbox = rules, columns, sandbox
        self.query_columns = QueryColumns()
        self.aliases = rules.data_columns(columns.names)
        self.fields: dict[str, pa.ChunkedArray] = {}
        self.words: dict[str, pa.ChunkedArray] = {}
        for name, text in rules.fields.items():
            with self._at("fields", name):
                self.fields[name] = self._alone(text)

    def compiled_rules(self, wording: Wording) -> CompiledRules:
        """The rules."""
        rules = self.rules
        wording_rules = tuple(
            self._wording_rule(n, rule, wording) for n, rule in enumerate(rules.captions) if not rule.forbid
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
            fields=dict(self.fields),
            **self._images(),
        )

    def _pair_constraint(self, number: int, rule: PairRule, shared: dict[str, pa.ChunkedArray]) -> PairConstraint:
        """The constraint; adds the columns in which allowed partners must be equal to ``shared``."""
        key = "forbid" if rule.require is None else "require"
        with self._at("pairs", number, key):
            expression, table = self._two(rule.expression)
            if rule.require is not None and rule.refuses_unknown:
                residual, alone = hoist_columns(expression, table, self.sandbox)
                for name, _ in equal_terms(residual)[0]:
                    shared[rule.expression if name.startswith("__") else name] = alone[name]
            bad = (TRUE if rule.require is None else FALSE, *((UNKNOWN,) if rule.refuses_unknown else ()))
            test = EitherOrder(condition(expression, table, self.sandbox, self.query_columns), bad)
        return PairConstraint(f"{key}: {rule.expression}", rule.why or "", rule.line, test)

    def _caption_constraint(
        self, number: int, pattern: str, rule: CaptionRule, wording: Wording, wording_rules: tuple[WordingRule, ...]
    ) -> PairConstraint:
        with self._at("captions", number, "forbid"):
            quoted = pattern.replace("'", "''")
            expression = replace(self.sandbox.parse(f"regexp_matches(lower(caption), '{quoted}')"), text=pattern)
            # Evaluated once to check the pattern.
            self.sandbox.evaluate(pa.table({"caption": [""]}), {"shown": expression})
        wordings = (wording, *(rule.wording for rule in wording_rules))
        whens = tuple(rule.when for rule in wording_rules)
        joint = JointCaption(expression, self.columns.column("caption"), wordings, whens, self.sandbox)
        return PairConstraint(f"forbid: {pattern}", rule.why or "", rule.line, joint)

    def _wording_rule(self, number: int, rule: CaptionRule, wording: Wording) -> WordingRule:
        when = None
        if rule.when is not None:
            with self._at("captions", number, "when"):
                expression, table = self._two(rule.when)
                when = condition(expression, table, self.sandbox, self.query_columns)
        text = f"template: {rule.template}" if rule.template is not None else f"joiner: {rule.joiner}"
        wording = replace(wording, joiner=rule.joiner, template=rule.template)
        return WordingRule(text + _limited(rule.when), rule.why or "", rule.line, wording, when)

    def _images(self) -> dict[str, Any]:
        """The rules on images; of several that apply, the first with a key wins for that key."""
        n = len(self.columns)
        result: dict[str, Any] = {
            "axis": np.zeros(n, dtype=np.uint8),
            "whole": np.zeros(n, dtype=np.bool_),
            "mirror": np.ones(n, dtype=np.bool_),
            "regions": None,
        }
        constraints: list[ImageConstraint] = []
        for number, rule in reversed(list(enumerate(self.rules.images))):
            with self._at("images", number, "when"):
                holds = np.ones(n, dtype=np.bool_) if rule.when is None else self._holds(rule.when)
            for key in ("axis", "whole", "mirror", "region"):
                if (value := getattr(rule, key)) is None:
                    continue
                constraints = [replace(s, entries=s.entries & ~holds) if s.key == key else s for s in constraints]
                text = f"{key}: {CUTS.get(value, str(value).lower() if isinstance(value, bool) else value)}"
                constraints.append(ImageConstraint(text + _limited(rule.when), rule.why or "", rule.line, key, holds))
                if key == "region":
                    with self._at("images", number, key):
                        boxes = self._boxes(str(value))
                    if result["regions"] is None:
                        result["regions"] = np.full((n, 4), np.nan, dtype=np.float32)
                    result["regions"][holds] = boxes[holds]
                else:
                    result[key][holds] = value if isinstance(value, bool) else AXES[value]
        return {**result, "image_constraints": tuple(reversed(constraints))}

    def _boxes(self, name: str) -> Float32s:
        column_name = self.aliases.get(name, name)
        if column_name is None:
            return np.full((len(self.columns), 4), np.nan, dtype=np.float32)
        return self.columns.boxes(column_name)

    def _holds(self, text: str) -> Bools:
        """The entries for which a condition on one pair is true; unknown counts as false."""
        return truth_of(self._alone(text), text) == TRUE

    def _alone(self, text: str) -> pa.ChunkedArray:
        """An expression over one pair, as a column."""
        expression = self._parsed(text, sides=False)
        table = self._table(column_names(expression, ""))
        return empty_as_null(self.sandbox.evaluate(table, {"value": expression})["value"])

    def _two(self, text: str) -> tuple[Expression, pa.Table]:
        """An expression over two pairs, and the columns that it needs."""
        expression = self._parsed(text, sides=True)
        return expression, self._table(column_names(expression, "a", "b"))

    def _parsed(self, text: str, sides: bool) -> Expression:
        """The expression with its columns checked, and tokenization of columns moved to precomputed columns."""
        known_names = [*self.columns.names, *self.aliases, *self.fields]
        expression, cuts = hoist_words(self.sandbox.parse(text).check_columns(known_names, sides))
        for name, cut in cuts.items():
            if name not in self.words:
                table = self._table(column_names(cut, ""))
                self.words[name] = self.sandbox.evaluate(table, {name: cut})[name]
        return expression

    def _table(self, names: set[str]) -> pa.Table:
        n = len(self.columns)
        columns: dict[str, Any] = {name: self._column(name) for name in sorted(names)}
        # An expression without columns still needs a table with as many rows.
        return pa.table(columns or {"__row": pa.nulls(n, pa.bool_())})

    def _column(self, name: str) -> pa.ChunkedArray:
        if name in self.fields:
            return self.fields[name]
        if name in self.words:
            return self.words[name]
        column_name = self.aliases.get(name, name)
        if column_name is None:
            return self._nothing()
        if column_name not in self.columns.names:
            raise unknown_name("column", column_name, self.columns.names)
        column = empty_as_null(self.columns.column(column_name))
        return self._nothing() if column.null_count == len(column) else column

    def _nothing(self) -> pa.ChunkedArray:
        """A column of nulls without a type, which rules on text and on numbers find unknown."""
        return pa.chunked_array([pa.nulls(len(self.columns))])

    @contextmanager
    def _at(self, section: Section, which: int | str, key: str | None = None) -> Generator[None]:
        """Prefixes errors with their place in the rules file."""
        try:
            yield
        except UserError as error:
            raise UserError(f"{self.rules.place(section, which, key)}: {error}") from error


def _limited(when: str | None) -> str:
    return f" (when {when})" if when else ""


def _joined(columns: list[pa.ChunkedArray]) -> Int32s | None:
    """A code for each entry's combination of values in all columns, -1 if one is unknown; None without columns."""
    if not columns:
        return None
    codes = value_codes(columns[0]).astype(np.int64)
    for column in columns[1:]:
        own = value_codes(column)
        both = np.where((codes < 0) | (own < 0), -1, codes * (int(own.max(initial=0)) + 1) + own)
        values, codes = np.unique(both, return_inverse=True)
        codes = codes - int(values[0] < 0)
    return codes.astype(np.int32)
