"""The grammar of rules: an allowlist for the syntax tree that DuckDB's parser makes of an expression.

A tree is a nest of *nodes*, JSON objects with a ``class``. Everything unknown is refused, including unknown non-empty
keys, so that a newer DuckDB can make rules fail but not make them unsafe. The allowlist is ``grammar.json``:
operators; functions, and the positions of their arguments that must be constants; the types and keys of each class of
nodes; kinds of literals; types of casts; names, for messages, of what is refused; and the words that DuckDB reserves.
"""

import json
import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any, Final
from unicodedata import category

from clipc.compose.rules.reasons import LONGEST, NOWHERE, TOKENS, brief, hint, odd_sign, place, quoted, sentence
from clipc.compose.rules.words import pattern
from clipc.errors import UserError

Node = dict[str, Any]

DEEPEST: Final = 50
"""The most levels an expression may be nested."""
LONGEST_PATTERN: Final = 500
"""The most characters a regular expression may have."""

_GRAMMAR: Final[Node] = json.loads((resources.files("clipc.compose.rules") / "grammar.json").read_bytes())
OPERATORS: Final = frozenset(_GRAMMAR["operators"])
FUNCTIONS: Final = frozenset(_GRAMMAR["functions"])
"""Deterministic functions of one row whose cost grows slowly with their arguments."""
WRITTEN: Final = sorted((FUNCTIONS - {"ilike_escape", "like_escape"}) | {"coalesce", "ifnull", "word"})
"""The functions under their names in rules."""
RESERVED: Final = frozenset(_GRAMMAR["reserved_words"])
"""Reserved words of DuckDB's grammar, which cannot name a column of a rule."""
_EVERYWHERE: Final = {"class", "type", "query_location", "query_location_length"}
_EDGE_IN_VAIN: Final = re.compile(
    r"(?<![A-Za-z0-9_)])\\b[(?:]*([^\x00-\x7f])|([^\x00-\x7f])[)?*+]*\\b(?![A-Za-z0-9_(\[\\])"
)
"""``\\b`` beside a non-ASCII letter, where it never matches."""
UNPLACED: Final = {"query_location": NOWHERE, "query_location_length": 0}
"""The position of nodes whose place in the text does not matter."""


def check_text(text: str) -> None:
    """Refuses texts that must not reach the parser.

    Raises:
        UserError: The text is empty, too long, nested too deeply, or holds control characters.
    """
    if not text.strip():
        raise UserError("an expression is missing; write one such as a.view = b.view.")
    if len(text) > LONGEST:
        raise UserError(f"an expression may have {LONGEST:,} characters, `{brief(text)}` has {len(text):,}.")
    if any(category(character) in {"Cc", "Cs"} and character not in "\t\n\r" for character in text):
        raise UserError(f"`{brief(text)}` holds invisible control characters; type the expression anew.")
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth > DEEPEST:
            raise _too_deep(text)


def check_statement(text: str, serialised: str) -> Node:
    """The checked tree of ``SELECT <text>``.

    Positions in the text are erased, so that equal trees are equal, and ``word(...)`` is replaced by its definition.

    Args:
        text: The expression as the user wrote it.
        serialised: The result of ``json_serialize_sql``.

    Raises:
        UserError: It is not one allowed scalar expression.
    """
    try:
        parsed: Node = json.loads(serialised)
    except RecursionError:
        raise _too_deep(text) from None
    reason = sentence(parsed.get("error_message", ""))
    if parsed.get("error_type") == "parser" and "SELECT" not in reason:
        where = place(text, int(parsed.get("position", 0)))
        explanation = "; ".join(filter(None, [reason, hint(text, reason)]))
        raise UserError(f"{where} cannot be read as an expression: {explanation}.")
    statements: list[Node] = parsed.get("statements") or [{}]
    node: Node = statements[0].get("node", {})
    chosen: list[Node] = node.get("select_list") or []
    beside = [part for key, part in node.items() if key not in {"select_list", "type"}]
    one = len(statements) == len(chosen) == 1 and node.get("type") == "SELECT_NODE" and not chosen[0].get("alias")
    if not one or not all(map(_blank, beside)):
        advice = odd_sign(text)
        raise UserError(
            f"a rule is one expression over one pair's columns or over those of a and b, which `{brief(text)}` is not"
            f"{f'; {advice}' if advice else ''}."
        )
    checked = _checked(chosen[0], text, 1)
    assert all(_blank(part) for key, part in statements[0].items() if key != "node")  # parameters are refused as nodes
    return checked


