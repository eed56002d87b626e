"""The grammar of rules: an allowlist for the syntax tree that DuckDB's parser makes of an expression.

A tree consists of nested *nodes*, JSON objects with a ``class``. Everything unknown is refused, including unknown
keys that are not empty, so a newer DuckDB can make rules fail but cannot make them unsafe. ``grammar.json`` is the
allowlist. It holds operators; functions, and the positions of their arguments that must be constants; the types and
keys of each class of nodes; kinds of literals; types of casts; names of refused nodes, for messages; and the words
that DuckDB reserves.
"""

import json
import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any, Final
from unicodedata import category

from clipc.compose.rules.reasons import (
    MAX_LENGTH,
    TOKENS,
    UNKNOWN_LOCATION,
    brief,
    explain_reason,
    locate,
    quote_name,
    syntax_hint,
    unusual_character_hint,
)
from clipc.compose.rules.words import pattern
from clipc.errors import UserError

Node = dict[str, Any]

MAX_DEPTH: Final = 50
"""The largest number of levels in an expression."""
MAX_PATTERN_LENGTH: Final = 500
"""The largest number of characters in a regular expression."""

_GRAMMAR: Final[Node] = json.loads((resources.files("clipc.compose.rules") / "grammar.json").read_bytes())
OPERATORS: Final = frozenset(_GRAMMAR["operators"])
FUNCTIONS: Final = frozenset(_GRAMMAR["functions"])
"""The functions that DuckDB may run: deterministic functions of one row whose cost grows slowly."""
RULE_FUNCTIONS: Final = sorted((FUNCTIONS - {"ilike_escape", "like_escape"}) | {"coalesce", "ifnull", "word"})
"""The names of the functions that rules may use."""
RESERVED: Final = frozenset(_GRAMMAR["reserved_words"])
"""Reserved words of DuckDB's grammar, which cannot name a column of a rule."""
_EVERYWHERE: Final = {"class", "type", "query_location", "query_location_length"}
_USELESS_WORD_EDGE: Final = re.compile(
    r"(?<![A-Za-z0-9_)])\\b[(?:]*([^\x00-\x7f])|([^\x00-\x7f])[)?*+]*\\b(?![A-Za-z0-9_(\[\\])"
)
"""``\\b`` beside a non-ASCII letter, where it never matches."""
NO_LOCATION: Final = {"query_location": UNKNOWN_LOCATION, "query_location_length": 0}
"""The location of every checked node, so that equal expressions have equal trees."""


def check_text(text: str) -> None:
    """Refuses a text that must not reach the parser.

    Raises:
        UserError: The text is empty, too long, nested too deeply, or holds control characters.
    """
    if not text.strip():
        raise UserError("an expression is missing; write one such as a.view = b.view.")
    if len(text) > MAX_LENGTH:
        raise UserError(f"an expression may have up to {MAX_LENGTH:,} characters; `{brief(text)}` has {len(text):,}.")
    if any(category(character) in {"Cc", "Cs"} and character not in "\t\n\r" for character in text):
        raise UserError(f"`{brief(text)}` holds invisible control characters; type the expression anew.")
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth > MAX_DEPTH:
            raise _too_deep(text)


def check_statement(text: str, serialised: str) -> Node:
    """The checked tree of ``SELECT <text>``.

    Locations in the text are erased, and ``word(...)`` is replaced by its definition.

    Args:
        text: The expression as the user wrote it.
        serialised: The result of DuckDB's ``json_serialize_sql`` for ``SELECT <text>``.

    Raises:
        UserError: The text is not one allowed scalar expression.
    """
    try:
        parsed: Node = json.loads(serialised)
    except RecursionError:
        raise _too_deep(text) from None
    reason = explain_reason(parsed.get("error_message", ""))
    if parsed.get("error_type") == "parser" and "SELECT" not in reason:
        where = locate(text, int(parsed.get("position", 0)))
        explanation = "; ".join(filter(None, [reason, syntax_hint(text, reason)]))
        raise UserError(f"{where} cannot be read as an expression: {explanation}.")
    statements: list[Node] = parsed.get("statements") or [{}]
    node: Node = statements[0].get("node", {})
    select_list: list[Node] = node.get("select_list") or []
    other_parts = [part for key, part in node.items() if key not in {"select_list", "type"}]
    one = (
        len(statements) == len(select_list) == 1
        and node.get("type") == "SELECT_NODE"
        and not select_list[0].get("alias")
    )
    if not one or not all(map(_is_blank, other_parts)):
        advice = unusual_character_hint(text)
        raise UserError(
            f"a rule is one expression over the columns of one pair or of a and b, but `{brief(text)}` is not"
            f"{f'; {advice}' if advice else ''}."
        )
    checked = _check_node(select_list[0], text, 1)
    # Parameters, the only other part of a statement, were refused as nodes.
    assert all(_is_blank(part) for key, part in statements[0].items() if key != "node")
    return checked


