"""Expressions in rules: checked scalar expressions, and functions that analyse and transform them."""

import json
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Literal, NamedTuple

from clipc.compose.rules.grammar import NO_LOCATION, Node, check_statement, map_children, nodes
from clipc.compose.rules.reasons import TOKENS, brief, quote_name, unusual_character_hint
from clipc.errors import UserError, unknown_name

Side = Literal["", "a", "b"]
"""The pair to which a column belongs; empty in an expression about a single pair."""


class Column(NamedTuple):
    """A column that an expression uses."""

    side: Side
    name: str

    def __str__(self) -> str:
        return f"{self.side}.{self.name}" if self.side else self.name


@dataclass(frozen=True)
class Expression:
    """One scalar expression that has passed :mod:`clipc.compose.rules.grammar`; only its tree is evaluated.

    Attributes:
        text: The text that the user wrote, for messages. An expression made from another one keeps its text.
        tree: The checked tree as JSON with sorted keys, so that equal trees are equal texts.
    """

    text: str
    tree: str

    @classmethod
    def of(cls, text: str, serialised: str) -> "Expression":
        """The expression that a user wrote, after the check of its tree.

        Args:
            text: The expression.
            serialised: The result of DuckDB's ``json_serialize_sql`` for ``SELECT <text>``.

        Raises:
            UserError: The text is not one allowed scalar expression.
        """
        return _expression(text, check_statement(text, serialised))

    @cached_property
    def root(self) -> Node:
        """The tree as nested mappings, to be read only."""
        return json.loads(self.tree)

    @cached_property
    def columns(self) -> frozenset[Column]:
        """The columns that the expression uses, in its own spelling."""
        return _columns(self.root)

    def resolve_columns(self, columns: Iterable[str], sides: bool) -> "Expression":
        """The expression with its columns spelt as the table spells them; case does not matter.

        Args:
            columns: The names of the table's columns.
            sides: Whether the expression is about two pairs. Then every column needs a prefix (``a.view``); otherwise
                no column may have one.

        Raises:
            UserError: A column does not exist, or its prefix is missing or superfluous.
        """
        names = list(columns)
        exact = set(names)
        # Reversed, so that the first of several names that differ only in case wins.
        folded = {_fold(name): name for name in reversed(names)}
        for side, name in sorted(self.columns):
            if name not in exact and _fold(name) not in folded and (advice := unusual_character_hint(name)):
                raise UserError(f"unknown column {name!r} in `{brief(self.text)}`; {advice}.")
            if sides and not side:
                quoted_name = quote_name(name)
                advice = f"write a.{quoted_name} or b.{quoted_name} to name the pair, or '{name}' if it is a text"
                raise UserError(f"column {name!r} in `{brief(self.text)}` belongs to neither pair; {advice}.")
            if side and not sides:
                advice = f"write {quote_name(name)} without `{side}.`"
                raise UserError(
                    f"`{side}.{name}` in `{brief(self.text)}` names a side, but the rule is about one pair; {advice}."
                )
            if name not in exact and _fold(name) not in folded:
                # Names that begin with __ are those of columns made by hoisting.
                message = str(unknown_name("column", name, (n for n in names if not n.startswith("__"))))
                raise UserError(message.replace(f"{name!r}", f"{name!r} in `{brief(self.text)}`", 1))
        names_by_column = {
            column: column.name if column.name in exact else folded[_fold(column.name)] for column in self.columns
        }
        return self.rename_columns(lambda column: [*filter(None, [column.side]), names_by_column[column]])

    def rename_columns(self, rename: Callable[[Column], list[str]]) -> "Expression":
        """The expression with its columns renamed; ``rename`` returns ``[name]`` or ``[side, name]``."""

        def change(node: Node) -> Node:
            if node["class"] == "COLUMN_REF":
                return node | {"column_names": rename(_column(node))}
            return map_children(node, change)

        return _expression(self.text, change(self.root))


def equal_terms(expression: Expression) -> tuple[list[str], Expression | None]:
    """The equality terms of a conjunction, and the rest of it.

    A term is a conjunct ``a.e = b.e`` or ``b.e = a.e`` of the outermost ``AND``, where ``e`` is a column or any
    expression over one pair.

    Returns:
        The name of ``e`` for each term: the column's, or the name that :func:`hoist` gives to an expression. Then the
        conjunction of all other conjuncts; None if there are none.
    """
    root = expression.root
    conjuncts: list[Node] = root["children"] if root["type"] == "CONJUNCTION_AND" else [root]
    terms: list[str] = []
    rest: list[Node] = []
    for conjunct in conjuncts:
        name, operator = comparison(conjunct) or ("", "")
        if operator == "=":
            terms.append(name)
        else:
            rest.append(conjunct)
    if not rest:
        return terms, None
    return terms, _expression(expression.text, rest[0] if len(rest) == 1 else root | {"children": rest})


