"""Parts of error messages about expressions: the reason, the place, and advice."""

import re
from typing import Final
from unicodedata import east_asian_width

MAX_LENGTH: Final = 2000
"""The largest number of characters in an expression."""
TOKENS: Final = "__tokens"
"""The sandbox's SQL name of :func:`clipc.compose.rules.words.tokens`."""
UNKNOWN_LOCATION: Final = 18446744073709551615
"""The location that DuckDB gives to a node without a position in the text."""

_PREFIX: Final = len("SELECT ")
_ADVICE: Final = {
    r"^could not convert string .* to BOOL": "a text is not a condition, compare it with something, as in view = 'PA'",
    r"^could not convert string ": "try_cast(x as integer) gives unknown for a text that is not a number",
    r"^cannot compare values of type VARCHAR and ": "a text is compared with a number, put the number in single quotes "
    "or the text in try_cast(x as integer)",
}
"""Advice on frequent errors, by a pattern for the start of DuckDB's reason."""
_CURLY: Final = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u00b4"
"""The quotation marks that word processors insert."""


def brief(text: str) -> str:
    """An expression for a message: on one line, truncated if it is long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:MAX_LENGTH]).split())
    return line if len(line) <= 120 else line[:117] + "..."


def quote_name(name: str) -> str:
    """The name of a column as an expression must write it, in double quotes where necessary."""
    return name if re.fullmatch(r"[^\W\d]\w*", name) else '"' + name.replace('"', '""') + '"'


def explain_reason(message: str) -> str:
    """DuckDB's error message without its kind, its hints and the SQL around the expression; advice may follow."""
    if TOKENS in message:
        return "`word` looks into texts, write cast(x as text) for anything else"
    line = message.split("\n")[0].split(" LINE ")[0]
    line = re.sub(r"^[A-Z][A-Za-z -]* Error: ", "", line).strip()
    line = re.sub(r"\.? (?:You might need|Use |Candidate).*$", "", line).rstrip(" .!:")
    line = line[:1].lower() + line[1:] if line[:2].istitle() else line
    return line + next((f"; {advice}" for start, advice in _ADVICE.items() if re.search(start, line)), "")


def locate(text: str, location: int) -> str:
    """The expression for a message, with the position of a character if ``location`` has one.

    Args:
        text: The expression.
        location: The index of a byte in ``SELECT <text>``, or :data:`UNKNOWN_LOCATION`.
    """
    before = text.encode()[: location - _PREFIX] if _PREFIX <= location < UNKNOWN_LOCATION else b""
    return f"character {len(before.decode(errors='ignore')) + 1} of `{brief(text)}`" if before else f"`{brief(text)}`"


def unusual_character_hint(text: str) -> str:
    """Advice on a curly quotation mark or full-width character, which DuckDB takes for a letter; empty without one."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    if any(mark in bare for mark in _CURLY):
        return "type quotation marks straight, as in 'PA'"
    wide = next(
        (character for character in bare if east_asian_width(character) == "F" or character in "、。「」"), None
    )
    return f"type the character {wide} in half width" if wide else ""


def syntax_hint(text: str, reason: str) -> str:
    """The probable cause of a syntax error; empty if none is known."""
    bare = re.sub(r"'[^']*'", "", text)
    if advice := unusual_character_hint(text):
        return advice
    if bare.count("(") != bare.count(")"):
        return f"it has {bare.count('(')} opening but {bare.count(')')} closing brackets"
    if not reason.startswith("syntax error"):
        return ""
    return "put texts in single quotes, as in 'PA', and look for missing or extra characters"