def map_children(node: Node, change: Callable[[Node], Node]) -> Node:
    """The node with each expression directly below it replaced by ``change(expression)``."""
    new = dict(node)
    for key in ("left", "right", "input", "lower", "upper", "child", "else_expr"):
        if key in new:
            new[key] = change(new[key])
    if "children" in new:
        new["children"] = [change(part) for part in new["children"]]
    if "arguments" in new:
        new["arguments"] = [{**part, "expression": change(part["expression"])} for part in new["arguments"]]
    if "case_checks" in new:
        new["case_checks"] = [{key: change(part[key]) for key in part} for part in new["case_checks"]]
    return new


def nodes(tree: Node) -> Iterator[Node]:
    """The root of the tree and all expressions below it."""
    below: list[Node] = []

    def collect(node: Node) -> Node:
        below.append(node)
        return node

    map_children(tree, collect)
    yield tree
    for node in below:
        yield from nodes(node)


def _check_node(node: Node, text: str, depth: int) -> Node:
    """The checked node without locations; ``depth`` is its level in the tree, from 1."""
    kind, type_ = str(node.get("class", "")), str(node.get("type", ""))
    if depth > MAX_DEPTH:
        raise _too_deep(text)
    allowed = _GRAMMAR["nodes"].get(kind)
    if allowed is None or type_ not in allowed["types"]:
        names = _GRAMMAR["refused"]
        raise _refusal(names.get(type_) or names.get(kind) or f"`{type_.lower()}`", node, text)
    for key, value in node.items():
        if key not in _EVERYWHERE and key not in allowed["keys"] and not _is_blank(value):
            raise _refusal(f"`{key.replace('_', ' ')}`", node, text)
    if kind == "CONSTANT" and node["literal"].get("kind") not in _GRAMMAR["literals"]:
        raise _refusal(f"a {node['literal'].get('kind')} constant", node, text)
    new = map_children(node, lambda part: _check_node(part, text, depth + 1)) | NO_LOCATION
    if kind == "COLUMN_REF":
        new["column_names"] = _check_column(node, text)
    elif kind == "COMPARISON":
        _check_comparison(node, text)
    elif kind == "CAST":
        new["type_expr"] = _check_cast_type(node["type_expr"], text)
    elif kind == "FUNCTION":
        new = _check_function(new, node, text)
    return new


def _check_comparison(node: Node, text: str) -> None:
    """Refuses a comparison with null: it is never true, although it looks like a test for unknown values."""
    for one, other in ((node["left"], node["right"]), (node["right"], node["left"])):
        if one.get("literal", {}).get("kind") == "NULL_LITERAL" and "DISTINCT" not in node["type"]:
            name = ".".join(map(quote_name, other["column_names"])) if other["class"] == "COLUMN_REF" else "..."
            advice = f"write `{name} is null` or `{name} is not null`"
            raise UserError(f"a comparison with null is never true (`{brief(text)}`); {advice}.")


def _check_column(node: Node, text: str) -> list[str]:
    *sides, name = node["column_names"]
    if name.startswith("__") or any(side.lower() not in {"a", "b"} for side in sides) or len(sides) > 1:
        name_ = ".".join(node["column_names"])
        raise UserError(
            f"`{name_}` is not a column that a rule can use ({locate(text, node['query_location'])}); "
            "write a.NAME or b.NAME in a rule about two pairs, NAME elsewhere."
        )
    return [*(side.lower() for side in sides), name]


