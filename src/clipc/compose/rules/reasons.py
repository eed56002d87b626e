"""Error messages on expressions: one sentence each, with advice."""

import re
from typing import Final
from unicodedata import east_asian_width

LONGEST: Final = 2000
"""The most characters an expression may have."""
TOKENS: Final = "__tokens"
"""The sandbox's SQL name of :func:`clipc.compose.rules.words.tokens`."""
NOWHERE: Final = 18446744073709551615
"""DuckDB's location of nodes without a position in the text."""

_PREFIX: Final = len("SELECT ")
_ADVICE: Final = {
    r"^could not convert string .* to BOOL": "a text is no condition, compare it with something, such as view = 'PA'",
    r"^could not convert string ": "try_cast(x as integer) makes unknown of what is no number",
    r"^cannot compare values of type VARCHAR and ": "a text is compared with a number, put the number in single quotes "
    "or the text in try_cast(x as integer)",
}
"""Advice, by the start of DuckDB's reason."""
_CURLY: Final = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u00b4"
"""Quotation marks as word processors type them."""


def brief(text: str) -> str:
    """An expression as errors show it: on one line, truncated if long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:LONGEST]).split())
    return line if len(line) <= 120 else line[:117] + "..."


def quoted(name: str) -> str:
    """A column's name as an expression writes it."""
    return name if re.fullmatch(r"[^\W\d]\w*", name) else '"' + name.replace('"', '""') + '"'


def sentence(message: str) -> str:
    """DuckDB's reason without its kind, its hints and our SQL, with advice on frequent ones."""
    if TOKENS in message:
        return "`word` looks into texts, write cast(x as text) for anything else"
    line = message.split("\n")[0].split(" LINE ")[0]
    line = re.sub(r"^[A-Z][A-Za-z -]* Error: ", "", line).strip()
    line = re.sub(r"\.? (?:You might need|Use |Candidate).*$", "", line).rstrip(" .!:")
    line = line[:1].lower() + line[1:] if line[:2].istitle() else line
    return line + next((f"; {advice}" for start, advice in _ADVICE.items() if re.search(start, line)), "")


def place(text: str, location: int) -> str:
    """The expression as errors show it, and the position of a byte of ``SELECT <text>`` in it, if known."""
    before = text.encode()[: location - _PREFIX] if _PREFIX <= location < NOWHERE else b""
    return f"character {len(before.decode(errors='ignore')) + 1} of `{brief(text)}`" if before else f"`{brief(text)}`"


def odd_sign(text: str) -> str:
    """Advice on a character that an expression takes for a letter; empty if there is none."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    if any(mark in bare for mark in _CURLY):
        return "type quotation marks straight, as in 'PA'"
    wide = next((sign for sign in bare if east_asian_width(sign) == "F" or sign in "、。「」"), None)
    return f"type the sign {wide} in half width" if wide else ""


def hint(text: str, reason: str) -> str:
    """A probable cause of a syntax error."""
    bare = re.sub(r"'[^']*'", "", text)
    if advice := odd_sign(text):
        return advice
    if bare.count("(") != bare.count(")"):
        return f"there are {bare.count('(')} opening and {bare.count(')')} closing brackets"
    if not reason.startswith("syntax error"):
        return ""
    return "a text needs single quotes, as in 'PA', or a sign is missing or one too many"