def map_children(node: Node, change: Callable[[Node], Node]) -> Node:
    """The node with every expression right below it changed."""
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
    """The tree's root and all expressions below it."""
    below: list[Node] = []

    def seen(node: Node) -> Node:
        below.append(node)
        return node

    map_children(tree, seen)
    yield tree
    for node in below:
        yield from nodes(node)


def _checked(node: Node, text: str, depth: int) -> Node:
    kind, type_ = str(node.get("class", "")), str(node.get("type", ""))
    if depth > DEEPEST:
        raise _too_deep(text)
    allowed = _GRAMMAR["nodes"].get(kind)
    if allowed is None or type_ not in allowed["types"]:
        names = _GRAMMAR["refused"]
        raise _refusal(names.get(type_) or names.get(kind) or f"`{type_.lower()}`", node, text)
    for key, value in node.items():
        if key not in _EVERYWHERE and key not in allowed["keys"] and not _blank(value):
            raise _refusal(f"`{key.replace('_', ' ')}`", node, text)
    if kind == "CONSTANT" and node["literal"].get("kind") not in _GRAMMAR["literals"]:
        raise _refusal(f"a {node['literal'].get('kind')} constant", node, text)
    new = map_children(node, lambda part: _checked(part, text, depth + 1)) | UNPLACED
    if kind == "COLUMN_REF":
        new["column_names"] = _column(node, text)
    elif kind == "COMPARISON":
        _check_comparison(node, text)
    elif kind == "CAST":
        new["type_expr"] = _cast_type(node["type_expr"], text)
    elif kind == "FUNCTION":
        new = _function(new, node, text)
    return new


def _check_comparison(node: Node, text: str) -> None:
    """Refuses a comparison with null, which is never true, although it looks like a test for unknown values."""
    for one, other in ((node["left"], node["right"]), (node["right"], node["left"])):
        if one.get("literal", {}).get("kind") == "NULL_LITERAL" and "DISTINCT" not in node["type"]:
            name = ".".join(map(quoted, other["column_names"])) if other["class"] == "COLUMN_REF" else "..."
            advice = f"write `{name} is null` or `{name} is not null`"
            raise UserError(f"a comparison with null is never true (`{brief(text)}`); {advice}.")


def _column(node: Node, text: str) -> list[str]:
    *sides, name = node["column_names"]
    if name.startswith("__") or any(side.lower() not in {"a", "b"} for side in sides) or len(sides) > 1:
        name_ = ".".join(node["column_names"])
        raise UserError(
            f"`{name_}` is no column a rule can use ({place(text, node['query_location'])}); "
            "write a.NAME or b.NAME in a rule about two pairs, NAME elsewhere."
        )
    return [*(side.lower() for side in sides), name]


def _cast_type(node: Node, text: str) -> Node:
    name = str(node.get("type_name", "")).upper()
    types, inside = _GRAMMAR["cast_types"], node.get("children", [])
    keys = {"class", "type", "query_location", "query_location_length", "type_name", "children", "qualified_name"}
    plain = all(_blank(value) for key, value in node.items() if key not in keys)
    numbers = all(part.get("literal", {}).get("kind") == "INTEGER" and _blank(part.get("alias")) for part in inside)
    path = [str(part).upper() for part in node.get("qualified_name", {}).get("path", [name])]
    if node.get("class") != "TYPE" or name not in types or not plain or not numbers or path != [name]:
        if advice := odd_sign(name):
            raise UserError(f"`{brief(text)}` cannot be read as an expression: {advice}.")
        raise UserError(
            f"`{name.lower()}` is no type a rule can cast to ({place(text, node.get('query_location', 0))}); "
            f"types that can be: {', '.join(types).lower()}."
        )
    return node | UNPLACED | {"type_name": name, "children": [part | UNPLACED for part in inside]}