def _check_cast_type(node: Node, text: str) -> Node:
    name = str(node.get("type_name", "")).upper()
    types, inside = _GRAMMAR["cast_types"], node.get("children", [])
    keys = {"class", "type", "query_location", "query_location_length", "type_name", "children", "qualified_name"}
    plain = all(_is_blank(value) for key, value in node.items() if key not in keys)
    numbers = all(part.get("literal", {}).get("kind") == "INTEGER" and _is_blank(part.get("alias")) for part in inside)
    path = [str(part).upper() for part in node.get("qualified_name", {}).get("path", [name])]
    if node.get("class") != "TYPE" or name not in types or not plain or not numbers or path != [name]:
        if advice := unusual_character_hint(name):
            raise UserError(f"`{brief(text)}` cannot be read as an expression: {advice}.")
        raise UserError(
            f"`{name.lower()}` is not a type that a rule can cast to ({locate(text, node.get('query_location', 0))}); "
            f"types that can be: {', '.join(types).lower()}."
        )
    return node | NO_LOCATION | {"type_name": name, "children": [part | NO_LOCATION for part in inside]}


def _check_function(new: Node, node: Node, text: str) -> Node:
    """The checked call of a function; ``new`` has checked arguments, ``node`` comes from the parser."""
    name = str(node["function_name"]).lower()
    arguments: list[Node] = new["arguments"]
    path = [str(part).lower() for part in node.get("qualified_name", {}).get("path", [name])]
    allowed = OPERATORS if node.get("is_operator") and not name.endswith("like_escape") else FUNCTIONS | {"word"}
    if name not in allowed or path != [name]:
        where = locate(text, node["query_location"])
        name_ = ".".join(str(part) for part in node.get("qualified_name", {}).get("path", [name]))
        raise UserError(
            f"`{name_}` cannot be used in a rule ({where}); functions that can: {', '.join(RULE_FUNCTIONS)}."
        )
    if any(not _is_blank({**argument, "expression": None}) for argument in arguments):
        raise _refusal(f"a named argument of `{name}`", node, text)
    values: list[Node] = [argument["expression"] for argument in arguments]
    if name == "word":
        return _expand_word(new, values, node, text)
    for position, value in enumerate(values):
        if position in _GRAMMAR["constant_arguments"].get(name, ()):
            if value["class"] != "CONSTANT":
                raise _refusal(f"`{name}` with a pattern or part that is computed", node, text)
            constant = value["literal"].get("text", "")
            if len(constant) > MAX_PATTERN_LENGTH:
                raise _refusal(f"a pattern of more than {MAX_PATTERN_LENGTH} characters", node, text)
            if edge := _USELESS_WORD_EDGE.search(constant):
                raise UserError(
                    rf"`\b` finds no edge of a word beside '{edge[1] or edge[2]}' in `{brief(text)}`; "
                    "look for words with word(caption, 'one', 'another')."
                )
    return _call(new, name, values)


def _expand_word(new: Node, values: list[Node], node: Node, text: str) -> Node:
    """The definition of a call of ``word``: a regular expression that is searched in the tokens of a text."""
    terms = values[1:]
    if any(term["class"] != "CONSTANT" or term["literal"]["kind"] != "STRING" for term in terms):
        advice = unusual_character_hint(text) or "write each word in single quotes, as in word(caption, 'left')"
        raise UserError(f"{locate(text, node['query_location'])}: `word` looks for constant words; {advice}.")
    try:
        regex = pattern([term["literal"]["text"] for term in terms])
    except UserError as error:
        raise UserError(f"{locate(text, node['query_location'])}: {error}") from None
    constant = terms[0] | {"literal": {"kind": "STRING", "text": regex}}
    return _call(new, "regexp_matches", [_call(new, TOKENS, values[:1]), constant])


def _call(node: Node, name: str, values: list[Node]) -> Node:
    arguments = [{"name": "", "expression": value} for value in values]
    return node | {"function_name": name, "qualified_name": {"path": [name]}, "arguments": arguments}


def _is_blank(value: Any) -> bool:
    """Whether a part of a tree is empty or has DuckDB's default value."""
    if isinstance(value, dict):
        part: Node = value
        return all(_is_blank(inner) for key, inner in part.items() if not key.startswith("query_location"))
    return not value or value in ("EMPTY", "STANDARD_HANDLING", "ORDER_MODIFIER")


def _refusal(what: str, node: Node, text: str) -> UserError:
    return UserError(f"{what} cannot be used in a rule ({locate(text, node.get('query_location', 0))}).")


def _too_deep(text: str) -> UserError:
    return UserError(f"`{brief(text)}` is nested more than {MAX_DEPTH} levels deep; split it into fields.")
