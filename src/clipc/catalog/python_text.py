"""Lists and objects as Python prints them, read in linear time and without Python's own parser.

``ast.literal_eval`` takes hundreds of bytes for each byte of its text, and deep brackets end the process.
"""

import json
import re
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<word>None|True|False|nan)|"""
    r"""(?P<number>-?[0-9][0-9.eE+-]*)|(?P<mark>[\[\]{}():,]))\s*""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\n": "", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_WORDS = {"None": "null", "True": "true", "False": "false", "nan": "NaN"}


def python_value(text: str) -> Any:
    """The value of a list, tuple or dictionary of texts, numbers, truth values and None.

    Raises:
        ValueError: The text is something else.
    """
    parts: list[str] = []
    at = 0
    while at < len(text):
        if (token := _TOKEN.match(text, at)) is None:
            raise ValueError("it is no list or object of Python")
        at = token.end()
        match token.lastgroup:
            case "text":
                parts.append(json.dumps(python_text(token["text"])))
            case "word":
                parts.append(_WORDS[token["word"]])
            case "number":
                parts.append(token["number"])
            case _:
                mark = token["mark"].translate({ord("("): "[", ord(")"): "]"})
                if mark in "]}" and parts[-1:] == [","]:
                    parts.pop()
                parts.append(mark)
    try:
        return json.loads("".join(parts))
    except RecursionError:
        raise ValueError("values are nested too deeply") from None


def python_text(quoted: str) -> str:
    r"""The text that Python writes in quotation marks, such as ``'it\'s'``."""
    return _ESCAPE.sub(_unescaped, quoted[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] in "xuU" and len(code) > 1:
        return chr(min(int(code[1:], 16), 0x10FFFF))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _ESCAPED.get(code, code if code in "\\'\"" else f"\\{code}")
