"""Compiles rules: parses expressions, binds them to columns, and chooses the fastest way to evaluate them."""

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
from clipc.compose.rules.joint import JointCaptionPattern
from clipc.compose.rules.sandbox import Sandbox
from clipc.compose.rules.schema import BUILT_IN_COLUMNS, CaptionRule, PairRule, Rules, Section
from clipc.errors import UserError, unknown_name


def compile_rules(rules: Rules, columns: Columns, wording: Wording, sandbox: Sandbox | None = None) -> CompiledRules:
    """Compiles rules for the entries of a catalog.

    Args:
        rules: The expert's rules.
        columns: The columns of the entries.
        wording: How captions are joined unless a rule applies.
        sandbox: The sandbox that evaluates expressions; by default one for the whole process.

    Raises:
        UserError: An expression is invalid, or uses a forbidden function or an unknown column; the message names the
            line of the rules file.
    """
    return _Binding(rules, columns, sandbox or _sandbox()).compiled_rules(wording)


@cache
def _sandbox() -> Sandbox:
    return Sandbox()


class _Binding:
    """One compilation: rules bound to columns, with the columns that are computed on the way.

    ``aliases`` maps each name under ``columns`` to a column of the data, or None; ``field_columns`` holds the rules'
    fields; ``token_columns`` holds tokenized texts; ``query_columns`` collects the columns that queries need;
    ``named_columns`` holds the names of the columns that each text uses.
    """

    def __init__(self, rules: Rules, columns: Columns, sandbox: Sandbox) -> None:
        self.rules, self.columns, self.sandbox = rules, columns, sandbox
        self.query_columns = QueryColumns()
        self.aliases = rules.data_columns(columns.names)
        self.field_columns: dict[str, pa.ChunkedArray] = {}
        self.token_columns: dict[str, pa.ChunkedArray] = {}
        self.named_columns: dict[str, list[str]] = {}
        self._empty: dict[str, bool] = {}
        for name, text in rules.fields.items():
            with self._locate_errors("fields", name):
                self.field_columns[name] = self._single_pair_column(text)

    def compiled_rules(self, wording: Wording) -> CompiledRules:
        """The compiled rules; ``wording`` is used unless a rule applies."""
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
            with self._locate_errors("never", n, "when"):
                entries = self._entries_where(rule.when)
                empty = self._empty_columns(rule.when)
                exclusions.append(Exclusion(rule.when, rule.why or "", rule.line, empty, entries))
        return CompiledRules(
            constraints=tuple(constraints),
            groups=_combine_codes(list(shared.values())),
            exclusions=tuple(exclusions),
            shared=shared,
            wording_rules=wording_rules,
            fields=dict(self.field_columns),
            **self._images(),
        )

    def _pair_constraint(self, number: int, rule: PairRule, shared: dict[str, pa.ChunkedArray]) -> PairConstraint:
        """The constraint of a rule. Adds to ``shared`` each column whose value allowed partners must share."""
        key = "forbid" if rule.require is None else "require"
        with self._locate_errors("pairs", number, key):
            expression, table = self._pair_expression(rule.expression)
            if rule.require is not None and rule.refuses_unknown:
                residual, extended = hoist_columns(expression, table, self.sandbox)
                for name in equal_terms(residual)[0]:
                    shared[rule.expression if name.startswith("__") else name] = extended[name]
            breaking = (TRUE if rule.require is None else FALSE, *((UNKNOWN,) if rule.refuses_unknown else ()))
            test = EitherOrder(condition(expression, table, self.sandbox, self.query_columns), breaking)
        empty = self._empty_columns(rule.expression)
        return PairConstraint(f"{key}: {rule.expression}", rule.why or "", rule.line, empty, test)

    def _caption_constraint(
        self, number: int, pattern: str, rule: CaptionRule, wording: Wording, wording_rules: tuple[WordingRule, ...]
    ) -> PairConstraint:
        with self._locate_errors("captions", number, "forbid"):
            quoted = pattern.replace("'", "''")
            expression = replace(self.sandbox.parse(f"regexp_matches(lower(caption), '{quoted}')"), text=pattern)
            # One evaluation checks the pattern.
            self.sandbox.evaluate(pa.table({"caption": [""]}), {"shown": expression})
        wordings = (wording, *(rule.wording for rule in wording_rules))
        conditions = tuple(rule.when for rule in wording_rules)
        joint = JointCaptionPattern(expression, self.columns.column("caption"), wordings, conditions, self.sandbox)
        return PairConstraint(f"forbid: {pattern}", rule.why or "", rule.line, (), joint)

    def _wording_rule(self, number: int, rule: CaptionRule, wording: Wording) -> WordingRule:
        when = None
        if rule.when is not None:
            with self._locate_errors("captions", number, "when"):
                expression, table = self._pair_expression(rule.when)
                when = condition(expression, table, self.sandbox, self.query_columns)
        text = f"template: {rule.template}" if rule.template is not None else f"joiner: {rule.joiner}"
        wording = replace(wording, joiner=rule.joiner, template=rule.template)
        empty = self._empty_columns(rule.when)
        return WordingRule(text + _when_suffix(rule.when), rule.why or "", rule.line, empty, wording, when)

    def _images(self) -> dict[str, Any]:
        """The rules on images as arguments of :class:`CompiledRules`; for each key the first rule that applies wins."""
        n = len(self.columns)
        result: dict[str, Any] = {
            "axis": np.zeros(n, dtype=np.uint8),
            "whole": np.zeros(n, dtype=np.bool_),
            "mirror": np.ones(n, dtype=np.bool_),
            "regions": None,
        }
        constraints: list[ImageConstraint] = []
        for number, rule in reversed(list(enumerate(self.rules.images))):
            with self._locate_errors("images", number, "when"):
                holds = np.ones(n, dtype=np.bool_) if rule.when is None else self._entries_where(rule.when)
            for key in ("axis", "whole", "mirror", "region"):
                if (value := getattr(rule, key)) is None:
                    continue
                constraints = [replace(s, entries=s.entries & ~holds) if s.key == key else s for s in constraints]
                text = f"{key}: {CUTS.get(value, str(value).lower() if isinstance(value, bool) else value)}"
                applies, empty = holds, self._empty_columns(rule.when)
                if key == "region":
                    with self._locate_errors("images", number, key):
                        boxes = self._boxes(str(value))
                    if result["regions"] is None:
                        result["regions"] = np.full((n, 4), np.nan, dtype=np.float32)
                    result["regions"][holds] = boxes[holds]
                    has_box = ~np.isnan(boxes[:, 0])
                    applies, empty = holds & has_box, (*empty, *(() if has_box.any() else (str(value),)))
                text += _when_suffix(rule.when)
                constraints.append(ImageConstraint(text, rule.why or "", rule.line, empty, key, applies))
                if key != "region":
                    result[key][holds] = value if isinstance(value, bool) else AXES[value]
        return {**result, "image_constraints": tuple(reversed(constraints))}

    def _boxes(self, name: str) -> Float32s:
        column_name = self.aliases.get(name, name)
        if column_name is None:
            return np.full((len(self.columns), 4), np.nan, dtype=np.float32)
        return self.columns.boxes(column_name)

    def _entries_where(self, text: str) -> Bools:
        """Whether a condition on one pair is true for each entry, ``bool``; unknown counts as false."""
        return truth_of(self._single_pair_column(text), text) == TRUE

    def _single_pair_column(self, text: str) -> pa.ChunkedArray:
        """The values of an expression over one pair, one for each entry."""
        expression = self._parse(text, sides=False)
        table = self._table(column_names(expression, ""))
        return empty_as_null(self.sandbox.evaluate(table, {"value": expression})["value"])

    def _pair_expression(self, text: str) -> tuple[Expression, pa.Table]:
        """An expression over two pairs, and a table of the columns that it needs."""
        expression = self._parse(text, sides=True)
        return expression, self._table(column_names(expression, "a", "b"))

    def _empty_columns(self, text: str | None) -> tuple[str, ...]:
        """The columns without a value in any row that the text of a condition uses.

        For a field that is made of such columns alone these are named instead.
        """
        names = () if text is None else self.named_columns[text]
        return tuple(dict.fromkeys(column for name in names for column in self._empty_sources(name)))

    def _empty_sources(self, name: str) -> list[str]:
        if name in self.field_columns:
            sources = [self._empty_sources(source) for source in self.named_columns[self.rules.fields[name]]]
            if sources and all(sources):
                return [column for source in sources for column in source]
        if name not in self._empty:
            column = None if name in BUILT_IN_COLUMNS else self._column(name)
            self._empty[name] = column is not None and column.null_count == len(column)
        return [name] if self._empty[name] else []

    def _parse(self, text: str, sides: bool) -> Expression:
        """The checked expression, in which columns of tokens take the place of the tokenization of captions.

        Tokens of a column are computed once, since many rules search the same captions.
        """
        known_names = [*self.columns.names, *self.aliases, *self.field_columns]
        resolved = self.sandbox.parse(text).resolve_columns(known_names, sides)
        self.named_columns[text] = sorted({column.name for column in resolved.columns})
        expression, tokenizations = hoist_words(resolved)
        for name, tokenization in tokenizations.items():
            if name not in self.token_columns:
                table = self._table(column_names(tokenization, ""))
                self.token_columns[name] = self.sandbox.evaluate(table, {name: tokenization})[name]
        return expression

    def _table(self, names: set[str]) -> pa.Table:
        n = len(self.columns)
        columns: dict[str, Any] = {name: self._column(name) for name in sorted(names)}
        # An expression without columns needs a table with the right number of rows.
        return pa.table(columns or {"__row": pa.nulls(n, pa.bool_())})

    def _column(self, name: str) -> pa.ChunkedArray:
        if name in self.field_columns:
            return self.field_columns[name]
        if name in self.token_columns:
            return self.token_columns[name]
        column_name = self.aliases.get(name, name)
        if column_name is None:
            return self._unknown_column()
        if column_name not in self.columns.names:
            raise unknown_name("column", column_name, self.columns.names)
        column = empty_as_null(self.columns.column(column_name))
        return self._unknown_column() if column.null_count == len(column) else column

    def _unknown_column(self) -> pa.ChunkedArray:
        """A column of nulls without a type, so that rules on text and rules on numbers both see unknown values."""
        return pa.chunked_array([pa.nulls(len(self.columns))])

    @contextmanager
    def _locate_errors(self, section: Section, which: int | str, key: str | None = None) -> Generator[None]:
        """Puts the place in the rules file in front of errors."""
        try:
            yield
        except UserError as error:
            raise UserError(f"{self.rules.place(section, which, key)}: {error}") from error


def _when_suffix(when: str | None) -> str:
    return f" (when {when})" if when else ""


def _combine_codes(columns: list[pa.ChunkedArray]) -> Int32s | None:
    """The code of each entry's combination of values, -1 if a value is unknown; None if there are no columns."""
    if not columns:
        return None
    codes = value_codes(columns[0]).astype(np.int64)
    for column in columns[1:]:
        own = value_codes(column)
        both = np.where((codes < 0) | (own < 0), -1, codes * (int(own.max(initial=0)) + 1) + own)
        values, codes = np.unique(both, return_inverse=True)
        codes = codes - int(values[0] < 0)
    return codes.astype(np.int32)
