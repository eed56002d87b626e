"""An expression of a rule: one checked scalar expression, and its analysis."""

import json
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Literal, NamedTuple

from clipc.compose.rules.grammar import UNPLACED, Node, check_statement, map_children, nodes
from clipc.compose.rules.reasons import TOKENS, brief, odd_sign, quoted
from clipc.errors import UserError, unknown_name

Side = Literal["", "a", "b"]


class Column(NamedTuple):
    """A column that an expression uses: of pair ``a``, of pair ``b``, or (no side) of a single pair."""

    side: Side
    name: str

    def __str__(self) -> str:
        return f"{self.side}.{self.name}" if self.side else self.name


@dataclass(frozen=True)
class Expression:
    """One scalar expression that has passed :mod:`clipc.compose.rules.grammar`; only its tree is evaluated.

    Attributes:
        text: As the user wrote it, for errors and reports; derived expressions keep the text of the original.
        tree: The checked tree as canonical JSON: equal trees mean the same.
    """

    text: str
    tree: str

    @classmethod
    def of(cls, text: str, serialised: str) -> "Expression":
        """The expression in ``SELECT <text>``, given the JSON that DuckDB's ``json_serialize_sql`` made of that.

        Raises:
            UserError: It is not one allowed scalar expression.
        """
        return _expression(text, check_statement(text, serialised))

    @cached_property
    def root(self) -> Node:
        """The tree as nested mappings, to be read only."""
        return json.loads(self.tree)

    @cached_property
    def columns(self) -> frozenset[Column]:
        """The columns that the expression uses, as it spells them."""
        return _columns(self.root)

    def check_columns(self, columns: Iterable[str], sides: bool) -> "Expression":
        """The expression with its columns spelt as the table spells them; upper and lower case count as equal.

        Args:
            columns: The table's columns.
            sides: Whether it is about two pairs, so that each column has a prefix (``a.view``); else none may have one.

        Raises:
            UserError: A column does not exist, or its prefix is missing or superfluous.
        """
        names = list(columns)
        exact = set(names)
        folded = {_fold(name): name for name in reversed(names)}
        for side, name in sorted(self.columns):
            if name not in exact and _fold(name) not in folded and (advice := odd_sign(name)):
                raise UserError(f"unknown column {name!r} in `{brief(self.text)}`; {advice}.")
            if sides and not side:
                quoted_name = quoted(name)
                advice = f"write a.{quoted_name} or b.{quoted_name} to say of which pair, or '{name}' if it is a text"
                raise UserError(f"column {name!r} in `{brief(self.text)}` belongs to neither pair; {advice}.")
            if side and not sides:
                advice = f"write {quoted(name)} without `{side}.`"
                raise UserError(f"`{side}.{name}` in `{brief(self.text)}` speaks of two pairs where one is; {advice}.")
            if name not in exact and _fold(name) not in folded:
                message = str(unknown_name("column", name, (n for n in names if not n.startswith("__"))))
                start = f"unknown column {name!r}"
                raise UserError(f"{start} in `{brief(self.text)}`{message.removeprefix(start)}")
        names_by_column = {
            column: column.name if column.name in exact else folded[_fold(column.name)] for column in self.columns
        }
        return self.renamed(lambda column: [*filter(None, [column.side]), names_by_column[column]])

    def renamed(self, rename: Callable[[Column], list[str]]) -> "Expression":
        """The expression with other names in place of its columns: one part, or a side and a name."""

        def change(node: Node) -> Node:
            if node["class"] == "COLUMN_REF":
                return node | {"column_names": rename(_column(node))}
            return map_children(node, change)

        return _expression(self.text, change(self.root))