def _function(new: Node, node: Node, text: str) -> Node:
    """The checked call; ``new`` has checked arguments, ``node`` is as it was parsed."""
    name = str(node["function_name"]).lower()
    arguments: list[Node] = new["arguments"]
    path = [str(part).lower() for part in node.get("qualified_name", {}).get("path", [name])]
    allowed = OPERATORS if node.get("is_operator") and not name.endswith("like_escape") else FUNCTIONS | {"word"}
    if name not in allowed or path != [name]:
        where = place(text, node["query_location"])
        name_ = ".".join(str(part) for part in node.get("qualified_name", {}).get("path", [name]))
        raise UserError(f"`{name_}` cannot be used in a rule ({where}); functions that can: {', '.join(WRITTEN)}.")
    if any(not _blank({**argument, "expression": None}) for argument in arguments):
        raise _refusal(f"a named argument of `{name}`", node, text)
    values: list[Node] = [argument["expression"] for argument in arguments]
    if name == "word":
        return _word(new, values, node, text)
    for position, value in enumerate(values):
        if position in _GRAMMAR["constant_arguments"].get(name, ()):
            if value["class"] != "CONSTANT":
                raise _refusal(f"`{name}` with a pattern or part that is computed", node, text)
            constant = value["literal"].get("text", "")
            if len(constant) > LONGEST_PATTERN:
                raise _refusal(f"a pattern of more than {LONGEST_PATTERN} characters", node, text)
            if beside := _EDGE_IN_VAIN.search(constant):
                raise UserError(
                    rf"`\b` finds no edge of a word beside '{beside[1] or beside[2]}' in `{brief(text)}`; "
                    "look for words with word(caption, 'one', 'another')."
                )
    return _call(new, name, values)


def _word(new: Node, values: list[Node], node: Node, text: str) -> Node:
    terms = values[1:]
    if any(term["class"] != "CONSTANT" or term["literal"]["kind"] != "STRING" for term in terms):
        advice = odd_sign(text) or "write each word in single quotes, as in word(caption, 'left')"
        raise UserError(
            f"{place(text, node['query_location'])}: `word` looks for words that are written out; {advice}."
        )
    try:
        regex = pattern([term["literal"]["text"] for term in terms])
    except UserError as error:
        raise UserError(f"{place(text, node['query_location'])}: {error}") from None
    constant = terms[0] | {"literal": {"kind": "STRING", "text": regex}}
    return _call(new, "regexp_matches", [_call(new, TOKENS, values[:1]), constant])


def _call(node: Node, name: str, values: list[Node]) -> Node:
    arguments = [{"name": "", "expression": value} for value in values]
    return node | {"function_name": name, "qualified_name": {"path": [name]}, "arguments": arguments}


def _blank(value: Any) -> bool:
    """Whether a part of a tree is empty or a default."""
    if isinstance(value, dict):
        part: Node = value
        return all(_blank(inner) for key, inner in part.items() if not key.startswith("query_location"))
    return not value or value in ("EMPTY", "STANDARD_HANDLING", "ORDER_MODIFIER")


def _refusal(what: str, node: Node, text: str) -> UserError:
    return UserError(f"{what} cannot be used in a rule ({place(text, node.get('query_location', 0))}).")


def _too_deep(text: str) -> UserError:
    return UserError(f"`{brief(text)}` is nested more than {DEEPEST} levels deep; split it into fields.")