def hoist(expression: Expression) -> tuple[Expression, dict[str, Expression]]:
    """Extracts the parts of an expression on two pairs that use one pair only, so that each is computed once a pair.

    Branches of ``CASE`` and later arguments of ``COALESCE`` are not extracted, since the condition before them may keep
    them from values on which they fail.

    Returns:
        The residual expression, and the extracted expressions by name. In the residual expression a column such as
        ``a.__<hash>`` stands for every largest subexpression that uses columns of one side only and is not a bare
        column. The extracted expressions have no prefixes. Equal subexpressions have the same hash, on both sides and
        in all expressions.
    """
    derived: dict[str, Expression] = {}

    def change(node: Node) -> Node:
        if (side := _only_side(node)) and node["class"] != "COLUMN_REF":
            name, extracted = _extract(node, expression.text)
            derived[name] = extracted
            return _COLUMN_NODE | {"column_names": [side, name]}
        if node["class"] == "CASE":
            first, *others = node["case_checks"]
            return node | {"case_checks": [first | {"when_expr": change(first["when_expr"])}, *others]}
        if node["type"] == "OPERATOR_COALESCE":
            first, *others = node["children"]
            return node | {"children": [change(first), *others]}
        return map_children(node, change)

    return _expression(expression.text, change(expression.root)), derived


def hoist_words(expression: Expression) -> tuple[Expression, dict[str, Expression]]:
    """Extracts the tokenization of columns from an expression, since many rules search the same captions.

    Returns:
        The residual expression, in which a column ``__<hash>`` (with its side, if any) stands for
        :func:`~clipc.compose.rules.words.tokens` of a column; and the extracted expressions by name.
    """
    derived: dict[str, Expression] = {}

    def change(node: Node) -> Node:
        if node["class"] == "FUNCTION" and node["function_name"] == TOKENS:
            text = node["arguments"][0]["expression"]
            if text["class"] == "COLUMN_REF":
                name, extracted = _extract(node, expression.text)
                derived[name] = extracted
                side = _column(text).side
                return _COLUMN_NODE | {"column_names": [*filter(None, [side]), name]}
        return map_children(node, change)

    return _expression(expression.text, change(expression.root)), derived


_COLUMN_NODE: Node = {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", **NO_LOCATION}


def _extract(node: Node, text: str) -> tuple[str, Expression]:
    """The name of a subexpression with one side, and the subexpression without that side's prefix."""
    extracted = _expression(text, node).rename_columns(lambda column: [column.name])
    return "__" + blake2b(extracted.tree.encode(), digest_size=6).hexdigest(), extracted


def comparison(node: Node) -> tuple[str, Literal["=", "<>"]] | None:
    """The column and the operator of an expression that is nothing but ``a.e <> b.e`` or ``a.e = b.e``.

    Such a rule needs only one value per pair to decide, however many distinct values there are.

    Args:
        node: The root of the expression's tree. ``NOT`` around the comparison counts as the opposite operator.

    Returns:
        The name of ``e``, as in :func:`equal_terms`, and the operator; None for any other expression.
    """
    if node["type"] == "OPERATOR_NOT":
        inner = comparison(node["children"][0])
        return inner and (inner[0], "<>" if inner[1] == "=" else "=")
    if node["type"] not in {"COMPARE_EQUAL", "COMPARE_NOTEQUAL"}:
        return None
    parts: list[Node] = [node["left"], node["right"]]
    if {_only_side(part) for part in parts} != {"a", "b"}:
        return None
    names = [_column(part).name if part["class"] == "COLUMN_REF" else _extract(part, "")[0] for part in parts]
    return (names[0], "=" if node["type"] == "COMPARE_EQUAL" else "<>") if names[0] == names[1] else None


def _only_side(node: Node) -> Side:
    """The side of all columns in a subexpression; empty if they have several sides or none, or if there are none."""
    sides: set[Side] = {column.side for column in _columns(node)}
    return sides.pop() if len(sides) == 1 else ""


def _columns(root: Node) -> frozenset[Column]:
    return frozenset(_column(node) for node in nodes(root) if node["class"] == "COLUMN_REF")


def _column(node: Node) -> Column:
    *side, name = node["column_names"]
    return Column(side[0] if side else "", name)


def _expression(text: str, root: Node) -> Expression:
    return Expression(text, json.dumps(root, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