def equal_terms(expression: Expression) -> tuple[list[tuple[str, str]], Expression | None]:
    """The equality terms of a conjunction, and the remaining conjuncts.

    A term is a conjunct ``a.e = b.e`` (either way round) of the outermost ``AND``, where ``e`` is a column or any
    expression over one pair.

    Returns:
        For each term, the column of a and the column of b whose values must be equal (the same name twice; an
        expression goes by the name that :func:`hoist` gives it), and the conjunction of the other conjuncts, None where
        there are none. The expression is true where all terms and the rest are, false where any is false, else unknown.
    """
    root = expression.root
    conjuncts: list[Node] = root["children"] if root["type"] == "CONJUNCTION_AND" else [root]
    terms: list[tuple[str, str]] = []
    rest: list[Node] = []
    for conjunct in conjuncts:
        name, operator = comparison(conjunct) or ("", "")
        if operator == "=":
            terms.append((name, name))
        else:
            rest.append(conjunct)
    if not rest:
        return terms, None
    return terms, _expression(expression.text, rest[0] if len(rest) == 1 else root | {"children": rest})


def hoist(expression: Expression) -> tuple[Expression, dict[str, Expression]]:
    """Extracts the parts of an expression on two pairs that depend on one pair only, to compute them once a pair.

    Branches of ``CASE`` and later arguments of ``COALESCE`` are not extracted, since their conditions may guard them
    from values on which they fail.

    Returns:
        The residual expression, with columns ``a.__k`` and ``b.__k`` in place of every maximal part of one side that is
        more than a column, and for each ``__k`` its expression over one pair (without prefixes). Names are hashes of
        what they stand for: equal parts share one, also between expressions.
    """
    derived: dict[str, Expression] = {}

    def change(node: Node) -> Node:
        sides = {column.side for column in _columns(node)}
        if len(sides) == 1 and "" not in sides and node["class"] != "COLUMN_REF":
            name, alone = _derived(node, expression.text)
            derived[name] = alone
            return _UNPLACED_COLUMN | {"column_names": [*sides, name]}
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
        The expression with a column ``__k`` (with its side) in place of :func:`~clipc.compose.rules.words.tokens` of a
        column, and for each ``__k`` its expression over one pair.
    """
    derived: dict[str, Expression] = {}

    def change(node: Node) -> Node:
        if node["class"] == "FUNCTION" and node["function_name"] == TOKENS:
            text = node["arguments"][0]["expression"]
            if text["class"] == "COLUMN_REF":
                name, alone = _derived(node, expression.text)
                derived[name] = alone
                side = _column(text).side
                return _UNPLACED_COLUMN | {"column_names": [*filter(None, [side]), name]}
        return map_children(node, change)

    return _expression(expression.text, change(expression.root)), derived


_UNPLACED_COLUMN: Node = {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", **UNPLACED}


def _derived(node: Node, text: str) -> tuple[str, Expression]:
    """A part of one side as an expression over one pair, and its name."""
    alone = _expression(text, node).renamed(lambda column: [column.name])
    return "__" + blake2b(alone.tree.encode(), digest_size=6).hexdigest(), alone


def comparison(node: Node) -> tuple[str, Literal["=", "<>"]] | None:
    """The column and the operator of an expression that is nothing but ``a.e <> b.e`` or ``a.e = b.e``.

    Such a rule splits pairs by one value each, however many values there are (``a.patient <> b.patient``).

    Args:
        node: The root of the expression's tree; ``NOT`` around the comparison is read as its opposite.

    Returns:
        The name of ``e`` (as in :func:`equal_terms`) and the operator; None for any other expression.
    """
    if node["type"] == "OPERATOR_NOT":
        inner = comparison(node["children"][0])
        return inner and (inner[0], "<>" if inner[1] == "=" else "=")
    if node["type"] not in {"COMPARE_EQUAL", "COMPARE_NOTEQUAL"}:
        return None
    parts: list[Node] = [node["left"], node["right"]]
    if sorted("".join({column.side or "?" for column in _columns(part)}) for part in parts) != ["a", "b"]:
        return None
    names = [_column(part).name if part["class"] == "COLUMN_REF" else _derived(part, "")[0] for part in parts]
    return (names[0], "=" if node["type"] == "COMPARE_EQUAL" else "<>") if names[0] == names[1] else None


def _columns(root: Node) -> frozenset[Column]:
    return frozenset(_column(node) for node in nodes(root) if node["class"] == "COLUMN_REF")


def _column(node: Node) -> Column:
    *side, name = node["column_names"]
    return Column(side[0] if side else "", name)


def _expression(text: str, root: Node) -> Expression:
    return Expression(text, json.dumps(root, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
